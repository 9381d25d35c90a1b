// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/figure/ticks.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace latticed {
namespace {

std::vector<std::string> labels(double low, double high, int wanted) {
  const Ticks ticks = nice_ticks(low, high, wanted);
  std::vector<std::string> texts;
  for (const double value : ticks.values) texts.push_back(ticks.label(value));
  return texts;
}

TEST(Ticks, AreOneTwoOrFiveTimesAPowerOfTen) {
  EXPECT_EQ(labels(0.0, 10.0, 5), (std::vector<std::string>{"0", "2", "4", "6", "8", "10"}));
  EXPECT_EQ(labels(-0.3, 0.31, 3), (std::vector<std::string>{"-0.2", "0.0", "0.2"}));
  EXPECT_EQ(labels(0.27152, 0.27248, 5),
            (std::vector<std::string>{"0.2716", "0.2718", "0.2720", "0.2722", "0.2724"}));
}

TEST(Ticks, GiveAPowerOfTenToVerySmallAndVeryLargeNumbers) {
  const Ticks small = nice_ticks(-3e-4, 3e-4, 6);
  EXPECT_EQ(small.exponent, -4);
  EXPECT_EQ(small.label(2e-4), "2");
  EXPECT_EQ(small.label(0.0), "0");
  EXPECT_EQ(nice_ticks(0.0, 2.5e6, 5).exponent, 6);
  EXPECT_EQ(nice_ticks(0.0, 6000.0, 5).exponent, 0);
}

TEST(Ticks, AreAboutAsManyAsWanted) {
  for (const double width : {1.0, 1.7, 3.1, 4.9, 7.7, 9.9}) {
    const auto count = nice_ticks(0.123, 0.123 + width, 6).values.size();
    EXPECT_GE(count, 4u) << width;
    EXPECT_LE(count, 10u) << width;
  }
}

TEST(Ticks, OfARangeThatIsNoneAreNone) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double infinity = std::numeric_limits<double>::infinity();
  EXPECT_TRUE(nice_ticks(1.0, 1.0, 5).values.empty());
  EXPECT_TRUE(nice_ticks(2.0, 1.0, 5).values.empty());
  EXPECT_TRUE(nice_ticks(nan, 1.0, 5).values.empty());
  EXPECT_TRUE(nice_ticks(0.0, infinity, 5).values.empty());
}

TEST(Ticks, ScaleBarsAreRoundedDown) {
  EXPECT_DOUBLE_EQ(round_down_125(4.99), 2.0);
  EXPECT_DOUBLE_EQ(round_down_125(5.0), 5.0);
  EXPECT_DOUBLE_EQ(round_down_125(0.0019), 0.001);
  EXPECT_DOUBLE_EQ(round_down_125(1000.0), 1000.0);
}

TEST(Ticks, AreAtLeastTwoWhereTwoAreWanted) {
  const Ticks sut = nice_ticks(-4.9, 4.9, 3);  // a step of 5 would leave 0 alone
  EXPECT_EQ(sut.step, 2.0);
  EXPECT_EQ(sut.values.size(), 5u);
}

}  // namespace
}  // namespace latticed
