// SPDX-License-Identifier: GPL-3.0-or-later
// Raw pixels to analysis cells in one pass: correct (dark, gain), sum bin x bin pixels, and gather
// on the way what the rest needs: the least-squares plane, extremes, values that are not numbers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "server/signal/analysis_grid.hpp"
#include "server/signal/compact_maps.hpp"
#include "server/signal/frame_fft.hpp"

namespace latticed::signal {

/// Detector references. Empty vectors: no such correction. Raw geometry, rows packed.
struct CorrectionMaps {
  std::vector<float> dark;  // counts, subtracted
  std::vector<float> gain;  // factor, multiplied after the dark was subtracted; mean about 1
  std::vector<std::uint32_t> hot_pixels;  // raw indices, ascending; replaced by their neighbours
};

struct ImageStatistics {
  double mean = 0.0;                    // of a corrected raw pixel
  double raw_min = 0.0, raw_max = 0.0;  // before correction
  std::size_t at_ceiling = 0;           // raw pixels at or above the saturation level
  std::size_t not_finite = 0;  // raw pixels that are NaN or infinite (f32 only), taken as mean
  Plane plane;                 // of the cells
};

/// Which cells hot pixels spoil, and which raw pixels mend them. Made once per geometry.
class HotPixelRepair {
 public:
  HotPixelRepair() = default;
  HotPixelRepair(const AnalysisGrid& grid, const FrameGeometry& geometry,
                 const std::vector<std::uint32_t>& hot_pixels);
  struct Cell {
    std::uint32_t cell = 0;        // index in the analysis image
    std::uint32_t first_good = 0;  // in good_pixels
    std::uint32_t good_count = 0;  // the good raw pixels of the cell, or of its surroundings
  };
  std::vector<Cell> cells;
  std::vector<std::uint32_t> good_pixels;  // raw indices
};

/// Fills `cells` (grid.height x grid.width). Integer types have no value that is not finite.
/// `saturation` <= 0: the type's largest value (floating point: none). Does not allocate.
/// `compact`: none, or made of these maps for this grid; what it is off by stands in its header.
ImageStatistics bin_image(std::span<const std::byte> raw, const FrameGeometry& geometry,
                          const AnalysisGrid& grid, const CorrectionMaps& maps,
                          const HotPixelRepair& repair, double saturation,
                          std::span<float> row_scratch, std::span<float> cells,
                          const CompactMaps& compact = {});

}  // namespace latticed::signal
