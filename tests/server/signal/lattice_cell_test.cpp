// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/signal/lattice_cell.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>
#include <random>

namespace latticed::signal {
namespace {

constexpr double kRad = std::numbers::pi / 180.0;

/// The reciprocal basis of the cell a, b, gamma (degrees), turned by `turn`.
LatticeBasis basis_of(double a, double b, double gamma, double turn = 0.4) {
  const Vector2 p{a * std::cos(turn), a * std::sin(turn)};
  const Vector2 q{b * std::cos(turn + gamma * kRad), b * std::sin(turn + gamma * kRad)};
  const double det = p.x * q.y - p.y * q.x;
  return {{q.y / det, -q.x / det}, {-p.y / det, p.x / det}, {}};
}

LatticeBasis combined(const LatticeBasis& b, int i, int j, int k, int l) {
  return {b.at(i, j), b.at(k, l), {}};
}

TEST(LatticeCell, IsTheSameForEveryBasisOfALattice) {
  for (const auto& [a, b, gamma] : {std::tuple{12.0, 27.0, 90.0},
                                    {14.0, 15.0, 101.0},
                                    {20.0, 20.0, 120.0},
                                    {9.0, 40.0, 96.0}}) {
    const LatticeBasis basis = basis_of(a, b, gamma);
    for (const LatticeBasis& same : {basis, combined(basis, 1, 0, 3, 1),
                                     combined(basis, 2, 1, 1, 1), combined(basis, 0, -1, 1, 5)}) {
      CellChoice choice;
      const ReducedCell cell = reduced_cell(same, &choice);
      EXPECT_NEAR(cell.a, a, 1e-9);
      EXPECT_NEAR(cell.b, b, 1e-9);
      EXPECT_NEAR(cell.gamma_deg, gamma, 1e-7);
    }
  }
}

TEST(LatticeCell, ReducesCellsThatAreNot) {
  // Two vectors 30 degrees apart: the shorter way round.
  CellChoice choice;
  const ReducedCell cell = reduced_cell(basis_of(10.0, 20.0, 30.0), &choice);
  EXPECT_NEAR(cell.a, 10.0, 1e-9);
  EXPECT_LE(cell.a, cell.b);
  EXPECT_GE(cell.gamma_deg, 60.0 - 1e-9);
  EXPECT_LE(cell.gamma_deg, 120.0 + 1e-9);
  EXPECT_NEAR(cell.a * cell.b * std::sin(cell.gamma_deg * kRad), 100.0, 1e-6);
}

// Noise about a square, a rectangular and a hexagonal cell: no value jumps by more than the noise
// itself can move it.
TEST(LatticeCell, DoesNotFlipBetweenEqualChoices) {
  std::mt19937 random(3);
  std::normal_distribution<double> normal;
  for (const auto& [a, b, gamma] : {std::tuple{20.0, 20.0, 90.0},
                                    {20.0, 30.0, 90.0},
                                    {20.0, 20.0, 120.0},
                                    {20.0, 20.0, 60.0},
                                    {20.0, 40.0, std::acos(-0.25) / kRad}}) {
    CellChoice choice;
    double low[3] = {1e9, 1e9, 1e9}, high[3] = {-1e9, -1e9, -1e9};
    for (int frame = 0; frame < 500; ++frame) {
      LatticeBasis basis = basis_of(a, b, gamma);
      const double noise = 1e-3 * std::hypot(basis.g1.x, basis.g1.y);
      for (double* value : {&basis.g1.x, &basis.g1.y, &basis.g2.x, &basis.g2.y})
        *value += noise * normal(random);
      const ReducedCell cell = reduced_cell(basis, &choice);
      const double values[3] = {cell.a, cell.b, cell.gamma_deg};
      for (int i = 0; i < 3; ++i) {
        low[i] = std::min(low[i], values[i]);
        high[i] = std::max(high[i], values[i]);
      }
      EXPECT_LE(cell.a, cell.b);
      EXPECT_GE(cell.gamma_deg, 60.0 - 1e-6);
      EXPECT_LE(cell.gamma_deg, 120.0 + 1e-6);
    }
    // Eight deviations of noise either way: 1.6 % and about a degree.
    EXPECT_LT(high[0] - low[0], 0.016 * a) << a << " " << b << " " << gamma;
    EXPECT_LT(high[1] - low[1], 0.016 * b) << a << " " << b << " " << gamma;
    EXPECT_LT(high[2] - low[2], 1.6) << a << " " << b << " " << gamma;
  }
}

// A rectangular cell's angle scatters to both sides of 90 degrees, not only above.
TEST(LatticeCell, PassesThroughNinetyDegrees) {
  CellChoice choice;
  double last = 93.0;
  for (double gamma = 93.0; gamma > 86.0; gamma -= 0.25) {
    const ReducedCell cell = reduced_cell(basis_of(20.0, 30.0, gamma), &choice);
    EXPECT_NEAR(cell.gamma_deg, gamma, 1e-6);
    last = cell.gamma_deg;
  }
  EXPECT_LT(last, 90.0);
}

TEST(LatticeCell, PropagatesTheCovariance) {
  LatticeBasis basis = basis_of(20.0, 30.0, 97.0);
  const double sigma = 1e-5;
  for (std::size_t i = 0; i < 4; ++i) basis.covariance[i][i] = sigma * sigma;
  CellChoice choice;
  const ReducedCell cell = reduced_cell(basis, &choice);
  std::mt19937 random(5);
  std::normal_distribution<double> normal;
  double squares[3] = {};
  constexpr int kDraws = 4000;
  for (int i = 0; i < kDraws; ++i) {
    LatticeBasis drawn = basis;
    for (double* value : {&drawn.g1.x, &drawn.g1.y, &drawn.g2.x, &drawn.g2.y})
      *value += sigma * normal(random);
    CellChoice same = choice;
    const ReducedCell one = reduced_cell(drawn, &same);
    squares[0] += (one.a - cell.a) * (one.a - cell.a) / kDraws;
    squares[1] += (one.b - cell.b) * (one.b - cell.b) / kDraws;
    squares[2] += (one.gamma_deg - cell.gamma_deg) * (one.gamma_deg - cell.gamma_deg) / kDraws;
  }
  // 4000 draws know a deviation to 1.1 %.
  EXPECT_NEAR(std::sqrt(squares[0]) / cell.sigma_a, 1.0, 0.05);
  EXPECT_NEAR(std::sqrt(squares[1]) / cell.sigma_b, 1.0, 0.05);
  EXPECT_NEAR(std::sqrt(squares[2]) / cell.sigma_gamma_deg, 1.0, 0.05);
}

TEST(LatticeCell, GivesTheHoneycombItsBasis) {
  // Reciprocal vectors of a hexagonal cell of 120 degrees lie 60 degrees apart, so a third of their
  // sum is the corner of the first zone.
  const LatticeBasis basis = reduced_basis(combined(basis_of(20.0, 20.0, 120.0), 1, 2, 0, 1));
  const Vector2 corner = basis.at(1.0 / 3.0, 1.0 / 3.0);
  const double g = std::hypot(basis.g1.x, basis.g1.y);
  EXPECT_NEAR(std::hypot(basis.g2.x, basis.g2.y), g, 1e-9);
  EXPECT_NEAR(std::hypot(corner.x, corner.y), g / std::sqrt(3.0), 1e-9);
}

}  // namespace
}  // namespace latticed::signal
