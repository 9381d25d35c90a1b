// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/publish/aligned_mean.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "server/base/hot.hpp"

namespace latticed {
namespace {

constexpr int kLongestSide = 1024;

signal::AnalysisGrid grid_of(const FrameGeometry& geometry) {
  const int longest = std::max(geometry.width, geometry.height);
  signal::AnalysisGrid grid;
  grid.bin = std::clamp((longest + kLongestSide - 1) / kLongestSide, 1,
                        std::max(1, std::min(geometry.width, geometry.height)));
  grid.width = geometry.width / grid.bin;
  grid.height = geometry.height / grid.bin;
  return grid;
}

/// Along one axis: which outputs a shift reaches, and the four inputs each is made of.
struct Taps {
  int offset = 0;           // of the second tap, from the output's own place
  int first = 0, last = 0;  // outputs reached: first <= i < last
  int reach_before = 0, reach_behind = 0;
  std::array<float, 4> weights{0.0f, 1.0f, 0.0f, 0.0f};
};

// R. Keys, IEEE Trans. ASSP 29, 1153 (1981), a = -1/2: third order, its response flat to half
// Nyquist.
Taps taps_of(double shift, int size) {
  Taps taps;
  const double whole = std::floor(shift);
  if (!(std::abs(shift) < size)) return taps;
  taps.offset = static_cast<int>(whole);
  const double t = shift - whole;
  if (t > 1e-6) {
    taps.weights = {static_cast<float>(((-0.5 * t + 1.0) * t - 0.5) * t),
                    static_cast<float>((1.5 * t - 2.5) * t * t + 1.0),
                    static_cast<float>(((-1.5 * t + 2.0) * t + 0.5) * t),
                    static_cast<float>((0.5 * t - 0.5) * t * t)};
    taps.reach_before = 1;
    taps.reach_behind = 2;
  }
  taps.first = std::max(0, taps.reach_before - taps.offset);
  taps.last = std::max(taps.first, std::min(size, size - taps.reach_behind - taps.offset));
  return taps;
}

LATTICED_HOT void blend_rows(const float* a, const float* b, const float* c, const float* d,
                             const float* weights, int count, float* out) {
  const float wa = weights[0], wb = weights[1], wc = weights[2], wd = weights[3];
  for (int i = 0; i < count; ++i) out[i] = wa * a[i] + wb * b[i] + wc * c[i] + wd * d[i];
}

LATTICED_HOT void add_blended(const float* in, const float* weights, int count, double* sums) {
  const float wa = weights[0], wb = weights[1], wc = weights[2], wd = weights[3];
  for (int i = 0; i < count; ++i)
    sums[i] += static_cast<double>(wa * in[i] + wb * in[i + 1] + wc * in[i + 2] + wd * in[i + 3]);
}

}  // namespace

AlignedMean::AlignedMean(const FrameGeometry& geometry, signal::CorrectionMaps maps)
    : geometry_(geometry),
      maps_(std::move(maps)),
      grid_(grid_of(geometry)),
      repair_(grid_, geometry, maps_.hot_pixels),
      row_scratch_(static_cast<std::size_t>(grid_.width) * static_cast<std::size_t>(grid_.bin)),
      cells_(cells()),
      row_(static_cast<std::size_t>(grid_.width) + 3),
      sums_(cells(), 0.0),
      corners_((static_cast<std::size_t>(grid_.width) + 1) *
                   (static_cast<std::size_t>(grid_.height) + 1),
               0) {}

void AlignedMean::add(std::span<const std::byte> raw, Vector2 drift_px) {
  const Taps x = taps_of(drift_px.x / grid_.bin, grid_.width);
  const Taps y = taps_of(drift_px.y / grid_.bin, grid_.height);
  if (x.first >= x.last || y.first >= y.last) return;
  ++frames_;
  signal::bin_image(raw, geometry_, grid_, maps_, repair_, 0.0, row_scratch_, cells_);

  // Columns of the input that are needed; row_[0] is the first tap of the first output. A whole
  // shift has one tap only: the other places of row_ stay finite and are weighted with 0.
  const int count = x.last - x.first;
  const int needed = count + x.reach_before + x.reach_behind;
  const int from = x.first + x.offset - x.reach_before;
  float* blended = row_.data() + 1 - x.reach_before;
  std::fill(row_.begin(), row_.end(), 0.0f);
  const auto input = [&](int row) {
    return cells_.data() + static_cast<std::size_t>(row) * static_cast<std::size_t>(grid_.width) +
           from;
  };
  for (int out = y.first; out < y.last; ++out) {
    const int at = out + y.offset;
    const float* rows[] = {input(at - y.reach_before), input(at),
                           input(at + std::min(1, y.reach_behind)), input(at + y.reach_behind)};
    blend_rows(rows[0], rows[1], rows[2], rows[3], y.weights.data(), needed, blended);
    add_blended(row_.data(), x.weights.data(), count,
                sums_.data() +
                    static_cast<std::size_t>(out) * static_cast<std::size_t>(grid_.width) +
                    x.first);
  }
  const auto corner = [&](int column, int row) -> std::int64_t& {
    return corners_[static_cast<std::size_t>(row) * (static_cast<std::size_t>(grid_.width) + 1) +
                    static_cast<std::size_t>(column)];
  };
  ++corner(x.first, y.first);
  --corner(x.last, y.first);
  --corner(x.first, y.last);
  ++corner(x.last, y.last);
}

std::vector<std::uint32_t> AlignedMean::coverage() const {
  const auto width = static_cast<std::size_t>(grid_.width);
  std::vector<std::uint32_t> out(cells());
  std::vector<std::int64_t> above(width, 0);
  for (std::size_t y = 0; y < static_cast<std::size_t>(grid_.height); ++y) {
    std::int64_t along = 0;
    for (std::size_t x = 0; x < width; ++x) {
      along += corners_[y * (width + 1) + x];
      above[x] += along;
      out[y * width + x] = static_cast<std::uint32_t>(above[x]);
    }
  }
  return out;
}

std::vector<float> AlignedMean::mean() const {
  const std::vector<std::uint32_t> counts = coverage();
  const double area = static_cast<double>(grid_.bin) * grid_.bin;
  std::vector<float> out(cells());
  for (std::size_t i = 0; i < out.size(); ++i)
    out[i] = counts[i] ? static_cast<float>(sums_[i] / (area * counts[i]))
                       : std::numeric_limits<float>::quiet_NaN();
  return out;
}

}  // namespace latticed
