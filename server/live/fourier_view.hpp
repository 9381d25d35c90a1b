// SPDX-License-Identifier: GPL-3.0-or-later
// The diffractogram of one frame, for looking at: logarithm of the magnitude of its Fourier
// transform under a Hann window, frequency 0 in the middle. One thread; plans once.
#pragma once

#include <span>
#include <vector>

#include "server/signal/bin_image.hpp"
#include "server/signal/frame_fft.hpp"

namespace latticed {

class FourierView {
 public:
  /// On the part of the frame and with the cells the analysis has. The grid is_measurable().
  FourierView(const signal::AnalysisGrid& grid, const FrameGeometry& geometry,
              const signal::CorrectionMaps& maps);

  /// Square; the middle (side / 2, side / 2) is frequency 0.
  struct Picture {
    int side = 0;
    double step = 0.0;  // cycles per raw pixel from one pixel of it to the next
    std::vector<float> log_magnitude;
  };
  /// Neighbours are averaged, a whole number along each axis, until the side is at most `side`.
  /// `maps` as for the constructor.
  Picture draw(std::span<const std::byte> raw, const signal::CorrectionMaps& maps, int side);

 private:
  class Magnitudes;  // what is kept of each column of the spectrum
  struct Span {      // the frequencies of an axis that fall into one pixel
    int first = 0, last = 0;
    [[nodiscard]] float count() const noexcept { return static_cast<float>(last - first + 1); }
  };
  static std::vector<Span> spans_of(int side, double frequencies_per_pixel, int size);
  void add_up_columns(const Span& x);

  const FrameGeometry geometry_;
  const signal::AnalysisGrid grid_;
  const signal::HotPixelRepair repair_;
  const signal::FrameFft fft_;
  signal::FrameFft::Workspace work_;
  signal::Spectrum spectrum_;
  std::vector<float> row_scratch_, cells_;
  std::vector<float> magnitudes_;          // kx >= 0, as the spectrum
  std::vector<float> forward_, backward_;  // a pixel's columns together: of kx >= 0, of kx < 0
  std::vector<float> line_;                // both, from the lowest ky to the highest
  std::vector<float> pooled_;              // the picture, column by column
};

}  // namespace latticed
