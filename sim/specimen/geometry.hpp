// SPDX-License-Identifier: GPL-3.0-or-later
// Vectors and deformations of the image plane: x right, y down, nm.
#pragma once

#include <cmath>

#include "sim/random/elementary.hpp"

namespace latticed::sim {

struct Vector {
  double x = 0.0;
  double y = 0.0;
};

[[nodiscard]] constexpr Vector operator+(Vector a, Vector b) noexcept {
  return {a.x + b.x, a.y + b.y};
}
[[nodiscard]] constexpr Vector operator-(Vector a, Vector b) noexcept {
  return {a.x - b.x, a.y - b.y};
}
[[nodiscard]] constexpr Vector operator*(double k, Vector a) noexcept { return {k * a.x, k * a.y}; }
[[nodiscard]] constexpr double dot(Vector a, Vector b) noexcept { return a.x * b.x + a.y * b.y; }
[[nodiscard]] inline double length(Vector a) noexcept { return std::sqrt(dot(a, a)); }

[[nodiscard]] inline Vector direction(double angle_deg) noexcept {
  const SinCos angle = sin_cos_turns(angle_deg / 360.0);
  return {angle.cosine, angle.sine};
}

/// Rows (xx, xy), (yx, yy): r' = F r.
struct Matrix {
  double xx = 1.0, xy = 0.0, yx = 0.0, yy = 1.0;
};

[[nodiscard]] constexpr Matrix operator*(const Matrix& a, const Matrix& b) noexcept {
  return {a.xx * b.xx + a.xy * b.yx, a.xx * b.xy + a.xy * b.yy, a.yx * b.xx + a.yy * b.yx,
          a.yx * b.xy + a.yy * b.yy};
}
[[nodiscard]] constexpr Vector operator*(const Matrix& a, Vector v) noexcept {
  return {a.xx * v.x + a.xy * v.y, a.yx * v.x + a.yy * v.y};
}

/// Stretch by `along` in direction n (a unit vector) and by `across` at right angles to it.
[[nodiscard]] constexpr Matrix stretch(Vector n, double along, double across) noexcept {
  const double k = along - across;
  return {across + k * n.x * n.x, k * n.x * n.y, k * n.x * n.y, across + k * n.y * n.y};
}

/// How reciprocal vectors change when the crystal is deformed by F: g' = F^-T g.
[[nodiscard]] constexpr Matrix inverse_transposed(const Matrix& f) noexcept {
  const double det = f.xx * f.yy - f.xy * f.yx;
  return {f.yy / det, -f.yx / det, -f.xy / det, f.xx / det};
}

/// F = V Q (design.md section 4): strain V - I, rotation of Q positive from +x to +y.
struct Strain {
  double xx = 0.0, yy = 0.0, xy = 0.0, rotation_rad = 0.0;
};

[[nodiscard]] inline Strain strain_of(const Matrix& f) noexcept {
  const double c = f.xx + f.yy;
  const double s = f.yx - f.xy;
  const double r = std::sqrt(c * c + s * s);
  const Matrix q_transposed{c / r, s / r, -s / r, c / r};
  const Matrix v = f * q_transposed;
  return {v.xx - 1.0, v.yy - 1.0, 0.5 * (v.xy + v.yx), std::atan2(s, c)};
}

}  // namespace latticed::sim
