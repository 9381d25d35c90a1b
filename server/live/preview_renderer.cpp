// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/live/preview_renderer.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <utility>

#include "server/base/hot.hpp"
#include "server/live/jpeg.hpp"

namespace latticed {
namespace {

static_assert(std::endian::native == std::endian::little, "16-bit pixels are sent as they are");

// Pixels the grey levels are chosen by, about: the 0.5 % that are darkest are known to a tenth of
// it.
constexpr std::size_t kSampled = 16384;
constexpr float kNothing = std::numeric_limits<float>::quiet_NaN();

signal::AnalysisGrid grid_of(const FrameGeometry& geometry, int bin) {
  signal::AnalysisGrid grid;
  grid.bin = bin;
  grid.width = geometry.width / bin;
  grid.height = geometry.height / bin;
  return grid;
}

std::size_t cells_of(const signal::AnalysisGrid& grid) {
  return static_cast<std::size_t>(grid.width) * static_cast<std::size_t>(grid.height);
}

struct GreyLevels {
  double black = 0.0, white = 1.0;
};

GreyLevels levels_of(std::span<const float> values, const View& view) {
  std::vector<float> sample;
  sample.reserve(2 * kSampled);
  const std::size_t step = std::max<std::size_t>(1, values.size() / kSampled);
  for (std::size_t i = 0; i < values.size(); i += step)
    if (std::isfinite(values[i])) sample.push_back(values[i]);
  std::ptrdiff_t sorted = 0;  // all before it are smaller than all behind
  const auto percentile = [&](double part) {
    if (sample.empty()) return 0.0;
    const auto at = static_cast<std::ptrdiff_t>(part * static_cast<double>(sample.size() - 1));
    std::nth_element(sample.begin() + sorted, sample.begin() + at, sample.end());
    sorted = at;
    return static_cast<double>(sample[static_cast<std::size_t>(at)]);
  };
  GreyLevels levels;
  levels.black = view.black ? *view.black : percentile(0.005);  // the lower one first
  levels.white = view.white ? *view.white : percentile(0.995);
  // An even picture is grey 0; nothing is divided by 0.
  if (!(levels.white > levels.black)) levels.white = levels.black + 1.0;
  return levels;
}

// Also what is no number is 0. A function per type, since target_clones does not reach into
// templates.
#define LATTICED_TO_GREYS(Grey)                                                                 \
  LATTICED_HOT void to_greys(const float* values, std::size_t count, float black, float factor, \
                             Grey* out) {                                                       \
    constexpr auto kFull = static_cast<float>(std::numeric_limits<Grey>::max());                \
    for (std::size_t i = 0; i < count; ++i) {                                                   \
      const float grey = (values[i] - black) * factor + 0.5f;                                   \
      const float inside = grey >= 1.0f ? grey : 0.0f;                                          \
      out[i] = static_cast<Grey>(static_cast<std::int32_t>(inside < kFull ? inside : kFull));   \
    }                                                                                           \
  }
LATTICED_TO_GREYS(std::uint8_t)
LATTICED_TO_GREYS(std::uint16_t)
#undef LATTICED_TO_GREYS

template <class Grey>
std::vector<Grey> greys_of(std::span<const float> values, const GreyLevels& levels) {
  constexpr auto kFull = static_cast<float>(std::numeric_limits<Grey>::max());
  std::vector<Grey> out(values.size());
  to_greys(values.data(), values.size(), static_cast<float>(levels.black),
           static_cast<float>(kFull / (levels.white - levels.black)), out.data());
  return out;
}

LATTICED_HOT void multiply(float* values, std::size_t count, float by) {
  for (std::size_t i = 0; i < count; ++i) values[i] *= by;
}

LATTICED_HOT void subtract(const float* from, const float* what, std::size_t count, float* out) {
  for (std::size_t i = 0; i < count; ++i) out[i] = from[i] - what[i];
}

}  // namespace

PreviewRenderer::Scale::Scale(const FrameGeometry& geometry, int bin,
                              const signal::CorrectionMaps& maps)
    : grid(grid_of(geometry, bin)),
      repair(grid, geometry, maps.hot_pixels),
      row_scratch(static_cast<std::size_t>(grid.width) * static_cast<std::size_t>(bin)),
      cells(cells_of(grid)),
      shift(grid.width, grid.height) {}

PreviewRenderer::PreviewRenderer(const RunInfo& run)
    : run_(run), maps_(run.maps ? *run.maps : signal::CorrectionMaps{}) {}

int PreviewRenderer::bin_for(int size) const {
  const FrameGeometry& geometry = run_.configuration.geometry;
  const int longest = std::max(geometry.width, geometry.height);
  const int shortest = std::max(1, std::min(geometry.width, geometry.height));
  return std::clamp((longest + size - 1) / size, 1, shortest);
}

void PreviewRenderer::show(const ShownFrame& frame) {
  frame_ = frame;
  for (auto& [bin, scale] : scales_) scale.has_cells = scale.has_aligned = false;
}

PreviewRenderer::Scale& PreviewRenderer::scale_of(int bin) {
  return scales_.try_emplace(bin, run_.configuration.geometry, bin, maps_).first->second;
}

const PreviewRenderer::Scale& PreviewRenderer::with_cells(int bin) {
  Scale& scale = scale_of(bin);
  if (scale.has_cells) return scale;
  signal::bin_image(frame_.raw, run_.configuration.geometry, scale.grid, maps_, scale.repair, 0.0,
                    scale.row_scratch, scale.cells);
  const float area = static_cast<float>(bin) * static_cast<float>(bin);
  multiply(scale.cells.data(), scale.cells.size(), 1.0f / area);
  scale.has_cells = true;
  return scale;
}

PreviewRenderer::Scale& PreviewRenderer::with_aligned(int bin) {
  (void)with_cells(bin);
  Scale& scale = scale_of(bin);
  if (scale.has_aligned) return scale;
  scale.covered = scale.shift.aim({frame_.drift_px.x / bin, frame_.drift_px.y / bin});
  const ImageShift::Covered& covered = scale.covered;
  const int width = scale.grid.width;
  scale.aligned.resize(scale.cells.size());
  float* row = scale.aligned.data();
  for (int y = 0; y < scale.grid.height; ++y, row += width) {
    if (covered.is_empty() || y < covered.y0 || y >= covered.y1) {
      std::fill_n(row, width, kNothing);
      continue;
    }
    std::fill_n(row, covered.x0, kNothing);
    scale.shift.row(scale.cells.data(), y, row);
    std::fill_n(row + covered.x1, width - covered.x1, kNothing);
  }
  scale.has_aligned = true;
  return scale;
}

void PreviewRenderer::accumulate(int bin) {
  Scale& scale = with_aligned(bin);
  if (!scale.covered.is_empty()) scale.mean.add(scale.aligned, scale.grid.width, scale.covered);
}

void PreviewRenderer::keep_means(std::span<const int> bins) {
  for (auto& [bin, scale] : scales_)
    if (std::find(bins.begin(), bins.end(), bin) == bins.end()) scale.mean.forget();
}

std::optional<PreviewRenderer::Picture> PreviewRenderer::picture_of(const View& view, int bin) {
  Picture out;
  if (view.kind == v1::IMAGE_KIND_RAW) {
    out.values = with_cells(bin).cells;
  } else if (view.kind == v1::IMAGE_KIND_RUNNING_MEAN) {
    const Scale& scale = scale_of(bin);
    if (scale.mean.is_empty()) return std::nullopt;
    scale.mean.read(values_);
    out.values = values_;
  } else {
    const Scale& scale = with_aligned(bin);
    out.values = scale.aligned;
    if (view.kind == v1::IMAGE_KIND_DIFFERENCE) {
      if (scale.mean.is_empty()) return std::nullopt;
      scale.mean.read(values_);
      subtract(scale.aligned.data(), values_.data(), values_.size(), values_.data());
      out.values = values_;
    }
  }
  const Scale& scale = scale_of(bin);
  out.width = scale.grid.width;
  out.height = scale.grid.height;
  return out;
}

std::optional<v1::Image> PreviewRenderer::fourier(const View& view) {
  if (!run_.grid.is_measurable()) return std::nullopt;
  const FrameGeometry& geometry = run_.configuration.geometry;
  if (!fourier_) fourier_ = std::make_unique<FourierView>(run_.grid, geometry, maps_);
  const FourierView::Picture drawn = fourier_->draw(frame_.raw, maps_, view.size);
  v1::Image out;
  encode({drawn.side, drawn.side, drawn.log_magnitude}, view, out);
  const bool is_known = run_.pixel_size_nm > 0.0;
  out.set_pixel_size(is_known ? drawn.step / run_.pixel_size_nm : drawn.step);
  out.set_pixel_unit(is_known ? "1/nm" : "1/px");
  out.set_unit("ln(magnitude)");
  return out;
}

void PreviewRenderer::encode(const Picture& picture, const View& view, v1::Image& out) {
  const GreyLevels levels = levels_of(picture.values, view);
  out.set_width(static_cast<std::uint32_t>(picture.width));
  out.set_height(static_cast<std::uint32_t>(picture.height));
  out.set_encoding(view.encoding);
  out.set_black(levels.black);
  out.set_white(levels.white);
  if (view.encoding == v1::ENCODING_GRAY16) {
    const auto greys = greys_of<std::uint16_t>(picture.values, levels);
    const auto bytes = std::as_bytes(std::span(greys));
    out.set_pixels(bytes.data(), bytes.size());
    return;
  }
  const auto greys = greys_of<std::uint8_t>(picture.values, levels);
  if (view.encoding == v1::ENCODING_JPEG)
    out.set_pixels(jpeg_of(greys, picture.width, picture.height));
  else
    out.set_pixels(greys.data(), greys.size());
}

std::optional<v1::Image> PreviewRenderer::render(const View& view) {
  std::optional<v1::Image> out;
  if (view.kind == v1::IMAGE_KIND_FFT) {
    out = fourier(view);
  } else {
    const int bin = bin_for(view.size);
    const auto picture = picture_of(view, bin);
    if (!picture) return std::nullopt;
    out.emplace();
    encode(*picture, view, *out);
    const bool is_known = run_.pixel_size_nm > 0.0;
    out->set_pixel_size(is_known ? bin * run_.pixel_size_nm : bin);
    out->set_pixel_unit(is_known ? "nm" : "px");
    out->set_unit("counts");
    if (view.kind != v1::IMAGE_KIND_RAW) {
      out->mutable_drift_px()->set_x(frame_.drift_px.x);
      out->mutable_drift_px()->set_y(frame_.drift_px.y);
    }
    out->set_effective_frames(
        view.kind == v1::IMAGE_KIND_RUNNING_MEAN ? scale_of(bin).mean.effective_frames() : 1.0);
  }
  if (!out) return out;
  if (view.kind == v1::IMAGE_KIND_FFT) out->set_effective_frames(1.0);
  out->set_kind(view.kind);
  out->set_seq(frame_.seq);
  if (frame_.time_ns != kUnknownTime) out->set_time_ns(frame_.time_ns);
  return out;
}

}  // namespace latticed
