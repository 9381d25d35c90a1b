// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/base/fixed_vector.hpp"

#include <gtest/gtest.h>

#include <numeric>

namespace latticed::test {
namespace {

TEST(FixedVector, RefusesWhatHasNoRoomAndKeepsWhatItHas) {
  FixedVector<int, 3> sut;
  EXPECT_TRUE(sut.empty());
  for (int i = 1; i <= 3; ++i) EXPECT_TRUE(sut.push_back(i));
  EXPECT_FALSE(sut.push_back(4));
  EXPECT_EQ(sut.size(), 3u);
  EXPECT_EQ(sut.capacity(), 3u);
  EXPECT_EQ(std::accumulate(sut.begin(), sut.end(), 0), 6);
  EXPECT_EQ(sut.back(), 3);
}

TEST(FixedVector, ShrinksToWhatItIsToldAndNeverGrowsBeyondItsRoom) {
  FixedVector<int, 4> sut;
  for (int i = 0; i < 4; ++i) sut.push_back(i);
  sut.resize(2);
  EXPECT_EQ(sut.size(), 2u);
  EXPECT_EQ(sut.back(), 1);
  sut.resize(9);
  EXPECT_EQ(sut.size(), 4u);
}

TEST(FixedVector, TakesNewOnesAfterClear) {
  FixedVector<int, 1> sut;
  sut.push_back(1);
  sut.clear();
  EXPECT_TRUE(sut.empty());
  EXPECT_TRUE(sut.push_back(2));
  EXPECT_EQ(sut[0], 2);
}

}  // namespace
}  // namespace latticed::test
