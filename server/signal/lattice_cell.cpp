// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/signal/lattice_cell.hpp"

#include <cmath>
#include <numbers>
#include <utility>

namespace latticed::signal {

namespace {

constexpr double kDegrees = 180.0 / std::numbers::pi;
constexpr double kSmallestKeptAngle_deg = 85.0;

double dot(Vector2 a, Vector2 b) { return a.x * b.x + a.y * b.y; }
Vector2 plus(Vector2 a, double factor, Vector2 b) {
  return {a.x + factor * b.x, a.y + factor * b.y};
}

struct Pair {
  Vector2 first, second;
};

// Rows of the inverse transpose: real from reciprocal, and back.
Pair dual(Vector2 g1, Vector2 g2) {
  const double det = g1.x * g2.y - g1.y * g2.x;
  return {{g2.y / det, -g2.x / det}, {-g1.y / det, g1.x / det}};
}

using Integers = std::array<int, 2>;

Vector2 combine(const Pair& pair, const Integers& n) {
  return {n[0] * pair.first.x + n[1] * pair.second.x, n[0] * pair.first.y + n[1] * pair.second.y};
}

// The two shortest vectors, and of the two descriptions the obtuse one.
CellChoice reduce(const Pair& pair) {
  CellChoice out{{1, 0}, {0, 1}};
  Vector2 a = pair.first, b = pair.second;
  constexpr int kEnough = 64;  // each step shortens a vector by a third or is the last
  for (int step = 0; step < kEnough; ++step) {
    if (dot(a, a) > dot(b, b)) {
      std::swap(a, b);
      std::swap(out.first, out.second);
    }
    const double times = std::round(dot(a, b) / dot(a, a));
    if (times == 0.0) break;
    b = plus(b, -times, a);
    for (std::size_t i = 0; i < 2; ++i) out.second[i] -= static_cast<int>(times) * out.first[i];
  }
  if (dot(a, b) > 0.0)
    for (int& n : out.second) n = -n;
  return out;
}

// 1 or -1 when n is the same vector, or its opposite; else 0.
int sign_of(const Integers& n, const Integers& other) {
  if (n == other) return 1;
  return n == Integers{-other[0], -other[1]} ? -1 : 0;
}

// -1 when these are the same two vectors, in any order, with one of them turned round.
int parity(const CellChoice& a, const CellChoice& b) {
  const int same = sign_of(a.first, b.first) * sign_of(a.second, b.second);
  return same != 0 ? same : sign_of(a.first, b.second) * sign_of(a.second, b.first);
}

struct Lengths {
  double first, second, gamma_deg;
};

Lengths lengths(const Vector4& p, const CellChoice& reduction) {
  const Pair real = dual({p[0], p[1]}, {p[2], p[3]});
  const Vector2 a = combine(real, reduction.first), b = combine(real, reduction.second);
  const double cross = a.x * b.y - a.y * b.x;
  return {std::sqrt(dot(a, a)), std::sqrt(dot(b, b)),
          kDegrees * std::atan2(std::abs(cross), dot(a, b))};
}

double deviation(const Matrix4& covariance, const Vector4& slope) {
  double variance = 0.0;
  for (std::size_t i = 0; i < 4; ++i)
    for (std::size_t j = 0; j < 4; ++j) variance += slope[i] * covariance[i][j] * slope[j];
  return std::sqrt(std::max(variance, 0.0));
}

}  // namespace

ReducedCell reduced_cell(const LatticeBasis& basis, CellChoice* choice) noexcept {
  CellChoice reduction = reduce(dual(basis.g1, basis.g2));
  const Vector4 p = basis.values();
  const Lengths at = lengths(p, reduction);
  Vector4 first{}, second{}, gamma{};
  const double step = 1e-6 * std::sqrt(std::abs(basis.area()));
  for (std::size_t i = 0; i < 4; ++i) {
    Vector4 up = p, down = p;
    up[i] += step;
    down[i] -= step;
    const Lengths more = lengths(up, reduction), less = lengths(down, reduction);
    first[i] = (more.first - less.first) / (2.0 * step);
    second[i] = (more.second - less.second) / (2.0 * step);
    gamma[i] = (more.gamma_deg - less.gamma_deg) / (2.0 * step);
  }
  ReducedCell out{at.first,
                  at.second,
                  at.gamma_deg,
                  deviation(basis.covariance, first),
                  deviation(basis.covariance, second),
                  deviation(basis.covariance, gamma)};
  if (parity(reduction, *choice) < 0 && 180.0 - out.gamma_deg >= kSmallestKeptAngle_deg) {
    out.gamma_deg = 180.0 - out.gamma_deg;
    for (int& n : reduction.second) n = -n;
  }
  *choice = reduction;
  return out;
}

LatticeBasis reduced_basis(const LatticeBasis& basis) noexcept {
  const Pair real = dual(basis.g1, basis.g2);
  const CellChoice reduction = reduce(real);
  const Pair out = dual(combine(real, reduction.first), combine(real, reduction.second));
  return {out.first, out.second, {}};
}

}  // namespace latticed::signal
