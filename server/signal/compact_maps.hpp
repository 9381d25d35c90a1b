// SPDX-License-Identifier: GPL-3.0-or-later
// Correction maps for uint16 frames, of which a frame reads a quarter to three quarters of what
// float maps would cost it, for one analysis grid. A cell is
//   sum (raw - dark) gain = sum raw gain - sum dark gain,
// so the dark is one number a cell, and the gain is kept as 16-bit fixed point. Products and their
// sums are whole numbers: a cell is rounded where it becomes a float and where the dark is taken
// off, nowhere else, so its bits do not depend on the vectors used. Called by bin_image alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "server/signal/aligned_buffer.hpp"
#include "server/signal/analysis_grid.hpp"

namespace latticed::signal {

struct CorrectionMaps;

class CompactMaps {
 public:
  /// A gain is off by at most half of this, so a pixel of N electrons by 1.5e-5 N: a 250th of its
  /// shot noise at 70 000 electrons, 1/20 000 at 10.
  static constexpr double kGainStep = 1.0 / 32768;

  /// None: is_used() is false.
  CompactMaps() = default;
  /// None where there are no maps, where the frames are not uint16 or the bin is not 1, 2 or 4, and
  /// where more than a 64th of the cells have a gain outside 0 to 2.
  CompactMaps(const AnalysisGrid& grid, const FrameGeometry& geometry, const CorrectionMaps& maps);

  [[nodiscard]] bool is_used() const noexcept { return is_used_; }
  /// Cells that hold a gain outside 0 to 2, ascending: bin_row() leaves them wrong, the maps
  /// themselves must mend them.
  [[nodiscard]] const std::vector<std::uint32_t>& exceptions() const noexcept {
    return exceptions_;
  }

  [[nodiscard]] bool has_gain() const noexcept { return gain_.size() > 0; }

  /// One row of cells, gain included, dark not; only where has_gain(). `raw`: the whole frame;
  /// `out`: the grid's width. Any thread.
  void bin_row(const std::uint16_t* raw, int y, float* out) const noexcept;
  /// The dark off a row of cells.
  void take_off_dark(int y, float* out) const noexcept;

 private:
  AnalysisGrid grid_;
  std::size_t width_ = 0;  // of the frame
  bool is_used_ = false;
  AlignedBuffer<std::uint16_t> gain_;  // as the frame, in steps; empty: 1
  AlignedBuffer<float> dark_;          // as the cells, gain included; empty: 0
  std::vector<std::uint32_t> exceptions_;
};

}  // namespace latticed::signal
