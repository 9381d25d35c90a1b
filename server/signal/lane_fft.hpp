// SPDX-License-Identifier: GPL-3.0-or-later
// The forward transform of a frame whose sides are powers of two, by whole vectors: sixteen rows,
// or sixteen points of one column, go through each butterfly side by side, so that no vector is
// taken apart except where rows become lanes. Debian's FFTW has no vectors longer than 8 floats;
// this is three times as fast where there are 16, needs no planning, and gives the same bits
// whatever vectors a processor has. Other sizes are FFTW's (frame_fft.cpp, the only caller).
//
// Rows: a real row of W is a complex one of W/2 (Press et al., Numerical Recipes, 12.3). Columns:
// H = 16 M, M-point transforms of every sixteenth cell, a turn, 16-point transforms ("four-step",
// Bailey 1990). Both in place by decimation in frequency, radix 8 and 4; where a frequency then
// lies is looked up, which costs nothing, since each place is a cache line.
#pragma once

#include <cstdint>
#include <vector>

#include "server/signal/analysis_grid.hpp"

namespace latticed::signal {

/// What is done to a row of cells on the way in: (cell - at_0[row] - slope x) taper_x[x]
/// taper_y[row].
struct RowBlockTaper {
  const float* taper_x = nullptr;
  float taper_y[16] = {}, at_0[16] = {};
  float slope = 0.0f;
};

class LaneFft {
 public:
  /// Floats a register holds. The result does not depend on it.
  enum class Lanes : std::uint8_t { four = 4, eight = 8, sixteen = 16 };
  static constexpr int kRows = 16;

  /// Both sides are powers of two from 256 to 16384.
  [[nodiscard]] static bool fits(const AnalysisGrid& grid) noexcept;
  /// What this processor has, the widest last.
  [[nodiscard]] static std::vector<Lanes> available();

  /// `grid` fits.
  explicit LaneFft(const AnalysisGrid& grid, Lanes lanes = available().back());

  /// Floats of scratch a call needs, on a 64-byte boundary; a thread has its own.
  [[nodiscard]] std::size_t scratch_size() const noexcept;

  /// Rows y0 to y0+15 (y0 a multiple of 16; `cells`: the first of them, packed). Columns of `out`
  /// then hold them in an order of their own. Any thread.
  void transform_rows(const float* cells, const RowBlockTaper& taper, int y0, float* scratch,
                      Spectrum& out) const noexcept;
  /// After all rows: column kx becomes that of the spectrum. Any thread.
  void transform_column(int kx, float* scratch, Spectrum& out) const noexcept;

  /// One step of a transform of `points`, in blocks of `length`.
  struct Step {
    int radix = 0;
    std::size_t length = 0;
    std::vector<float> turns;  // exp(-2 pi i j q / length): for each j the radix-1 pairs q >= 1
  };
  struct Plan {
    std::size_t points = 0;
    std::vector<Step> steps;
    std::vector<std::uint32_t> place_of;  // where a frequency lies afterwards
  };
  struct Tables {
    AnalysisGrid grid;
    Plan row, column;
    std::vector<float> row_turns;       // exp(-2 pi i k / W) / 2, k = 0 .. W/4
    AlignedBuffer<float> column_turns;  // exp(-2 pi i y k / H), y = 0 .. 15 by k = 0 .. H/16-1
  };

 private:
  using RowKernel = void (*)(const Tables&, const float*, const RowBlockTaper&, float*, float*);
  using ColumnKernel = void (*)(const Tables&, float*, float*);
  Tables tables_;
  RowKernel row_kernel_;
  ColumnKernel column_kernel_;
};

}  // namespace latticed::signal
