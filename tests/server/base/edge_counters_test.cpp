// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/base/edge_counters.hpp"

#include <gtest/gtest.h>

#include <thread>

namespace latticed::test {
namespace {

std::atomic<std::uint64_t>& of(EdgeCounters& counters, LossReason reason) {
  return counters.lost[static_cast<std::size_t>(reason)];
}

TEST(EdgeCounters, LevelIsWhatCameAndDidNotLeaveInAnyWay) {
  EdgeCounters sut;
  sut.in = 20;
  sut.out = 9;
  sut.dropped_newest = 1;
  sut.dropped_oldest = 2;
  of(sut, LossReason::truncated) = 3;
  of(sut, LossReason::stale_epoch) = 1;
  EXPECT_EQ(sut.dropped(), 3u);
  EXPECT_EQ(sut.level(), 4u);
}

TEST(EdgeCounters, LevelIsNeverBelowZeroWhileBothSidesCount) {
  EdgeCounters sut;
  sut.out = 1;
  EXPECT_EQ(sut.level(), 0u);
}

TEST(EdgeCounters, WhatBelongsToAnotherRunIsNoLossOfThisOne) {
  EdgeCounters sut;
  of(sut, LossReason::sequence_gap) = 2;
  of(sut, LossReason::no_free_slot) = 3;
  of(sut, LossReason::stale_epoch) = 40;
  EXPECT_EQ(sut.lost_total(), 5u);
  EXPECT_EQ(sut.stale(), 40u);
  EXPECT_EQ(sut.gone(), 45u);
}

TEST(EdgeCounters, RemembersTheHighestLevelSeenByAnyThread) {
  EdgeCounters sut;
  sut.in = 7;
  std::thread other([&] { sut.note_level(); });
  sut.note_level();
  other.join();
  sut.out = 7;
  sut.note_level();
  EXPECT_EQ(sut.level(), 0u);
  EXPECT_EQ(sut.level_max, 7u);
}

TEST(EdgeCounters, PoliciesHaveTheNamesOfTheConfiguration) {
  EXPECT_EQ(to_string(LossPolicy::block), "block");
  EXPECT_EQ(to_string(LossPolicy::drop_newest), "drop_newest");
  EXPECT_EQ(to_string(LossPolicy::drop_oldest), "drop_oldest");
  EXPECT_EQ(to_string(LossPolicy::latest_only), "latest_only");
  EXPECT_EQ(to_string(LossPolicy::stop_run), "stop_run");
}

}  // namespace
}  // namespace latticed::test
