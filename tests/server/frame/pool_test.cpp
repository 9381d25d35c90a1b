// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/frame/pool.hpp"

#include <gtest/gtest.h>

#include <set>
#include <thread>
#include <vector>

#include "tests/support/cpus.hpp"
#include "tests/support/deadline.hpp"

namespace latticed::test {
namespace {

using namespace std::chrono_literals;

struct Thing {
  int number = 0;
  std::atomic<int> recycled{0};
  std::atomic<int> owner{0};  // who has it: two at a time would be a bug of the pool
  void recycle() noexcept { ++recycled; }
};
using ThingPool = Pool<Thing>;
using ThingLease = Lease<Thing>;

std::unique_ptr<ThingPool> pool_of(std::size_t size) {
  int next = 0;
  return std::make_unique<ThingPool>(size, [&](Thing& thing) { thing.number = next++; });
}

void expect_at_rest(const ThingPool& pool) {
  EXPECT_EQ(pool.leased(), 0u);
  EXPECT_EQ(pool.count_free(), pool.size());
}

TEST(Pool, MakesEverySlotOnceBeforeAnyIsLent) {
  int made = 0;
  const ThingPool sut(5, [&](Thing&) { ++made; });
  EXPECT_EQ(made, 5);
  EXPECT_EQ(sut.size(), 5u);
  expect_at_rest(sut);
}

TEST(Pool, LendsEachSlotOnceAndThenNone) {
  const auto sut = pool_of(3);
  std::vector<ThingLease> held;
  std::set<int> numbers;
  for (int i = 0; i < 3; ++i) {
    held.push_back(sut->try_acquire());
    ASSERT_TRUE(held.back());
    numbers.insert(held.back()->number);
  }
  EXPECT_EQ(numbers.size(), 3u);
  EXPECT_FALSE(sut->try_acquire());
  EXPECT_EQ(sut->leased(), 3u);
  EXPECT_EQ(sut->count_free(), 0u);
  held.pop_back();
  EXPECT_EQ(sut->leased() + sut->count_free(), 3u);
  EXPECT_TRUE(sut->try_acquire());
  held.clear();
  expect_at_rest(*sut);
  EXPECT_EQ(sut->leased_max(), 3u);
}

TEST(Pool, HasNothingToLendWhenItHasNoSlots) {
  const auto sut = pool_of(0);
  EXPECT_FALSE(sut->try_acquire());
  EXPECT_FALSE(sut->acquire(1ms));
}

TEST(Pool, RecyclesASlotOnceWhenItsLastLeaseGoes) {
  const auto sut = pool_of(1);
  ThingLease first = sut->try_acquire();
  Thing& thing = *first;
  ThingLease second = first;
  first.reset();
  EXPECT_EQ(thing.recycled, 0);
  EXPECT_FALSE(sut->try_acquire());
  second.reset();
  EXPECT_EQ(thing.recycled, 1);
  second.reset();
  EXPECT_EQ(thing.recycled, 1);
  expect_at_rest(*sut);
}

TEST(Pool, WaitsNoLongerThanItIsTold) {
  const auto sut = pool_of(1);
  const ThingLease held = sut->try_acquire();
  const auto before = std::chrono::steady_clock::now();
  EXPECT_FALSE(sut->acquire(20ms));
  EXPECT_GE(std::chrono::steady_clock::now() - before, 20ms);
}

TEST(Pool, WakesWhoWaitsWhenASlotComesBack) {
  const auto sut = pool_of(1);
  ThingLease held = sut->try_acquire();
  std::atomic<bool> has_got{false};
  std::thread waiter([&] { has_got = static_cast<bool>(sut->acquire(kPatience)); });
  const auto before = std::chrono::steady_clock::now();
  held.reset();
  waiter.join();
  EXPECT_TRUE(has_got);
  EXPECT_LT(std::chrono::steady_clock::now() - before, kPatience / 2);
  expect_at_rest(*sut);
}

// Few slots and many threads, so that a slot leaves and comes back while another thread is between
// reading the head of the free list and changing it (ABA). A slot lent twice shows as two owners;
// one lost as a pool that is not whole at rest.
TEST(Pool, LendsNoSlotTwiceAndLosesNoneUnderManyThreads) {
  constexpr int kThreads = 4, kRounds = 20000;
  const auto sut = pool_of(3);
  std::atomic<int> shared{0}, got{0};
  std::vector<std::thread> threads;
  for (int t = 1; t <= kThreads; ++t)
    threads.push_back(thread_on_cpu(t, [&, t] {
      for (int round = 0; round < kRounds; ++round) {
        ThingLease lease = round % 3 ? sut->try_acquire() : sut->acquire(10us);
        if (!lease) continue;
        ++got;
        if (lease->owner.exchange(t) != 0) ++shared;
        ThingLease copy = lease;
        lease.reset();
        if (copy->owner.exchange(0) != t) ++shared;
      }
    }));
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(shared, 0);
  EXPECT_GT(got, kRounds / 10);
  expect_at_rest(*sut);
  EXPECT_LE(sut->leased_max(), 3u);
  int recycled = 0;
  std::vector<ThingLease> all;
  while (ThingLease lease = sut->try_acquire()) {
    recycled += lease->recycled;
    all.push_back(std::move(lease));
  }
  EXPECT_EQ(recycled, got);
}

// ABA itself: a thread is interrupted between reading the head's successor and taking the head, and
// meanwhile the head leaves, its successor leaves, the head comes back. It takes an interruption
// just there, so many threads for a while; without the change count in the head this fails.
TEST(Pool, NoticesThatTheHeadOfItsFreeListLeftAndCameBack) {
  constexpr int kThreads = 8, kRounds = 400000;
  const auto sut = pool_of(4);
  std::atomic<int> shared{0};
  std::vector<std::thread> threads;
  for (int t = 1; t <= kThreads; ++t)
    threads.push_back(thread_on_cpu(t, [&, t] {
      for (int round = 0; round < kRounds && shared == 0; ++round) {
        ThingLease first = sut->try_acquire();
        ThingLease second = sut->try_acquire();
        for (ThingLease* lease : {&first, &second})
          if (*lease && (*lease)->owner.exchange(t) != 0) ++shared;
        for (ThingLease* lease : {&first, &second})
          if (*lease && (*lease)->owner.exchange(0) != t) ++shared;
        first.reset();
      }
    }));
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(shared, 0);
  expect_at_rest(*sut);
}

TEST(Pool, GivesASlotBackFromAnyThreadThatDropsTheLastLease) {
  const auto sut = pool_of(2);
  for (int round = 0; round < 2000; ++round) {
    ThingLease lease = sut->acquire(kPatience);
    ASSERT_TRUE(lease);
    std::thread other;
    if (round % 100 == 0) other = std::thread([copy = lease]() mutable { copy.reset(); });
    lease.reset();
    if (other.joinable()) other.join();
  }
  expect_at_rest(*sut);
}

TEST(Lease, IsEmptyUntilItIsGivenASlot) {
  const ThingLease sut;
  EXPECT_FALSE(sut);
  EXPECT_EQ(sut, ThingLease());
}

TEST(Lease, SharesItsSlotWithItsCopies) {
  const auto pool = pool_of(2);
  const ThingLease sut = pool->try_acquire();
  const ThingLease copy = sut;  // NOLINT: the copy is the point
  EXPECT_EQ(copy, sut);
  EXPECT_EQ(&*copy, &*sut);
  EXPECT_NE(pool->try_acquire(), sut);
  EXPECT_EQ(pool->leased(), 1u);
}

TEST(Lease, LeavesNothingBehindWhenItMoves) {
  const auto pool = pool_of(1);
  ThingLease sut = pool->try_acquire();
  ThingLease moved = std::move(sut);
  EXPECT_FALSE(sut);  // NOLINT: what is left is what is tested
  EXPECT_TRUE(moved);
  sut = std::move(moved);
  EXPECT_TRUE(sut);
  EXPECT_EQ(pool->leased(), 1u);
}

TEST(Lease, SurvivesBeingAssignedToItself) {
  const auto pool = pool_of(1);
  ThingLease sut = pool->try_acquire();
  ThingLease& same = sut;
  sut = same;
  ASSERT_TRUE(sut);
  EXPECT_EQ(sut->recycled, 0);
  sut = std::move(same);
  ASSERT_TRUE(sut);
  EXPECT_EQ(sut->recycled, 0);
  sut.reset();
  expect_at_rest(*pool);
}

TEST(Lease, GivesUpWhatItHadWhenItIsAssigned) {
  const auto pool = pool_of(2);
  ThingLease sut = pool->try_acquire();
  ThingLease other = pool->try_acquire();
  sut = other;
  EXPECT_EQ(sut, other);
  EXPECT_EQ(pool->leased(), 1u);
  sut = ThingLease();
  other = ThingLease();
  expect_at_rest(*pool);
}

TEST(Lease, TravelsAsAPointerAndIsTakenBackOnce) {
  const auto pool = pool_of(1);
  Slot<Thing>* slot = pool->try_acquire().release();
  EXPECT_EQ(pool->leased(), 1u);
  { const ThingLease sut = ThingLease::adopt(slot); }
  expect_at_rest(*pool);
}

}  // namespace
}  // namespace latticed::test
