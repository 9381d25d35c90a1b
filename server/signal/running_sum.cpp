// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/signal/running_sum.hpp"

#include "server/base/hot.hpp"

namespace latticed::signal {

namespace {

// to = keep to + from exp(+2 pi i k s) over all columns; keep is 0 or 1.
LATTICED_HOT void turn_columns(const Complex* from, Complex* to, const Complex* ramp_x,
                               const Complex* ramp_y, int columns, int rows, std::size_t stride,
                               float keep) {
  const float* ey = reinterpret_cast<const float*>(ramp_y);
  for (int kx = 0; kx < columns; ++kx) {
    const float xr = ramp_x[kx].real(), xi = ramp_x[kx].imag();
    const float* f = reinterpret_cast<const float*>(from + static_cast<std::size_t>(kx) * stride);
    float* t = reinterpret_cast<float*>(to + static_cast<std::size_t>(kx) * stride);
    for (int row = 0; row < rows; ++row) {
      const float er = ey[2 * row] * xr - ey[2 * row + 1] * xi;
      const float ei = ey[2 * row] * xi + ey[2 * row + 1] * xr;
      t[2 * row] = keep * t[2 * row] + (f[2 * row] * er - f[2 * row + 1] * ei);
      t[2 * row + 1] = keep * t[2 * row + 1] + (f[2 * row] * ei + f[2 * row + 1] * er);
    }
  }
}

}  // namespace

RunningSum::RunningSum(const AnalysisGrid& grid) : grid_(grid), ramps_(grid) {
  for (Part& part : parts_) part.spectrum = Spectrum(grid.spectrum_size());
}

void RunningSum::begin(std::size_t part, Vector2 place_cells) noexcept {
  parts_[part].place = place_cells;
  parts_[part].is_empty = true;
}

void RunningSum::turn_into(const Spectrum& from, Vector2 by_cells, bool is_first,
                           Spectrum& to) noexcept {
  ramps_.set(by_cells);
  turn_columns(from.data(), to.data(), ramps_.x(), ramps_.y(), grid_.kx_count, grid_.height,
               grid_.column_stride, is_first ? 0.0f : 1.0f);
}

void RunningSum::add(std::size_t part, const Spectrum& frame, Vector2 place_cells) noexcept {
  Part& to = parts_[part];
  turn_into(frame, {place_cells.x - to.place.x, place_cells.y - to.place.y}, to.is_empty,
            to.spectrum);
  to.is_empty = false;
}

void RunningSum::total(std::uint32_t parts, Vector2 place_cells, Spectrum& out) noexcept {
  bool is_first = true;
  for (std::size_t p = 0; p < kParts; ++p) {
    if (!(parts >> p & 1u) || parts_[p].is_empty) continue;
    turn_into(parts_[p].spectrum,
              {parts_[p].place.x - place_cells.x, parts_[p].place.y - place_cells.y}, is_first,
              out);
    is_first = false;
  }
}

}  // namespace latticed::signal
