// SPDX-License-Identifier: GPL-3.0-or-later
// From where on a client can still begin.
#include "server/live/history.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace latticed::test {
namespace {

using testing::ElementsAre;

EventRef event_of(LiveEventKind kind, std::uint64_t seq, std::uint64_t count = 1) {
  return std::make_shared<const Event>(Event{kind, 3, seq, count, {}});
}

std::vector<std::uint64_t> frames_of(const std::vector<EventRef>& events) {
  std::vector<std::uint64_t> out;
  for (const auto& event : events)
    if (is_about_frames(*event)) out.push_back(event->seq);
  return out;
}

History history_of(std::size_t limit, std::uint64_t frames) {
  History history(limit);
  history.begin(event_of(LiveEventKind::run_begins, 0));
  for (std::uint64_t i = 0; i < frames; ++i) history.add(event_of(LiveEventKind::measurement, i));
  return history;
}

TEST(History, ReachesExactlyToItsOldestFrame) {
  const History history = history_of(10, 25);
  EXPECT_EQ(history.oldest_seq(), 15u);
  EXPECT_TRUE(history.reaches(15));
  EXPECT_FALSE(history.reaches(14));
  EXPECT_THAT(frames_of(history.from(22)), ElementsAre(22, 23, 24));
  EXPECT_EQ(frames_of(history.from(15)).size(), 10u);
}

TEST(History, ReachesBackToTheBeginWhileNothingWasForgotten) {
  const History history = history_of(10, 10);
  EXPECT_TRUE(history.reaches(0));
  EXPECT_EQ(frames_of(history.from(0)).size(), 10u);
}

TEST(History, ReachesWhatIsYetToCome) {
  const History history = history_of(10, 5);
  EXPECT_TRUE(history.reaches(100));
  EXPECT_TRUE(frames_of(history.from(100)).empty());
  EXPECT_TRUE(History(10).reaches(0));
  EXPECT_TRUE(History(10).from(0).empty());
}

TEST(History, TheRunsBeginComesFirstEvenWhenItIsLongAgo) {
  const auto events = history_of(10, 100).from(95);
  ASSERT_EQ(events.size(), 6u);
  EXPECT_EQ(events.front()->kind, LiveEventKind::run_begins);
}

TEST(History, ALostEntryCountsByItsLastFrame) {
  History history(100);
  history.begin(event_of(LiveEventKind::run_begins, 0));
  history.add(event_of(LiveEventKind::measurement, 0));
  history.add(event_of(LiveEventKind::lost, 1, 5));
  history.add(event_of(LiveEventKind::measurement, 6));
  EXPECT_THAT(frames_of(history.from(5)), ElementsAre(1, 6));
  EXPECT_THAT(frames_of(history.from(6)), ElementsAre(6));
}

TEST(History, AHolderUpdateOfAnOlderFrameStaysInItsPlace) {
  History history(100);
  history.begin(event_of(LiveEventKind::run_begins, 0));
  for (std::uint64_t i = 0; i < 4; ++i) history.add(event_of(LiveEventKind::measurement, i));
  history.add(event_of(LiveEventKind::holder_update, 1));
  history.add(event_of(LiveEventKind::measurement, 4));
  EXPECT_THAT(frames_of(history.from(1)), ElementsAre(1, 2, 3, 1, 4));
  EXPECT_THAT(frames_of(history.from(2)), ElementsAre(2, 3, 4));
}

TEST(History, ANewRunForgetsTheLastOne) {
  History history = history_of(10, 25);
  history.begin(event_of(LiveEventKind::run_begins, 0));
  EXPECT_TRUE(history.reaches(0));
  EXPECT_EQ(history.size(), 0u);
}

}  // namespace
}  // namespace latticed::test
