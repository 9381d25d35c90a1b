// SPDX-License-Identifier: GPL-3.0-or-later
// What waits for one subscriber, and what it is told it missed.
#include "server/live/event_queue.hpp"

#include <gtest/gtest.h>

#include <string>
#include <thread>

namespace latticed::test {
namespace {

EventRef event_of(std::uint64_t seq, std::size_t bytes = 100) {
  auto event = std::make_shared<Event>();
  event->kind = LiveEventKind::measurement;
  event->seq = seq;
  event->body = slice_of(std::string(bytes, 'x'));
  return event;
}

void expect_balanced(const EventQueue& queue) {
  const auto counters = queue.counters();
  EXPECT_EQ(counters.in, counters.out + counters.dropped + counters.level);
}

TEST(EventQueue, HandsOutInOrderAndCounts) {
  EventQueue queue({4, 10'000});
  for (std::uint64_t i = 0; i < 3; ++i) queue.push(event_of(i));
  EXPECT_EQ(queue.counters().level, 3u);
  EXPECT_EQ(queue.counters().bytes, 300u);
  for (std::uint64_t i = 0; i < 3; ++i) {
    const auto taken = queue.take();
    ASSERT_TRUE(taken);
    EXPECT_EQ(taken->event->seq, i);
    EXPECT_EQ(taken->skipped_so_far, 0u);
  }
  EXPECT_FALSE(queue.take());
  EXPECT_EQ(queue.counters().bytes, 0u);
  EXPECT_EQ(queue.counters().duration.count, 3u);
  expect_balanced(queue);
}

TEST(EventQueue, DropsTheOldestBeyondItsEventsAndSaysSo) {
  EventQueue queue({4, 10'000});
  for (std::uint64_t i = 0; i < 10; ++i) queue.push(event_of(i));
  EXPECT_EQ(queue.counters().level_max, 4u);
  auto taken = queue.take();
  EXPECT_EQ(taken->event->seq, 6u);
  EXPECT_EQ(taken->skipped_so_far, 6u);
  EXPECT_EQ(taken->skipped_of_late, 6u);
  taken = queue.take();
  EXPECT_EQ(taken->skipped_so_far, 6u);
  EXPECT_EQ(taken->skipped_of_late, 0u);
  expect_balanced(queue);
}

TEST(EventQueue, DropsTheOldestBeyondItsBytesButTakesOneOfAnySize) {
  EventQueue queue({100, 1000});
  for (std::uint64_t i = 0; i < 5; ++i) queue.push(event_of(i, 300));
  EXPECT_EQ(queue.counters().level, 3u);
  EXPECT_EQ(queue.counters().bytes, 900u);
  queue.push(event_of(5, 5000));
  EXPECT_EQ(queue.counters().level, 1u);
  const auto taken = queue.take();
  EXPECT_EQ(taken->event->seq, 5u);
  EXPECT_EQ(taken->skipped_so_far, 5u);
  expect_balanced(queue);
}

TEST(EventQueue, AHistoryComesFirstWholeAndBesideTheLimits) {
  EventQueue queue({2, 1000});
  std::vector<EventRef> past;
  for (std::uint64_t i = 0; i < 50; ++i) past.push_back(event_of(i, 500));
  queue.preload(past);
  queue.push(event_of(50));
  queue.push(event_of(51));
  queue.push(event_of(52));
  for (std::uint64_t i = 0; i < 50; ++i) EXPECT_EQ(queue.take()->event->seq, i);
  EXPECT_EQ(queue.take()->event->seq, 51u);
  expect_balanced(queue);
}

TEST(EventQueue, CountsWhatWasMissedBeforeItCameHere) {
  EventQueue queue({4, 1000});
  queue.add_missed(7);
  queue.push(event_of(1));
  EXPECT_EQ(queue.take()->skipped_so_far, 7u);
  EXPECT_EQ(queue.counters().missed, 7u);
  EXPECT_EQ(queue.counters().dropped, 0u);
  expect_balanced(queue);
}

TEST(EventQueue, TakesNothingAfterItWasClosed) {
  EventQueue queue({4, 1000});
  queue.push(event_of(0));
  queue.close();
  queue.push(event_of(1));
  queue.preload({event_of(2)});
  EXPECT_FALSE(queue.take());
  EXPECT_TRUE(queue.is_empty());
  EXPECT_EQ(queue.counters().dropped, 3u);
  expect_balanced(queue);
}

TEST(EventQueue, GiverAndTakerMayBeTwoThreads) {
  EventQueue queue({8, 1'000'000});
  constexpr std::uint64_t kEvents = 20'000;
  std::thread giver([&] {
    for (std::uint64_t i = 0; i < kEvents; ++i) queue.push(event_of(i, 10));
  });
  std::uint64_t got = 0, next = 0;
  while (next < kEvents) {  // the last one is never dropped
    const auto taken = queue.take();
    if (!taken) continue;
    ASSERT_GE(taken->event->seq, next);
    next = taken->event->seq + 1;
    ++got;
    EXPECT_EQ(taken->event->seq + 1, got + taken->skipped_so_far);
  }
  giver.join();
  EXPECT_EQ(got + queue.counters().dropped, kEvents);
  expect_balanced(queue);
}

}  // namespace
}  // namespace latticed::test
