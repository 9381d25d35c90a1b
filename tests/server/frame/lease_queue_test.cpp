// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/frame/lease_queue.hpp"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "tests/support/cpus.hpp"
#include "tests/support/deadline.hpp"

namespace latticed::test {
namespace {

using namespace std::chrono_literals;
using enum LossPolicy;

class LeaseQueueTest : public testing::Test {
 protected:
  FrameLease frame(std::uint64_t seq) {
    FrameLease lease = frames_.acquire(kPatience);
    lease->seq = seq;
    return lease;
  }
  static std::vector<std::uint64_t> take_all(LeaseQueue& queue) {
    std::vector<std::uint64_t> got;
    while (const FrameLease lease = queue.take(0ns)) got.push_back(lease->seq);
    return got;
  }
  void expect_at_rest() const { EXPECT_EQ(frames_.count_free(), frames_.size()); }
  static void expect_honest(const LeaseQueue& queue, std::uint64_t waiting) {
    const EdgeCounters& c = queue.counters();
    EXPECT_EQ(c.in, c.out + c.dropped() + waiting);
    EXPECT_EQ(c.level(), waiting);
    EXPECT_EQ(c.duration.summary().count, c.out);
  }

  FramePool frames_{32, [](Frame&) {}};
};
using Order = std::vector<std::uint64_t>;

TEST_F(LeaseQueueTest, HandsOverInOrder) {
  for (LossPolicy policy : {block, drop_newest, drop_oldest, stop_run}) {
    LeaseQueue sut(3, policy);
    for (std::uint64_t i = 0; i < 3; ++i) EXPECT_TRUE(sut.offer(frame(i), 0ns));
    expect_honest(sut, 3);
    EXPECT_EQ(take_all(sut), (Order{0, 1, 2})) << to_string(policy);
    expect_honest(sut, 0);
    EXPECT_EQ(sut.counters().level_max, 3u);
  }
  expect_at_rest();
}

TEST_F(LeaseQueueTest, SaysBeforehandWhetherAnOfferMayWait) {
  LeaseQueue sut(2, block);
  EXPECT_FALSE(sut.would_wait());
  for (std::uint64_t i = 0; i < 2; ++i) EXPECT_TRUE(sut.offer(frame(i), 0ns));
  EXPECT_TRUE(sut.would_wait());
  EXPECT_TRUE(sut.take(0ns));
  EXPECT_FALSE(sut.would_wait());
  for (LossPolicy policy : {drop_newest, drop_oldest, latest_only, stop_run}) {
    LeaseQueue other(1, policy);
    (void)other.offer(frame(0), 0ns);
    EXPECT_FALSE(other.would_wait()) << to_string(policy);
  }
}

TEST_F(LeaseQueueTest, DropNewestKeepsWhatWaits) {
  LeaseQueue sut(2, drop_newest);
  for (std::uint64_t i = 0; i < 5; ++i) EXPECT_TRUE(sut.offer(frame(i), kPatience));
  EXPECT_EQ(sut.counters().dropped_newest, 3u);
  EXPECT_EQ(take_all(sut), (Order{0, 1}));
  expect_honest(sut, 0);
  expect_at_rest();
}

TEST_F(LeaseQueueTest, DropOldestKeepsTheNewest) {
  LeaseQueue sut(2, drop_oldest);
  for (std::uint64_t i = 0; i < 5; ++i) EXPECT_TRUE(sut.offer(frame(i), kPatience));
  EXPECT_EQ(sut.counters().dropped_oldest, 3u);
  EXPECT_EQ(frames_.leased(), 2u);  // what was dropped went back at once
  EXPECT_EQ(take_all(sut), (Order{3, 4}));
  expect_honest(sut, 0);
}

TEST_F(LeaseQueueTest, LatestOnlyHasRoomForOneWhateverItsDepth) {
  LeaseQueue sut(8, latest_only);
  EXPECT_EQ(sut.depth(), 1u);
  for (std::uint64_t i = 0; i < 5; ++i) EXPECT_TRUE(sut.offer(frame(i), kPatience));
  EXPECT_EQ(take_all(sut), (Order{4}));
  expect_honest(sut, 0);
}

TEST_F(LeaseQueueTest, StopRunRefusesAtOnce) {
  LeaseQueue sut(1, stop_run);
  EXPECT_TRUE(sut.offer(frame(0), kPatience));
  const auto before = std::chrono::steady_clock::now();
  EXPECT_FALSE(sut.offer(frame(1), kPatience));
  EXPECT_LT(std::chrono::steady_clock::now() - before, kPatience / 2);
  EXPECT_EQ(take_all(sut), (Order{0}));
  expect_honest(sut, 0);
}

TEST_F(LeaseQueueTest, BlockRefusesWhenItsTimeIsUp) {
  LeaseQueue sut(1, block);
  EXPECT_TRUE(sut.offer(frame(0), 0ns));
  EXPECT_FALSE(sut.offer(frame(1), 5ms));
  EXPECT_EQ(take_all(sut), (Order{0}));
  expect_honest(sut, 0);
  expect_at_rest();
}

TEST_F(LeaseQueueTest, BlockGoesOnAsSoonAsThereIsRoom) {
  LeaseQueue sut(1, block);
  ASSERT_TRUE(sut.offer(frame(0), 0ns));
  std::thread taker([&] {
    for (std::uint64_t i = 0; i < 2; ++i) {
      const FrameLease got = sut.take(kPatience);
      ASSERT_TRUE(got);
      EXPECT_EQ(got->seq, i);
    }
  });
  EXPECT_TRUE(sut.offer(frame(1), kPatience));
  taker.join();
  expect_honest(sut, 0);
}

TEST_F(LeaseQueueTest, GivesBackWhatStillWaitsWhenItGoes) {
  {
    LeaseQueue sut(4, block);
    for (std::uint64_t i = 0; i < 3; ++i) ASSERT_TRUE(sut.offer(frame(i), 0ns));
  }
  expect_at_rest();
}

TEST_F(LeaseQueueTest, SaysSinceWhenTheOldestWaits) {
  LeaseQueue sut(2, drop_oldest);
  EXPECT_EQ(sut.oldest_since(), 0ns);
  const auto before = steady_now();
  ASSERT_TRUE(sut.offer(frame(0), 0ns));
  const auto first = sut.oldest_since();
  EXPECT_GE(first, before);
  ASSERT_TRUE(sut.offer(frame(1), 0ns));
  EXPECT_EQ(sut.oldest_since(), first);
  ASSERT_TRUE(sut.offer(frame(2), 0ns));
  EXPECT_GT(sut.oldest_since(), first);
  (void)take_all(sut);
  EXPECT_EQ(sut.oldest_since(), 0ns);
}

TEST_F(LeaseQueueTest, TheEndNeedsNoRoomAndPushesNothingOut) {
  for (LossPolicy policy : {block, drop_newest, drop_oldest, latest_only, stop_run}) {
    LeaseQueue sut(1, policy);
    ASSERT_TRUE(sut.offer(frame(0), 0ns));
    EXPECT_FALSE(sut.is_over());
    sut.end();
    EXPECT_FALSE(sut.is_over()) << to_string(policy);
    EXPECT_EQ(take_all(sut), (Order{0})) << to_string(policy);
    EXPECT_TRUE(sut.is_over());
    expect_honest(sut, 0);
  }
}

TEST_F(LeaseQueueTest, TheEndWakesATakerThatWaits) {
  LeaseQueue sut(2, block);
  std::thread taker([&] {
    while (!sut.is_over()) EXPECT_FALSE(sut.take(kPatience));
  });
  const auto before = std::chrono::steady_clock::now();
  sut.end();
  taker.join();
  EXPECT_LT(std::chrono::steady_clock::now() - before, kPatience / 2);
}

TEST_F(LeaseQueueTest, AbandonedItHoldsNobody) {
  LeaseQueue sut(1, block);
  ASSERT_TRUE(sut.offer(frame(0), 0ns));
  const auto before = std::chrono::steady_clock::now();
  std::thread giver([&] { EXPECT_FALSE(sut.offer(frame(1), kPatience)); });
  sut.abandon();
  giver.join();
  EXPECT_FALSE(sut.take(kPatience));
  EXPECT_TRUE(sut.is_over());
  EXPECT_FALSE(sut.offer(frame(2), kPatience));
  EXPECT_LT(std::chrono::steady_clock::now() - before, kPatience / 2);
  expect_honest(sut, 1);
}

class LeaseQueueStress : public LeaseQueueTest, public testing::WithParamInterface<LossPolicy> {};

// The giver is quicker than the taker now and then, so that with drop_oldest and latest_only it
// takes frames out of the very cells the taker reads.
TEST_P(LeaseQueueStress, LosesNothingUncountedAndShowsNothingTwice) {
  constexpr std::uint64_t kFrames = 50000;
  LeaseQueue sut(3, GetParam());
  Order got;
  got.reserve(kFrames);
  std::atomic<bool> is_wrong{false};
  std::thread taker = thread_on_cpu(0, [&] {
    while (!sut.is_over()) {
      const FrameLease lease = sut.take(kPatience);
      if (!lease) continue;
      // The frame is ours alone to read: the giver wrote it before and nobody has it now.
      if (lease->header.hardware_sequence != lease->seq + 7) is_wrong = true;
      got.push_back(lease->seq);
    }
  });
  std::uint64_t refused = 0;
  std::thread giver = thread_on_cpu(1, [&] {
    for (std::uint64_t i = 0; i < kFrames; ++i) {
      FrameLease lease = frame(i);
      lease->header.hardware_sequence = i + 7;
      if (!sut.offer(std::move(lease), kPatience)) ++refused;
    }
    sut.end();
  });
  giver.join();
  taker.join();
  EXPECT_FALSE(is_wrong);
  for (std::size_t i = 1; i < got.size(); ++i) ASSERT_LT(got[i - 1], got[i]);
  const EdgeCounters& c = sut.counters();
  EXPECT_EQ(c.in, kFrames);
  EXPECT_EQ(c.out, got.size());
  expect_honest(sut, 0);
  if (GetParam() == block) {
    EXPECT_EQ(got.size(), kFrames);
  }
  if (GetParam() == drop_oldest || GetParam() == latest_only) {
    EXPECT_EQ(got.back(), kFrames - 1) << "the newest always arrives";
    EXPECT_EQ(c.dropped_newest, 0u);
  } else {
    EXPECT_EQ(c.dropped_oldest, 0u);
  }
  EXPECT_EQ(refused, GetParam() == stop_run ? c.dropped_newest.load() : 0u);
  expect_at_rest();
}

TEST_F(LeaseQueueTest, OneBellTellsOfSeveralQueues) {
  const auto bell = std::make_shared<Doorbell>();
  LeaseQueue one(4, drop_oldest, bell), two(4, drop_oldest, bell);
  auto seen = bell->listen();
  ASSERT_TRUE(one.offer(frame(1), 0ns));
  EXPECT_NE(bell->listen(), seen);
  seen = bell->listen();
  ASSERT_TRUE(two.offer(frame(2), 0ns));
  EXPECT_NE(bell->listen(), seen);
  seen = bell->listen();
  two.end();
  EXPECT_NE(bell->listen(), seen);
  EXPECT_EQ(take_all(one), Order{1});
}

// Giver and taker do nothing but move the head of a queue of one: whoever wins, each frame has one
// owner. Two at a time would give its slot back twice, and the pool would not be whole.
TEST_F(LeaseQueueTest, GivesEachFrameToGiverOrTakerAndNeverToBoth) {
  constexpr std::uint64_t kRounds = 300000;
  LeaseQueue sut(1, drop_oldest);
  std::uint64_t taken = 0;
  std::thread taker = thread_on_cpu(0, [&] {
    while (!sut.is_over())
      if (sut.take(0ns)) ++taken;
  });
  std::thread giver = thread_on_cpu(1, [&] {
    for (std::uint64_t i = 0; i < kRounds; ++i) {
      FrameLease lease = frames_.try_acquire();
      if (!lease) break;
      (void)sut.offer(std::move(lease), 0ns);
    }
    sut.end();
  });
  giver.join();
  taker.join();
  EXPECT_EQ(sut.counters().in, kRounds);
  EXPECT_EQ(sut.counters().out, taken);
  expect_honest(sut, 0);
  expect_at_rest();
}

INSTANTIATE_TEST_SUITE_P(Policies, LeaseQueueStress,
                         testing::Values(block, drop_newest, drop_oldest, latest_only, stop_run),
                         [](const auto& which) { return std::string(to_string(which.param)); });

}  // namespace
}  // namespace latticed::test
