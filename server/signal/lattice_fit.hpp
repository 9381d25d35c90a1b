// SPDX-License-Identifier: GPL-3.0-or-later
// Two reciprocal basis vectors from all indexed spots of one frame: f = h g1 + k g2, weighted least
// squares with the inverse of each spot's covariance (four unknowns, two equations a spot). It is
// the maximum of the joint likelihood as far as each spot's is a parabola. Used by LatticeTracker.
#pragma once

#include <array>
#include <span>

#include "server/frame/measurements.hpp"
#include "server/signal/spot_refine.hpp"

namespace latticed::signal {

using Vector4 = std::array<double, 4>;
using Matrix4 = std::array<Vector4, 4>;

/// g1 and g2 in cycles per cell; covariance of (g1.x, g1.y, g2.x, g2.y).
struct LatticeBasis {
  Vector2 g1, g2;
  Matrix4 covariance{};

  [[nodiscard]] Vector4 values() const noexcept { return {g1.x, g1.y, g2.x, g2.y}; }
  /// Where the spot (h, k), which need not be integers, is expected.
  [[nodiscard]] Vector2 at(double h, double k) const noexcept {
    return {h * g1.x + k * g2.x, h * g1.y + k * g2.y};
  }
  /// Covariance of at(h, k).
  [[nodiscard]] Covariance2 covariance_at(double h, double k) const noexcept;
  /// (h, k) of a frequency, not rounded.
  [[nodiscard]] Vector2 index_of(Vector2 frequency) const noexcept;
  /// g1 x g2: the area of the reciprocal cell, cycles^2 per cell^2, signed.
  [[nodiscard]] double area() const noexcept { return g1.x * g2.y - g1.y * g2.x; }
};

/// A spot as the fit sees it.
struct IndexedSpot {
  Vector2 frequency;       // cycles per cell
  Covariance2 covariance;  // of it
  int h = 0, k = 0;
};

/// False when the spots do not fix the basis: fewer than two, or all on one row.
[[nodiscard]] bool fit_lattice(std::span<const IndexedSpot> spots, LatticeBasis* out) noexcept;

/// Solves a x = b for a symmetric positive definite `a` by Cholesky's factors, in place of b; false
/// when it is not.
[[nodiscard]] bool solve(Matrix4 a, Vector4* b) noexcept;
/// The inverse of a symmetric positive definite matrix; false when it is not.
[[nodiscard]] bool invert(const Matrix4& a, Matrix4* out) noexcept;

}  // namespace latticed::signal
