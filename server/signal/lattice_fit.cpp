// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/signal/lattice_fit.hpp"

#include <cmath>

namespace latticed::signal {

namespace {

// L of a = L L^T in the lower triangle.
bool factor(Matrix4* a) noexcept {
  for (std::size_t j = 0; j < 4; ++j) {
    for (std::size_t k = 0; k < j; ++k) (*a)[j][j] -= (*a)[j][k] * (*a)[j][k];
    if (!((*a)[j][j] > 0.0)) return false;
    (*a)[j][j] = std::sqrt((*a)[j][j]);
    for (std::size_t i = j + 1; i < 4; ++i) {
      for (std::size_t k = 0; k < j; ++k) (*a)[i][j] -= (*a)[i][k] * (*a)[j][k];
      (*a)[i][j] /= (*a)[j][j];
    }
  }
  return true;
}

void back_substitute(const Matrix4& l, Vector4* b) noexcept {
  for (std::size_t i = 0; i < 4; ++i) {
    for (std::size_t k = 0; k < i; ++k) (*b)[i] -= l[i][k] * (*b)[k];
    (*b)[i] /= l[i][i];
  }
  for (std::size_t i = 4; i-- > 0;) {
    for (std::size_t k = i + 1; k < 4; ++k) (*b)[i] -= l[k][i] * (*b)[k];
    (*b)[i] /= l[i][i];
  }
}

}  // namespace

Covariance2 LatticeBasis::covariance_at(double h, double k) const noexcept {
  const Matrix4& c = covariance;
  const auto mix = [&](std::size_t i, std::size_t j) {
    return h * h * c[i][j] + h * k * (c[i][j + 2] + c[i + 2][j]) + k * k * c[i + 2][j + 2];
  };
  return {mix(0, 0), mix(0, 1), mix(1, 1)};
}

Vector2 LatticeBasis::index_of(Vector2 f) const noexcept {
  const double det = area();
  return {(f.x * g2.y - f.y * g2.x) / det, (f.y * g1.x - f.x * g1.y) / det};
}

bool solve(Matrix4 a, Vector4* b) noexcept {
  if (!factor(&a)) return false;
  back_substitute(a, b);
  return true;
}

bool invert(const Matrix4& a, Matrix4* out) noexcept {
  Matrix4 l = a;
  if (!factor(&l)) return false;
  for (std::size_t i = 0; i < 4; ++i) {
    Vector4 unit{};
    unit[i] = 1.0;
    back_substitute(l, &unit);
    (*out)[i] = unit;
  }
  return true;
}

bool fit_lattice(std::span<const IndexedSpot> spots, LatticeBasis* out) noexcept {
  bool is_plane = false;
  for (const IndexedSpot& a : spots)
    for (const IndexedSpot& b : spots) is_plane = is_plane || a.h * b.k != a.k * b.h;
  if (!is_plane) return false;
  Matrix4 normal{};
  Vector4 right{};
  for (const IndexedSpot& spot : spots) {
    const Covariance2& c = spot.covariance;
    const double det = c.xx * c.yy - c.xy * c.xy;
    if (!(det > 0.0)) continue;
    const double w[2][2] = {{c.yy / det, -c.xy / det}, {-c.xy / det, c.xx / det}};
    const double f[2] = {spot.frequency.x, spot.frequency.y};
    const double index[2] = {static_cast<double>(spot.h), static_cast<double>(spot.k)};
    for (std::size_t i = 0; i < 4; ++i) {
      right[i] += index[i / 2] * (w[i % 2][0] * f[0] + w[i % 2][1] * f[1]);
      for (std::size_t j = 0; j < 4; ++j)
        normal[i][j] += index[i / 2] * index[j / 2] * w[i % 2][j % 2];
    }
  }
  if (!invert(normal, &out->covariance)) return false;
  Vector4 p{};
  for (std::size_t i = 0; i < 4; ++i)
    for (std::size_t j = 0; j < 4; ++j) p[i] += out->covariance[i][j] * right[j];
  out->g1 = {p[0], p[1]};
  out->g2 = {p[2], p[3]};
  return true;
}

}  // namespace latticed::signal
