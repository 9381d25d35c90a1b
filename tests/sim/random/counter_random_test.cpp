// SPDX-License-Identifier: GPL-3.0-or-later
#include "sim/random/counter_random.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

namespace latticed::sim {
namespace {

TEST(Elementary, AgreesWithTheStandardLibrary) {
  for (int i = -4000; i <= 4000; ++i) {
    const double x = 0.01237 * i;
    const SinCos got = sin_cos_turns(x);
    EXPECT_NEAR(got.sine, std::sin(2.0 * M_PI * x), 2e-13) << x;  // the argument's own rounding
    EXPECT_NEAR(got.cosine, std::cos(2.0 * M_PI * x), 2e-13) << x;
    EXPECT_NEAR(exponential(x) / std::exp(x), 1.0, 4e-15) << x;
    if (x > 0.0) {
      EXPECT_NEAR(logarithm(x), std::log(x), 2e-15 * std::max(1.0, std::abs(std::log(x)))) << x;
    }
  }
}

TEST(RandomStream, IsAFunctionOfItsKeyAlone) {
  RandomStream first(7, Purpose::shot_noise, 12, 34);
  RandomStream second(7, Purpose::shot_noise, 12, 34);
  for (int i = 0; i < 100; ++i) ASSERT_EQ(first.bits(), second.bits());
}

TEST(RandomStream, DiffersInEveryPartOfItsKey) {
  std::set<std::uint64_t> first_draws;
  for (std::uint64_t seed = 0; seed < 4; ++seed) {
    for (std::uint64_t frame = 0; frame < 16; ++frame) {
      for (std::uint64_t row = 0; row < 16; ++row) {
        first_draws.insert(RandomStream(seed, Purpose::shot_noise, frame, row).bits());
        first_draws.insert(RandomStream(seed, Purpose::read_noise, frame, row).bits());
      }
    }
  }
  EXPECT_EQ(first_draws.size(), 4u * 16u * 16u * 2u);
}

TEST(RandomStream, NormalsHaveTheMomentsOfANormal) {
  RandomStream random(3, Purpose::drift);
  const int pairs = 200000;
  double sum = 0.0;
  double square = 0.0;
  double fourth = 0.0;
  double product = 0.0;
  for (int i = 0; i < pairs; ++i) {
    double a = 0.0;
    double b = 0.0;
    random.normal_pair(a, b);
    sum += a + b;
    square += a * a + b * b;
    fourth += a * a * a * a + b * b * b * b;
    product += a * b;
  }
  const double n = 2.0 * pairs;  // tolerances: five standard errors
  EXPECT_NEAR(sum / n, 0.0, 5.0 / std::sqrt(n));
  EXPECT_NEAR(square / n, 1.0, 5.0 * std::sqrt(2.0 / n));
  EXPECT_NEAR(fourth / n, 3.0, 5.0 * std::sqrt(96.0 / n));
  EXPECT_NEAR(product / pairs, 0.0, 5.0 / std::sqrt(pairs));
}

}  // namespace
}  // namespace latticed::sim
