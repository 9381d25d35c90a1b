// SPDX-License-Identifier: GPL-3.0-or-later
// What one frame tells about the waves of one domain: the Fisher information of
//   expected(r) = known + m(r) sum_k C_k cos(2 pi (g_k.r + p_k))
// with g_k, C_k and p_k free, envelope m and everything else known, and the noise of each pixel
// given. Added up row by row; what several waves have in common is put in afterwards.
#pragma once

#include <array>
#include <optional>
#include <span>
#include <vector>

#include "sim/bound/symmetric_inverse.hpp"
#include "sim/specimen/domain.hpp"

namespace latticed::sim {

/// Where the pixels are: position of pixel (x, y) in specimen coordinates, nm.
struct PixelGrid {
  int width = 0;
  double pixel_size_nm = 0.0;
  Vector first_nm;       // of pixel (0, 0)
  double unit_nm = 1.0;  // about half a field: coordinates in it are of the order of one
};

/// g_k of a wave as a combination of one or two vectors it shares with others: n q of a family
/// of harmonics, or h A + l B of a lattice.
struct SharedBy {
  std::size_t wave = 0;
  std::array<double, 2> index{};
};

class LatticeInformation {
 public:
  /// `waves`: amplitudes as the detector shows them, in units of the dose, none of them 0.
  LatticeInformation(std::vector<PlaneWave> waves, const PixelGrid& grid);

  /// Row y: `envelope` 0..1; `precision` = dose / sqrt(variance of the pixel in electrons^2).
  void add_row(int y, std::span<const float> envelope, std::span<const float> precision);

  /// Least standard deviation of |g| of each wave of `shared`, 1/nm, when all of them share
  /// `vectors` (1 or 2) vectors and each has its own amplitude and phase. None when the vectors
  /// are not determined.
  [[nodiscard]] std::optional<std::vector<double>> sigma_g_per_nm(std::span<const SharedBy> shared,
                                                                  std::size_t vectors) const;

 private:
  void fill_basis(int y, std::span<const float> envelope, std::span<const float> precision);

  std::vector<PlaneWave> waves_;
  PixelGrid grid_;
  std::size_t columns_;         // parameters, filled up to a whole number of SIMD registers
  std::vector<float> basis_;    // of one row: for each pixel the derivative to each parameter
  std::vector<float> row_sum_;  // information of the row
  std::vector<double> information_;
};

}  // namespace latticed::sim
