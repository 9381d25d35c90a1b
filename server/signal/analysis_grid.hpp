// SPDX-License-Identifier: GPL-3.0-or-later
// The grid on which a frame is analysed: which raw pixels it covers, how they are binned, and which
// part of its spectrum is kept. One grid per detector and geometry; everything downstream agrees
// on frequencies through it.
#pragma once

#include <complex>
#include <cstddef>

#include "drivers/kit/frame_header.hpp"
#include "drivers/kit/result.hpp"
#include "server/signal/aligned_buffer.hpp"

namespace latticed::signal {

using Complex = std::complex<float>;

/// A rectangle of raw pixels. width = 0: the whole frame.
struct Region {
  int x = 0, y = 0, width = 0, height = 0;
};

struct AnalysisGrid {
  int bin = 1;
  int x0 = 0, y0 = 0;             // raw pixel of the grid's first cell, upper left corner
  int width = 0, height = 0;      // cells
  int kx_count = 0;               // spectrum columns kept: kx = 0 .. kx_count-1
  int k_band = 0;                 // cells of the spectrum along y kept: |ky| <= k_band
  double band = 0.8;              // the kept part, as a fraction of the Nyquist frequency
  std::size_t column_stride = 0;  // complex cells from one kx to the next (>= height)

  [[nodiscard]] bool is_measurable() const noexcept { return width >= 16 && height >= 16; }
  [[nodiscard]] std::size_t spectrum_size() const noexcept {
    return column_stride * static_cast<std::size_t>(kx_count);
  }
  /// ky as stored (0 .. height-1) to signed frequency index.
  [[nodiscard]] int signed_ky(int row) const noexcept {
    return row <= height / 2 ? row : row - height;
  }
  [[nodiscard]] int row_of(int ky) const noexcept { return ky < 0 ? ky + height : ky; }
  [[nodiscard]] std::size_t at(int kx, int row) const noexcept {
    return static_cast<std::size_t>(kx) * column_stride + static_cast<std::size_t>(row);
  }
};

/// Chooses the grid for a frame: `bin` 0 means the smallest power of two that brings the longer
/// side to 1024 cells or fewer. The grid is cut to the nearest size with factors 2, 3, 5, 7 only
/// and centred. Error invalid_argument when the region is not inside the frame.
Result<AnalysisGrid> make_grid(const FrameGeometry& geometry, int bin, const Region& region,
                               double band);

/// The spectrum of one frame: columns kx >= 0 of the 2-D transform, stored column by column
/// (kx-major), because detection, drift and blocks around spots all walk along ky.
using Spectrum = AlignedBuffer<Complex>;

}  // namespace latticed::signal
