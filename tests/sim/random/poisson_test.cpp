// SPDX-License-Identifier: GPL-3.0-or-later
#include "sim/random/poisson.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace latticed::sim {
namespace {

constexpr int kDraws = 200000;

class PoissonOfMean : public testing::TestWithParam<double> {
 protected:
  std::vector<double> draw_histogram() {
    const Poisson sut;
    RandomStream random(1, Purpose::shot_noise, static_cast<std::uint64_t>(GetParam() * 1000.0));
    std::vector<double> counts(static_cast<std::size_t>(GetParam() * 2.0) + 60, 0.0);
    for (int i = 0; i < kDraws; ++i) {
      const std::uint32_t k = sut.draw(GetParam(), random);
      if (k < counts.size())
        counts[k] += 1.0;
      else
        ADD_FAILURE() << k << " from a mean of " << GetParam();
    }
    return counts;
  }
};

TEST_P(PoissonOfMean, HasMeanAndVarianceEqualToIt) {
  const std::vector<double> counts = draw_histogram();
  double sum = 0.0;
  double square = 0.0;
  for (std::size_t k = 0; k < counts.size(); ++k) {
    const double d = static_cast<double>(k) - GetParam();
    sum += counts[k] * d;
    square += counts[k] * d * d;
  }
  const double mean = GetParam();
  // Five standard errors; the fourth central moment of a Poisson is m + 3 m^2.
  EXPECT_NEAR(sum / kDraws, 0.0, 5.0 * std::sqrt(mean / kDraws));
  EXPECT_NEAR(square / kDraws, mean, 5.0 * std::sqrt((mean + 2.0 * mean * mean) / kDraws));
}

TEST_P(PoissonOfMean, FollowsTheDistributionByChiSquared) {
  const std::vector<double> counts = draw_histogram();
  double chi2 = 0.0;
  int cells = 0;
  double seen = 0.0;
  double expected_in_cells = 0.0;
  for (std::size_t k = 0; k < counts.size(); ++k) {
    const double x = static_cast<double>(k);
    const double expected =
        kDraws * std::exp(x * std::log(GetParam()) - GetParam() - std::lgamma(x + 1.0));
    if (expected < 10.0) continue;
    chi2 += (counts[k] - expected) * (counts[k] - expected) / expected;
    ++cells;
    seen += counts[k];
    expected_in_cells += expected;
  }
  const double rest = kDraws - expected_in_cells;
  if (rest > 10.0) chi2 += (kDraws - seen - rest) * (kDraws - seen - rest) / rest;
  EXPECT_LT(chi2, cells + 5.0 * std::sqrt(2.0 * cells) + 10.0);
}

// Small, on the grid, between grid values, around the limit of the tables, and by PTRS.
INSTANTIATE_TEST_SUITE_P(Means, PoissonOfMean,
                         testing::Values(0.01, 0.25, 0.9, 2.0, 3.37, 9.99, 10.0, 31.1, 63.99, 64.0,
                                         100.3, 1000.0));

TEST(Poisson, OfNothingIsNothing) {
  const Poisson sut;
  RandomStream random(1, Purpose::shot_noise);
  for (int i = 0; i < 1000; ++i) ASSERT_EQ(sut.draw(0.0, random), 0u);
}

}  // namespace
}  // namespace latticed::sim
