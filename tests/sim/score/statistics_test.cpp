// SPDX-License-Identifier: GPL-3.0-or-later
#include "sim/score/statistics.hpp"

#include <gtest/gtest.h>

namespace latticed::sim {
namespace {

TEST(WeightedMedian, ListensToWhatIsCertain) {
  EXPECT_EQ(weighted_median({0.0, 0.1, 0.2, 9.0, 9.0, 9.0, 9.0}, {1, 1, 1, 50, 50, 50, 50}), 0.1);
}

TEST(WeightedMedian, IsTheMedianWhereSigmasSayNothing) {
  EXPECT_EQ(weighted_median({3.0, 1.0, 2.0}, {1.0, 1.0, 1.0}), 2.0);
  EXPECT_EQ(weighted_median({3.0, 1.0, 2.0}, {0.0, 0.0, 0.0}), 2.0);
  EXPECT_EQ(weighted_median({3.0, 1.0, 2.0}, {0.0, 1.0, 1.0}), 2.0);
  EXPECT_EQ(weighted_median({}, {}), 0.0);
}

TEST(InSigmas, OfAnErrorWithoutSigmaIsInfinite) {
  EXPECT_EQ(in_sigmas(3.0, 2.0), 1.5);
  EXPECT_EQ(in_sigmas(3.0, 0.0), HUGE_VAL);
}

}  // namespace
}  // namespace latticed::sim
