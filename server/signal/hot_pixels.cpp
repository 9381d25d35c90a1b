// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/signal/hot_pixels.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace latticed::signal {

namespace {

struct RobustScale {
  float median = 0.0f, sigma = 0.0f;
};

RobustScale robust_scale(std::vector<float> values) {
  if (values.empty()) return {};
  const auto median_of = [](std::vector<float>& v) {
    const auto middle = v.begin() + static_cast<std::ptrdiff_t>(v.size() / 2);
    std::nth_element(v.begin(), middle, v.end());
    return *middle;
  };
  RobustScale out;
  out.median = median_of(values);
  for (float& value : values) value = std::abs(value - out.median);
  out.sigma = 1.4826f * median_of(values);
  return out;
}

template <class Raw>
void convert(std::span<const std::byte> raw, std::vector<float>& out) {
  const auto* from = reinterpret_cast<const Raw*>(raw.data());
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<float>(from[i]);
}

}  // namespace

std::vector<float> to_float(std::span<const std::byte> raw, const FrameGeometry& geometry) {
  std::vector<float> out(geometry.pixels());
  switch (geometry.type) {
    case PixelType::u8:
      convert<std::uint8_t>(raw, out);
      break;
    case PixelType::i8:
      convert<std::int8_t>(raw, out);
      break;
    case PixelType::u16:
      convert<std::uint16_t>(raw, out);
      break;
    case PixelType::i16:
      convert<std::int16_t>(raw, out);
      break;
    case PixelType::u32:
      convert<std::uint32_t>(raw, out);
      break;
    case PixelType::i32:
      convert<std::int32_t>(raw, out);
      break;
    case PixelType::f32:
      convert<float>(raw, out);
      break;
  }
  return out;
}

std::vector<std::uint32_t> hot_pixels_of_dark(std::span<const float> dark, double sigmas) {
  const RobustScale scale = robust_scale({dark.begin(), dark.end()});
  // A dark without any spread (counting detectors) still has hot pixels: one count is the scale.
  const float limit = static_cast<float>(sigmas) * std::max(scale.sigma, 0.1f);
  std::vector<std::uint32_t> out;
  for (std::size_t i = 0; i < dark.size(); ++i)
    if (!(std::abs(dark[i] - scale.median) <= limit)) out.push_back(static_cast<std::uint32_t>(i));
  return out;
}

void HotPixelSearch::add(std::span<const std::byte> raw) {
  const std::vector<float> image = to_float(raw, geometry_);
  const int width = geometry_.width, height = geometry_.height;
  if (width < 3 || height < 3) return;
  std::vector<float> excess(image.size(), 0.0f);
  const auto at = [&](int x, int y) {
    // Mirrored at the border: every pixel has eight neighbours.
    x = x < 0 ? 1 : x >= width ? width - 2 : x;
    y = y < 0 ? 1 : y >= height ? height - 2 : y;
    return image[static_cast<std::size_t>(y) * static_cast<std::size_t>(width) +
                 static_cast<std::size_t>(x)];
  };
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x) {
      std::array<float, 8> near{at(x - 1, y - 1), at(x, y - 1),    at(x + 1, y - 1),
                                at(x - 1, y),     at(x + 1, y),    at(x - 1, y + 1),
                                at(x, y + 1),     at(x + 1, y + 1)};
      std::sort(near.begin(), near.end());
      const auto i = static_cast<std::size_t>(y) * static_cast<std::size_t>(width) +
                     static_cast<std::size_t>(x);
      excess[i] = image[i] - 0.5f * (near[3] + near[4]);
    }
  const RobustScale scale = robust_scale(excess);
  const float sigma = scale.sigma > 0.0f ? scale.sigma : 1.0f;
  if (frames_ == 0) smallest_excess_.assign(image.size(), 1e30f);
  for (std::size_t i = 0; i < excess.size(); ++i) {
    const float in_sigmas = std::isfinite(excess[i]) ? (excess[i] - scale.median) / sigma : 0.0f;
    smallest_excess_[i] = std::min(smallest_excess_[i], in_sigmas);
  }
  ++frames_;
}

std::vector<std::uint32_t> HotPixelSearch::found(double sigmas) const {
  std::vector<std::uint32_t> out;
  if (frames_ < 3) return out;
  for (std::size_t i = 0; i < smallest_excess_.size(); ++i)
    if (smallest_excess_[i] > static_cast<float>(sigmas))
      out.push_back(static_cast<std::uint32_t>(i));
  // So many that they are structure, not defects: better none than a repaired specimen.
  if (out.size() > smallest_excess_.size() / 100) out.clear();
  return out;
}

}  // namespace latticed::signal
