// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/process/sequence_ring.hpp"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "tests/support/cpus.hpp"
#include "tests/support/deadline.hpp"

namespace latticed::test {
namespace {

using namespace std::chrono_literals;

class SequenceRingTest : public testing::Test {
 protected:
  FrameLease frame(std::uint64_t seq) {
    FrameLease lease = frames_.acquire(kPatience);
    lease->seq = seq;
    return lease;
  }
  FramePool frames_{8, [](Frame&) {}};
  PreparedPool prepared_{5, [](Prepared&) {}};
  Doorbell work_;
  SequenceRing sut_{8, work_};
};

TEST_F(SequenceRingTest, HasNothingToClaimAndNothingToTakeAtFirst) {
  EXPECT_FALSE(sut_.has_work());
  EXPECT_FALSE(sut_.claim());
  EXPECT_EQ(sut_.next(), nullptr);
}

TEST_F(SequenceRingTest, GivesEachPositionToOneClaim) {
  for (std::uint64_t i = 0; i < 3; ++i) sut_.push(frame(i));
  EXPECT_EQ(sut_.claim(), 0u);
  EXPECT_EQ(sut_.claim(), 1u);
  EXPECT_EQ(sut_.claim(), 2u);
  EXPECT_FALSE(sut_.has_work());
  EXPECT_FALSE(sut_.claim());
}

TEST_F(SequenceRingTest, RingsForTheWorkersWhenAFrameCame) {
  const auto seen = work_.listen();
  sut_.push(frame(0));
  EXPECT_NE(work_.listen(), seen);
}

TEST_F(SequenceRingTest, HoldsBackWhatComesFromAFrameOn) {
  for (std::uint64_t i = 0; i < 4; ++i) sut_.push(frame(10 + i));
  sut_.hold_from(12);
  EXPECT_FALSE(sut_.is_held());
  EXPECT_EQ(sut_.claim(), 0u);
  EXPECT_EQ(sut_.claim(), 1u);
  EXPECT_TRUE(sut_.is_held());
  EXPECT_FALSE(sut_.claim());
  EXPECT_FALSE(sut_.is_drained()) << "two are claimed and not taken";
  for (std::uint64_t i = 0; i < 2; ++i) {
    sut_.mark_ready(i);
    ASSERT_TRUE(sut_.next());
    const FrameLease taken = std::move(sut_.next()->frame);
    sut_.release();
  }
  EXPECT_TRUE(sut_.is_drained());
  const auto seen = work_.listen();
  sut_.let_go();
  EXPECT_NE(work_.listen(), seen);
  EXPECT_EQ(sut_.claim(), 2u);
}

TEST_F(SequenceRingTest, HeldFromTheBeginningOnItIsDrainedAlsoWithoutFrames) {
  sut_.hold_from(0);
  EXPECT_TRUE(sut_.is_held());
  EXPECT_TRUE(sut_.is_drained());
  sut_.hold_from(5);
  EXPECT_FALSE(sut_.is_drained()) << "frames before the fifth may still come";
}

TEST_F(SequenceRingTest, WaitsForTheOldestHoweverReadyTheOthersAre) {
  for (std::uint64_t i = 0; i < 3; ++i) {
    sut_.push(frame(i));
    (void)sut_.claim();
  }
  sut_.mark_ready(2);
  sut_.mark_ready(1);
  EXPECT_EQ(sut_.next(), nullptr);
  sut_.mark_ready(0);
  for (std::uint64_t i = 0; i < 3; ++i) {
    SequenceRing::Cell* cell = sut_.next();
    ASSERT_NE(cell, nullptr);
    EXPECT_EQ(cell->frame->seq, i);
    cell->frame.reset();
    sut_.release();
  }
  EXPECT_EQ(sut_.next(), nullptr);
  EXPECT_EQ(sut_.counters().in, 3u);
  EXPECT_EQ(sut_.counters().out, 3u);
  EXPECT_EQ(sut_.counters().level_max, 3u);
}

TEST_F(SequenceRingTest, TheSameCellIsNotReadyAgainInItsNextRound) {
  for (std::uint64_t i = 0; i < 20; ++i) {
    sut_.push(frame(i));
    EXPECT_EQ(sut_.claim(), i);
    EXPECT_EQ(sut_.next(), nullptr) << i;
    sut_.mark_ready(i);
    SequenceRing::Cell* cell = sut_.next();
    ASSERT_NE(cell, nullptr);
    cell->frame.reset();
    sut_.release();
  }
}

TEST_F(SequenceRingTest, GivesBackWhatItStillHoldsWhenItGoes) {
  {
    SequenceRing ring(8, work_);
    for (std::uint64_t i = 0; i < 5; ++i) ring.push(frame(i));
  }
  EXPECT_EQ(frames_.count_free(), frames_.size());
}

// Threads that do nothing but claim, let go together again and again.
TEST(SequenceRing, GivesEachPositionToOneOfManyThreadsThatClaimAtOnce) {
  constexpr std::uint64_t kFrames = 1024, kRounds = 300;
  FramePool frames(kFrames, [](Frame&) {});
  Doorbell work;
  SequenceRing sut(kFrames, work);
  std::vector<std::atomic<int>> claims(kFrames * kRounds);
  std::atomic<std::uint64_t> round{0}, claimed{0};
  std::vector<std::thread> workers;
  for (int w = 0; w < 3; ++w)
    workers.push_back(thread_on_cpu(w, [&] {
      while (round.load() < kRounds)
        while (const auto position = sut.claim()) {
          ++claims[*position];
          ++claimed;
        }
    }));
  for (std::uint64_t r = 0; r < kRounds; ++r) {
    for (std::uint64_t i = 0; i < kFrames; ++i) sut.push(frames.try_acquire());
    ASSERT_TRUE(happens([&] { return claimed >= (r + 1) * kFrames; }));
    for (std::uint64_t i = 0; i < kFrames; ++i) {
      sut.mark_ready(r * kFrames + i);
      SequenceRing::Cell* cell = sut.next();
      ASSERT_NE(cell, nullptr);
      const FrameLease held = std::move(cell->frame);
      sut.release();
    }
    round = r + 1;
  }
  for (auto& worker : workers) worker.join();
  for (const auto& count : claims) ASSERT_EQ(count, 1);
}

// Marks the next frame as a worker does, and takes what has come next, if `take` does.
template <class Take>
void work_once(SequenceRing& ring, const Take& take) {
  const auto position = ring.claim();
  ASSERT_TRUE(position);
  ring.mark_ready(*position);
  ring.take_turn(take);
}

TEST_F(SequenceRingTest, AWorkerTakesWhatItMadeReadyAndWhatWaitedForThat) {
  for (std::uint64_t i = 0; i < 3; ++i) sut_.push(frame(i));
  std::vector<std::uint64_t> taken;
  const auto take = [&](SequenceRing::Cell& cell) {
    const FrameLease held = std::move(cell.frame);
    taken.push_back(held->seq);
    sut_.release();
    return true;
  };
  const auto first = sut_.claim();
  work_once(sut_, take);
  work_once(sut_, take);
  EXPECT_TRUE(taken.empty());
  sut_.mark_ready(*first);
  sut_.take_turn(take);
  EXPECT_EQ(taken, (std::vector<std::uint64_t>{0, 1, 2}));
}

TEST_F(SequenceRingTest, AWorkerLeavesToTheTrackThreadWhatIsNotForIt) {
  for (std::uint64_t i = 0; i < 2; ++i) sut_.push(frame(i));
  const auto seen = sut_.listen();
  for (int i = 0; i < 2; ++i) work_once(sut_, [](SequenceRing::Cell&) { return false; });
  EXPECT_NE(sut_.listen(), seen) << "it is called";
  ASSERT_TRUE(sut_.try_turn()) << "the turn was given back";
  ASSERT_NE(sut_.next(), nullptr);
  EXPECT_EQ(sut_.next()->frame->seq, 0u);
}

TEST_F(SequenceRingTest, AWorkerLeavesEverythingToWhoHasTheTurn) {
  sut_.push(frame(0));
  ASSERT_TRUE(sut_.try_turn());
  EXPECT_FALSE(sut_.try_turn());
  work_once(sut_, [](SequenceRing::Cell&) {
    ADD_FAILURE() << "another thread has the turn";
    return true;
  });
  sut_.give_turn();
  EXPECT_NE(sut_.next(), nullptr);
}

// One source, four workers with fewer places than cells, one track thread: as in a run. Each frame
// is marked by the worker that prepared it and taken by whoever has the turn, every seventh by the
// track thread. Each is taken once, in order, prepared, and none is forgotten.
TEST_F(SequenceRingTest, KeepsTheOrderWithFourWorkersClaiming) {
  constexpr std::uint64_t kFrames = 5000;
  std::atomic<bool> is_over{false};
  std::atomic<std::uint64_t> all_taken{0};
  std::uint64_t taken = 0, wrong = 0, by_workers = 0;  // of who has the turn
  const auto take = [&](SequenceRing::Cell& cell) {
    if (cell.frame->seq != taken) ++wrong;
    if (!cell.prepared || cell.prepared->statistics.mean != static_cast<double>(taken) + 0.5)
      ++wrong;
    const FrameLease held = std::move(cell.frame);
    cell.prepared.reset();
    sut_.release();
    all_taken = ++taken;
  };
  std::vector<std::thread> threads;
  for (int w = 0; w < 4; ++w)
    threads.push_back(thread_on_cpu(w, [&] {
      while (!is_over) {
        const auto seen = work_.listen();
        PreparedLease place = prepared_.try_acquire();
        const auto position = place ? sut_.claim() : std::nullopt;
        if (!position) {
          place.reset();
          if (!sut_.has_work()) work_.wait(seen, 10ms);
          continue;
        }
        SequenceRing::Cell& cell = sut_.at(*position);
        place->statistics.mean = static_cast<double>(cell.frame->seq) + 0.5;
        cell.prepared = std::move(place);
        sut_.mark_ready(*position);
        sut_.take_turn([&](SequenceRing::Cell& next) {
          if (next.frame->seq % 7 == 0) return false;
          ++by_workers;
          take(next);
          return true;
        });
      }
    }));
  threads.emplace_back([&] {
    while (!is_over) {
      const auto seen = sut_.listen();
      bool is_more = false;
      if (sut_.try_turn()) {
        if (SequenceRing::Cell* cell = sut_.next()) take(*cell);
        sut_.give_turn();
        is_more = sut_.next() != nullptr;
      }
      if (!is_more) sut_.wait_for_call(seen, kPatience);
    }
  });
  std::thread source([&] {
    for (std::uint64_t i = 0; i < kFrames; ++i) sut_.push(frame(i));
  });
  EXPECT_TRUE(happens([&] { return all_taken == kFrames; }));
  is_over = true;
  work_.ring();
  sut_.call_track();
  source.join();
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(taken, kFrames);
  EXPECT_EQ(wrong, 0u);
  EXPECT_GT(by_workers, 0u);
  EXPECT_EQ(frames_.count_free(), frames_.size());
  EXPECT_EQ(prepared_.count_free(), prepared_.size());
  EXPECT_EQ(sut_.counters().level(), 0u);
}

}  // namespace
}  // namespace latticed::test
