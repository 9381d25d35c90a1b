// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/signal/analysis_grid.hpp"

#include <algorithm>
#include <cmath>
#include <string>

namespace latticed::signal {

namespace {

int largest_smooth_size(int limit) {
  for (int size = limit; size > 1; --size) {
    int rest = size;
    for (int factor : {2, 3, 5, 7})
      while (rest % factor == 0) rest /= factor;
    // Even, so that a frequency exists exactly at half the sampling rate on both axes.
    if (rest == 1 && (size % 2 == 0 || limit < 4)) return size;
  }
  return std::max(limit, 0);
}

}  // namespace

Result<AnalysisGrid> make_grid(const FrameGeometry& geometry, int bin, const Region& wanted,
                               double band) {
  Region region = wanted;
  if (region.width == 0 && region.height == 0) region = {0, 0, geometry.width, geometry.height};
  if (region.x < 0 || region.y < 0 || region.width < 1 || region.height < 1 ||
      region.x > geometry.width - region.width || region.y > geometry.height - region.height)
    return Error{ErrorCode::invalid_argument,
                 "analysis region x=" + std::to_string(region.x) +
                     " y=" + std::to_string(region.y) + " " + std::to_string(region.width) + "x" +
                     std::to_string(region.height) + ": not inside the frame of " +
                     std::to_string(geometry.width) + "x" + std::to_string(geometry.height) +
                     " pixels"};
  if (bin < 0 || bin > 16)
    return Error{ErrorCode::invalid_argument,
                 "bin " + std::to_string(bin) + ": expected 0 (automatic) or 1 to 16"};
  if (bin == 0)
    for (bin = 1; std::max(region.width, region.height) / bin > 1024 && bin < 16;) bin *= 2;

  AnalysisGrid grid;
  grid.bin = bin;
  grid.band = band;
  grid.width = largest_smooth_size(region.width / bin);
  grid.height = largest_smooth_size(region.height / bin);
  grid.x0 = region.x + (region.width - grid.width * bin) / 2;
  grid.y0 = region.y + (region.height - grid.height * bin) / 2;
  grid.kx_count =
      std::min(grid.width / 2 + 1, static_cast<int>(std::ceil(band * grid.width / 2.0)) + 1);
  grid.k_band = std::min((grid.height - 1) / 2, static_cast<int>(band * grid.height / 2.0));
  // 16 cells of padding: columns a power of two apart would share a few cache sets.
  grid.column_stride = static_cast<std::size_t>((grid.height + 15) / 16 * 16 + 16);
  return grid;
}

}  // namespace latticed::signal
