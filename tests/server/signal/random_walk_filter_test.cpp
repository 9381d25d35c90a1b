// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/signal/random_walk_filter.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace latticed::signal {
namespace {

using Filter = RandomWalkFilter<2>;
constexpr Filter::Matrix kNoise{{{1.0, 0.3}, {0.3, 0.5}}};

Filter::Vector draw(std::mt19937& random, double x, double y) {
  std::normal_distribution<double> normal;
  const double u = normal(random), v = normal(random);
  return {x + u, y + 0.3 * u + std::sqrt(0.5 - 0.09) * v};
}

TEST(RandomWalkFilter, IsBetterThanItsMeasurementsOfWhatStands) {
  std::mt19937 random(1);
  Filter sut;
  double squares = 0.0, said = 0.0;
  for (int frame = 0; frame < 400; ++frame) {
    sut.advance();
    sut.update(draw(random, 5.0, -2.0), kNoise);
    if (frame < 100) continue;
    squares += (sut.value()[0] - 5.0) * (sut.value()[0] - 5.0) / 300;
    said += sut.covariance()[0][0] / 300;
  }
  EXPECT_LT(std::sqrt(squares), 0.5);
  EXPECT_LT(squares, 2.5 * said);  // neighbours in time are alike: few independent values
}

TEST(RandomWalkFilter, LearnsHowFastItWalks) {
  std::mt19937 random(2);
  std::normal_distribution<double> normal;
  Filter sut;
  double x = 0.0, squares = 0.0, said = 0.0;
  for (int frame = 0; frame < 2000; ++frame) {
    x += 2.0 * normal(random);  // twice the noise a frame: a filter that believes in rest lags
    sut.advance();
    sut.update(draw(random, x, -x), kNoise);
    if (frame < 200) continue;
    squares += (sut.value()[0] - x) * (sut.value()[0] - x) / 1800;
    said += sut.covariance()[0][0] / 1800;
  }
  EXPECT_LT(std::sqrt(squares), 1.1);  // no worse than the measurement alone
  EXPECT_NEAR(std::sqrt(squares / said), 1.0, 0.3);
}

TEST(RandomWalkFilter, BeginsWithTheFirstMeasurement) {
  Filter sut;
  EXPECT_FALSE(sut.has_state());
  sut.update({3.0, 4.0}, kNoise);
  EXPECT_TRUE(sut.has_state());
  EXPECT_EQ(sut.value()[0], 3.0);
  EXPECT_EQ(sut.covariance()[0][1], 0.3);
  sut.forget();
  EXPECT_FALSE(sut.has_state());
}

}  // namespace
}  // namespace latticed::signal
