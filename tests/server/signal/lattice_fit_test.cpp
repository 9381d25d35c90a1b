// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/signal/lattice_fit.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

namespace latticed::signal {
namespace {

const LatticeBasis kTruth{{0.031, 0.012}, {-0.02, 0.071}, {}};

std::vector<IndexedSpot> spots(double noise, std::mt19937& random) {
  std::normal_distribution<double> normal;
  std::vector<IndexedSpot> out;
  for (const auto& [h, k, times] : {std::tuple{1, 0, 1.0}, {2, 0, 2.0}, {0, 1, 1.5}, {1, 1, 3.0}}) {
    const Vector2 at = kTruth.at(h, k);
    // A crystal longer along y than along x: anisotropic, with a cross term.
    const double u = times * noise * normal(random), v = 0.5 * times * noise * normal(random);
    const double w = times * times * noise * noise;
    out.push_back({{at.x + u, at.y + 0.6 * u + v}, {w, 0.6 * w, 0.36 * w + 0.25 * w}, h, k});
  }
  return out;
}

TEST(LatticeFit, IsExactWithoutNoise) {
  std::mt19937 random(1);
  auto exact = spots(1e-9, random);
  LatticeBasis basis;
  ASSERT_TRUE(fit_lattice(exact, &basis));
  EXPECT_NEAR(basis.g1.x, kTruth.g1.x, 1e-8);
  EXPECT_NEAR(basis.g2.y, kTruth.g2.y, 1e-8);
  const Vector2 index = basis.index_of(kTruth.at(3, -2));
  EXPECT_NEAR(index.x, 3.0, 1e-5);
  EXPECT_NEAR(index.y, -2.0, 1e-5);
}

TEST(LatticeFit, KnowsItsCovariance) {
  std::mt19937 random(2);
  constexpr int kDraws = 2000;
  double squares[4] = {}, predicted[4] = {}, spot = 0.0, spot_predicted = 0.0;
  for (int draw = 0; draw < kDraws; ++draw) {
    LatticeBasis basis;
    ASSERT_TRUE(fit_lattice(spots(1e-5, random), &basis));
    for (std::size_t i = 0; i < 4; ++i) {
      const double off = basis.values()[i] - kTruth.values()[i];
      squares[i] += off * off / kDraws;
      predicted[i] = basis.covariance[i][i];
    }
    const double off = basis.at(1, 2).y - kTruth.at(1, 2).y;
    spot += off * off / kDraws;
    spot_predicted = basis.covariance_at(1, 2).yy;
  }
  for (int i = 0; i < 4; ++i) EXPECT_NEAR(std::sqrt(squares[i] / predicted[i]), 1.0, 0.07) << i;
  EXPECT_NEAR(std::sqrt(spot / spot_predicted), 1.0, 0.07);
}

TEST(LatticeFit, RefusesARowAndASpot) {
  std::mt19937 random(3);
  auto some = spots(1e-5, random);
  LatticeBasis basis;
  EXPECT_FALSE(fit_lattice(std::span(some).first(1), &basis));
  EXPECT_FALSE(fit_lattice(std::span(some).first(2), &basis));  // (1 0) and (2 0)
  EXPECT_TRUE(fit_lattice(std::span(some).first(3), &basis));
  EXPECT_FALSE(fit_lattice({}, &basis));
}

TEST(LatticeFit, SolvesAndInverts) {
  const Matrix4 a{{{4, 1, 0, 0.5}, {1, 3, 0.2, 0}, {0, 0.2, 5, 1}, {0.5, 0, 1, 2}}};
  Vector4 b{1, 2, 3, 4};
  ASSERT_TRUE(solve(a, &b));
  for (std::size_t i = 0; i < 4; ++i) {
    double sum = 0.0;
    for (std::size_t j = 0; j < 4; ++j) sum += a[i][j] * b[j];
    EXPECT_NEAR(sum, static_cast<double>(i + 1), 1e-12);
  }
  Matrix4 inverse;
  EXPECT_FALSE(invert({{{1, 2, 0, 0}, {2, 1, 0, 0}, {0, 0, 1, 0}, {0, 0, 0, 1}}}, &inverse));
}

}  // namespace
}  // namespace latticed::signal
