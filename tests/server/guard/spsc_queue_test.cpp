// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/guard/spsc_queue.hpp"

#include <gtest/gtest.h>

#include <thread>

namespace latticed {
namespace {

struct Pair {
  std::uint64_t a = 0, b = 0;
};

TEST(SpscQueue, KeepsOrderAndRefusesWhenFull) {
  SpscQueue<int, 4> sut;
  int value = 0;
  EXPECT_FALSE(sut.pop(value));
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(sut.push(i));
  EXPECT_FALSE(sut.push(4));
  for (int i = 0; i < 4; ++i) {
    ASSERT_TRUE(sut.pop(value));
    EXPECT_EQ(value, i);
  }
  EXPECT_FALSE(sut.pop(value));
}

TEST(SpscQueue, TwoThreadsLoseNothing) {
  SpscQueue<Pair, 8> sut;
  constexpr std::uint64_t kCount = 200000;
  std::thread giver([&] {
    for (std::uint64_t i = 0; i < kCount;) {
      if (sut.push({i, ~i})) ++i;
    }
  });
  Pair pair;
  for (std::uint64_t i = 0; i < kCount;) {
    if (!sut.pop(pair)) continue;
    ASSERT_EQ(pair.a, i);
    ASSERT_EQ(pair.b, ~i);
    ++i;
  }
  giver.join();
}

TEST(LatestBox, GivesTheLatestOnce) {
  LatestBox<int> sut;
  int value = 0;
  EXPECT_FALSE(sut.take(value));
  for (int i = 1; i <= 5; ++i) sut.put(i);
  ASSERT_TRUE(sut.take(value));
  EXPECT_EQ(value, 5);
  EXPECT_FALSE(sut.take(value));
  sut.put(6);
  ASSERT_TRUE(sut.take(value));
  EXPECT_EQ(value, 6);
}

TEST(LatestBox, TwoThreadsNeverSeeHalfAValueNorGoBack) {
  LatestBox<Pair> sut;
  constexpr std::uint64_t kLast = 200000;
  std::thread giver([&] {
    for (std::uint64_t i = 1; i <= kLast; ++i) sut.put({i, ~i});
  });
  Pair pair;
  std::uint64_t before = 0;
  while (before != kLast) {
    if (!sut.take(pair)) continue;
    ASSERT_EQ(pair.b, ~pair.a);
    ASSERT_GT(pair.a, before);
    before = pair.a;
  }
  giver.join();
}

}  // namespace
}  // namespace latticed
