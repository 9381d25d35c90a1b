// SPDX-License-Identifier: GPL-3.0-or-later
#include "sim/bound/symmetric_inverse.hpp"

#include <gtest/gtest.h>

namespace latticed::sim {
namespace {

SquareMatrix matrix(std::vector<double> values, std::size_t size) {
  SquareMatrix out(size);
  out.values = std::move(values);
  return out;
}

TEST(SymmetricInverse, TimesTheMatrixIsOne) {
  // Scales as different as those of a phase and of a reciprocal vector.
  const SquareMatrix m = matrix({4e6, 2e3, -1e3, 2e3, 5.0, 0.5, -1e3, 0.5, 3.0}, 3);
  const auto sut = symmetric_inverse(m);
  ASSERT_TRUE(sut);
  for (std::size_t i = 0; i < 3; ++i) {
    for (std::size_t j = 0; j < 3; ++j) {
      double sum = 0.0;
      for (std::size_t k = 0; k < 3; ++k) sum += m.at(i, k) * sut->at(k, j);
      EXPECT_NEAR(sum, i == j ? 1.0 : 0.0, 1e-9);
    }
  }
}

TEST(SymmetricInverse, HasNoneWhereSomethingIsNotDetermined) {
  EXPECT_FALSE(symmetric_inverse(matrix({1.0, 1.0, 1.0, 1.0}, 2)));
  EXPECT_FALSE(symmetric_inverse(matrix({0.0, 0.0, 0.0, 1.0}, 2)));
}

}  // namespace
}  // namespace latticed::sim
