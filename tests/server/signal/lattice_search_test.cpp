// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/signal/lattice_search.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace latticed::signal {
namespace {

constexpr LatticeSearch kSearch{0.6 / 512, 0.6 / 512, 6.0 / 512};
const LatticeBasis kTruth{{26.0 / 512, 9.0 / 512}, {-14.0 / 512, 51.0 / 512}, {}};

LooseSpot spot(double h, double k, double amplitude) {
  const double sigma = 0.02 / 512;
  // A twentieth of a bin off, as film pulls a spot.
  const Vector2 at = kTruth.at(h, k);
  return {{at.x + 0.05 / 512 * std::sin(7 * h + k), at.y + 0.05 / 512 * std::cos(3 * k - h)},
          {sigma * sigma, 0.0, sigma * sigma},
          amplitude};
}

double area_ratio(const LatticeBasis& basis) { return std::abs(basis.area() / kTruth.area()); }

TEST(LatticeSearch, FindsTheLatticeOfItsSpots) {
  const std::vector<LooseSpot> spots{spot(1, 0, 0.1),  spot(2, 0, 0.05),  spot(0, 1, 0.06),
                                     spot(1, 1, 0.04), spot(-1, 1, 0.03), spot(3, 0, 0.02)};
  LatticeBasis basis;
  double odds = 0.0;
  ASSERT_TRUE(find_lattice(spots, kSearch, &basis, &odds));
  EXPECT_NEAR(area_ratio(basis), 1.0, 0.01);
  EXPECT_GT(odds, 10.0);
}

// P2 seen along [010]: (002), (004) and the row (100), (101), (102): c* itself is not seen.
TEST(LatticeSearch, TakesTheFinerLatticeWhenSpotsLieBetween) {
  const std::vector<LooseSpot> spots{spot(2, 0, 0.1), spot(4, 0, 0.04), spot(0, 1, 0.05),
                                     spot(1, 1, 0.05), spot(-2, 1, 0.04)};
  LatticeBasis basis;
  double odds = 0.0;
  ASSERT_TRUE(find_lattice(spots, kSearch, &basis, &odds));
  EXPECT_NEAR(area_ratio(basis), 1.0, 0.01);
}

TEST(LatticeSearch, IsNotMisledByASpotOfSomethingElseOrAFaintSuperlattice) {
  std::vector<LooseSpot> spots{spot(1, 0, 0.1), spot(0, 1, 0.09), spot(1, 1, 0.08),
                               spot(2, 1, 0.05), spot(0.37, 0.81, 0.06)};
  spots.push_back(spot(1.0 / 3, 1.0 / 3, 0.002));
  LatticeBasis basis;
  double odds = 0.0;
  ASSERT_TRUE(find_lattice(spots, kSearch, &basis, &odds));
  EXPECT_NEAR(area_ratio(basis), 1.0, 0.01);
}

TEST(LatticeSearch, FindsNoneOnOneRow) {
  const std::vector<LooseSpot> spots{spot(1, 0, 0.1), spot(2, 0, 0.05), spot(3, 0, 0.02)};
  LatticeBasis basis;
  double odds = 0.0;
  EXPECT_FALSE(find_lattice(spots, kSearch, &basis, &odds));
  EXPECT_FALSE(find_lattice({}, kSearch, &basis, &odds));
}

}  // namespace
}  // namespace latticed::signal
