// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/process/change_box.hpp"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "tests/support/deadline.hpp"

namespace latticed::test {
namespace {

using namespace std::chrono_literals;

std::shared_ptr<PendingChange> forget(std::uint32_t id, std::uint64_t from_seq = 0) {
  auto out = std::make_shared<PendingChange>(from_seq);
  out->record->change = ForgetSpot{id};
  return out;
}
std::uint32_t id_of(const PendingChange& change) {
  return std::get<ForgetSpot>(change.record->change).spot_id;
}

TEST(ChangeBox, HandsOutInOrderOfPostingOneAtATime) {
  ChangeBox sut;
  EXPECT_EQ(sut.front(), nullptr);
  for (std::uint32_t id : {1, 2, 3}) ASSERT_TRUE(sut.post(forget(id)));
  for (std::uint32_t id : {1, 2}) {
    ASSERT_TRUE(sut.next(0));
    EXPECT_EQ(id_of(*sut.next(0)), id);
    sut.settle_made(*sut.next(0));
  }
  ASSERT_TRUE(sut.post(forget(4)));
  for (std::uint32_t id : {3, 4}) {
    EXPECT_EQ(id_of(*sut.next(0)), id);
    sut.settle_made(*sut.next(0));
  }
  EXPECT_EQ(sut.front(), nullptr);
}

TEST(ChangeBox, KeepsAChangeUntilItsFrameHasCome) {
  ChangeBox sut;
  ASSERT_TRUE(sut.post(forget(1, 10)));
  EXPECT_EQ(sut.next(9), nullptr);
  ASSERT_TRUE(sut.front());
  EXPECT_EQ(sut.from_seq(*sut.front()), 10u);
  EXPECT_TRUE(sut.next(11));
}

TEST(ChangeBox, TellsWhoWaits) {
  ChangeBox sut;
  const auto made = forget(1), failed = forget(2);
  ASSERT_TRUE(sut.post(made));
  ASSERT_TRUE(sut.post(failed));
  std::thread track([&] {
    sut.front()->record->seq = 7;
    sut.settle_made(*sut.front());
    sut.settle_failed(*sut.front(), {ErrorCode::not_found, "no such spot"});
  });
  const auto outcome = made->wait(kPatience);
  ASSERT_TRUE(outcome);
  EXPECT_EQ((*outcome)->seq, 7u);
  ASSERT_FALSE(failed->wait(kPatience));
  EXPECT_EQ(failed->wait(kPatience).error().message, "no such spot");
  track.join();
}

TEST(ChangeBox, AChangeThatWasNotMadeInTimeIsNotMadeLater) {
  ChangeBox sut;
  const auto late = forget(1);
  ASSERT_TRUE(sut.post(late));
  ASSERT_TRUE(sut.post(forget(2)));
  const auto outcome = late->wait(1ms);
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, ErrorCode::timeout);
  EXPECT_EQ(id_of(*sut.front()), 2u);
}

TEST(ChangeBox, AChangeThatIsBeingMadeIsNotWithdrawn) {
  ChangeBox sut;
  const auto slow = forget(1);
  ASSERT_TRUE(sut.post(slow));
  ASSERT_TRUE(sut.take(*sut.front()));
  EXPECT_EQ(slow->wait(1ms).error().code, ErrorCode::timeout);
  ASSERT_EQ(sut.front(), slow.get());
  sut.settle_made(*sut.front());
  EXPECT_TRUE(slow->wait(kPatience));
}

TEST(ChangeBox, ClosedItRefusesAndFailsWhatWaits) {
  ChangeBox sut;
  const auto waiting = forget(1);
  ASSERT_TRUE(sut.post(waiting));
  sut.close({ErrorCode::failed_precondition, "over"});
  EXPECT_EQ(waiting->wait(kPatience).error().message, "over");
  EXPECT_FALSE(sut.post(forget(2)));
}

TEST(ChangeBox, WhatIsLeftWhenItGoesHasFailed) {
  const auto left = forget(1);
  {
    ChangeBox sut;
    ASSERT_TRUE(sut.post(left));
  }
  EXPECT_EQ(left->wait(kPatience).error().code, ErrorCode::cancelled);
}

// Many post while one takes, and it closes in the middle: each change is settled exactly once.
TEST(ChangeBox, LosesNothingBetweenManyWhoPostAndOneWhoTakes) {
  constexpr int kThreads = 4, kEach = 2000;
  ChangeBox sut;
  std::atomic<int> refused{0}, posted{0};
  std::vector<std::shared_ptr<PendingChange>> all[kThreads];
  std::vector<std::thread> posters;
  for (int t = 0; t < kThreads; ++t)
    posters.emplace_back([&, t] {
      for (std::uint32_t i = 0; i < kEach; ++i) {
        auto change = forget(i);
        if (!sut.post(change)) {
          ++refused;
          continue;
        }
        ++posted;
        all[t].push_back(std::move(change));
      }
    });
  std::uint64_t made = 0;
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (made < kThreads * kEach / 2 && std::chrono::steady_clock::now() < deadline) {
    PendingChange* const change = sut.next(made);
    if (!change) continue;
    change->record->seq = ++made;
    sut.settle_made(*change);
  }
  sut.close({ErrorCode::failed_precondition, "over"});
  for (auto& poster : posters) poster.join();
  EXPECT_EQ(posted + refused, kThreads * kEach);
  int made_seen = 0, failed_seen = 0;
  for (const auto& one : all) {
    std::uint64_t last = 0;
    for (const auto& change : one) {
      const auto outcome = change->wait(0ns);
      (outcome ? made_seen : failed_seen) += 1;
      if (!outcome) {
        EXPECT_EQ(outcome.error().message, "over");
        continue;
      }
      EXPECT_GT((*outcome)->seq, last) << "in order of posting";
      last = (*outcome)->seq;
    }
  }
  EXPECT_EQ(made_seen, kThreads * kEach / 2);
  EXPECT_EQ(made_seen + failed_seen, posted);
}

}  // namespace
}  // namespace latticed::test
