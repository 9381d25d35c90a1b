// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/publish/aligned_mean.hpp"

#include <algorithm>
#include <limits>

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

}  // namespace

AlignedMean::AlignedMean(const FrameGeometry& geometry, signal::CorrectionMaps maps)
    : geometry_(geometry),
      maps_(std::move(maps)),
      grid_(grid_of(geometry)),
      repair_(grid_, geometry, maps_.hot_pixels),
      row_scratch_(static_cast<std::size_t>(grid_.width) * static_cast<std::size_t>(grid_.bin)),
      cells_(cells()),
      shift_(grid_.width, grid_.height),
      row_(static_cast<std::size_t>(grid_.width)),
      sums_(cells(), 0.0),
      corners_((static_cast<std::size_t>(grid_.width) + 1) *
                   (static_cast<std::size_t>(grid_.height) + 1),
               0) {}

void AlignedMean::add(std::span<const std::byte> raw, Vector2 drift_px) {
  const ImageShift::Covered to = shift_.aim({drift_px.x / grid_.bin, drift_px.y / grid_.bin});
  if (to.is_empty()) return;
  ++frames_;
  signal::bin_image(raw, geometry_, grid_, maps_, repair_, 0.0, row_scratch_, cells_);
  for (int y = to.y0; y < to.y1; ++y) {
    shift_.row(cells_.data(), y, row_.data());
    double* sums =
        sums_.data() + static_cast<std::size_t>(y) * static_cast<std::size_t>(grid_.width);
    for (int x = to.x0; x < to.x1; ++x)
      sums[x] += static_cast<double>(row_[static_cast<std::size_t>(x)]);
  }
  const auto corner = [&](int column, int row) -> std::int64_t& {
    return corners_[static_cast<std::size_t>(row) * (static_cast<std::size_t>(grid_.width) + 1) +
                    static_cast<std::size_t>(column)];
  };
  ++corner(to.x0, to.y0);
  --corner(to.x1, to.y0);
  --corner(to.x0, to.y1);
  ++corner(to.x1, to.y1);
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
