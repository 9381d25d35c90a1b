// SPDX-License-Identifier: GPL-3.0-or-later
// A detector's frames as events, stepped by hand.
#include "server/live/feed.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <latticed/v1/measurements.pb.h>

#include "tests/server/publish/shifted_frames.hpp"

namespace latticed::test {
namespace {

using testing::ElementsAre;
using Kind = v1::MeasurementEvent::EventCase;

constexpr std::int64_t kPeriod_ns = 100'000'000;

class FeedTest : public testing::Test {
 protected:
  FeedTest() {
    Feed::Parts parts;
    parts.detector = "camera";
    parts.stamper = &stamper_;
    parts.book = book_;
    parts.emit = [this](const EventRef& event) { events_.push_back(event); };
    parts.pending_frames = 8;
    feed_ = std::make_unique<Feed>(std::move(parts));
    RunInfo run = run_of(64, 48);
    run.epoch = 7;
    run.grid.bin = 2;
    feed_->begin(run);
  }
  void frame(std::uint64_t seq) {
    Frame frame;
    measure(frame, seq, {});
    frame.epoch = 7;
    frame.header.time_ns = static_cast<std::int64_t>(seq) * kPeriod_ns;
    feed_->frame(frame, holders_);
  }
  void lost(std::uint64_t seq, std::uint64_t count) {
    Frame frame;
    frame.epoch = 7;
    frame.seq = seq;
    frame.header.kind = FrameKind::lost;
    frame.header.loss = LossReason::incomplete;
    frame.header.lost_count = count;
    feed_->frame(frame, holders_);
  }
  void sample(std::int64_t time_ns, double bias_v) {
    HolderSample sample;
    sample.time_ns = time_ns;
    sample.bias_v = bias_v;
    holders_[0]->add(sample);
  }
  void has_holder() { holders_.push_back(std::make_shared<HolderLog>("stage", 1.0)); }

  /// What came since the last call.
  std::vector<v1::MeasurementEvent> said() {
    std::vector<v1::MeasurementEvent> out;
    for (const EventRef& event : events_) {
      if (event->kind == LiveEventKind::missed) continue;
      v1::MeasurementEvent& message = out.emplace_back();
      EXPECT_TRUE(
          message.ParseFromArray(event->body.begin(), static_cast<int>(event->body.size())));
    }
    events_.clear();
    return out;
  }

  rpc::Stamper stamper_{true};
  std::shared_ptr<AlertBook> book_ =
      std::make_shared<AlertBook>(10, [] { return std::int64_t{0}; });
  HolderLogs holders_;
  std::vector<EventRef> events_;
  std::unique_ptr<Feed> feed_;
};

TEST_F(FeedTest, ARunBeginsIsMeasuredAndEnds) {
  frame(0);
  lost(1, 3);
  frame(4);
  feed_->end("stopped", holders_);
  const auto events = said();
  ASSERT_EQ(events.size(), 5u);
  EXPECT_EQ(events[0].run_begins().width(), 64);
  EXPECT_EQ(events[0].run_begins().height(), 48);
  EXPECT_EQ(events[0].run_begins().bin(), 2);
  EXPECT_EQ(events[0].run_begins().frame_period_s(), 0.25);
  EXPECT_EQ(events[1].measurement().seq(), 0u);
  EXPECT_EQ(events[2].lost().seq(), 1u);
  EXPECT_EQ(events[2].lost().count(), 3u);
  EXPECT_EQ(events[2].lost().reason(), "incomplete");
  EXPECT_EQ(events[3].measurement().seq(), 4u);
  EXPECT_EQ(events[4].run_ends().measured(), 2u);
  EXPECT_EQ(events[4].run_ends().lost(), 3u);
  EXPECT_EQ(events[4].run_ends().ended(), "stopped");
  for (const auto& event : events) {
    EXPECT_EQ(event.detector(), "camera");
    EXPECT_EQ(event.stamp().epoch(), 7u);
    EXPECT_TRUE(event.stamp().rehearsal());
    EXPECT_GT(event.stamp().time_ns(), 0);
  }
  EXPECT_EQ(feed_->history().size(), 4u);
}

TEST_F(FeedTest, ARunEndsOnce) {
  feed_->end("stopped", holders_);
  EXPECT_EQ(said().size(), 2u);
  feed_->end("stopped", holders_);
  EXPECT_TRUE(said().empty());
}

TEST_F(FeedTest, WhoSawEveryFrameKnowsTheTotalsBetter) {
  frame(0);
  feed_->set_totals(100, 5);
  feed_->end("completed", holders_);
  EXPECT_EQ(said().back().run_ends().measured(), 100u);
}

TEST_F(FeedTest, FramesDroppedBeforeUsBecomeMissed) {
  frame(0);
  frame(5);
  ASSERT_EQ(events_.size(), 4u);
  EXPECT_EQ(events_[2]->kind, LiveEventKind::missed);
  EXPECT_EQ(events_[2]->seq, 1u);
  EXPECT_EQ(events_[2]->count, 4u);
  EXPECT_EQ(events_[3]->seq, 5u);
}

TEST_F(FeedTest, TheLastFrameIsKnownToAnyone) {
  EXPECT_FALSE(feed_->last());
  frame(3);
  ASSERT_TRUE(feed_->last());
  EXPECT_EQ(feed_->last()->seq, 3u);
  EXPECT_EQ(feed_->last()->epoch, 7u);
  EXPECT_EQ(feed_->last()->time_ns, 3 * kPeriod_ns);
}

TEST_F(FeedTest, AFrameHasTheLastSampleAndLaterTheInterpolatedOne) {
  has_holder();
  sample(0, 1.0);
  frame(1);
  auto events = said();
  ASSERT_EQ(events.size(), 2u);
  ASSERT_EQ(events[1].measurement().holders_size(), 1);
  const v1::HolderState& live = events[1].measurement().holders(0);
  EXPECT_EQ(live.holder(), "stage");
  EXPECT_EQ(live.bias_v(), 1.0);
  EXPECT_TRUE(live.provisional());
  EXPECT_DOUBLE_EQ(live.age_s(), 0.1);

  feed_->settle(holders_);
  EXPECT_TRUE(said().empty());
  sample(2 * kPeriod_ns, 3.0);
  feed_->settle(holders_);
  events = said();
  ASSERT_EQ(events.size(), 1u);
  const v1::HolderUpdate& update = events[0].holder_update();
  EXPECT_EQ(update.seq(), 1u);
  EXPECT_EQ(update.time_ns(), kPeriod_ns);
  ASSERT_EQ(update.holders_size(), 1);
  EXPECT_DOUBLE_EQ(update.holders(0).bias_v(), 2.0);
  EXPECT_FALSE(update.holders(0).provisional());
}

TEST_F(FeedTest, WhatIsPendingAtTheEndIsSentAsItIs) {
  has_holder();
  sample(0, 1.0);
  frame(1);
  frame(2);
  feed_->end("completed", holders_);
  const auto events = said();
  ASSERT_EQ(events.size(), 6u);
  EXPECT_EQ(events[3].holder_update().seq(), 1u);
  EXPECT_EQ(events[4].holder_update().seq(), 2u);
  EXPECT_TRUE(events[4].holder_update().holders(0).provisional());
  EXPECT_EQ(events[5].event_case(), Kind::kRunEnds);
}

TEST_F(FeedTest, AHolderThatIsSilentHoldsUpABoundedNumberOfFrames) {
  has_holder();
  for (std::uint64_t i = 0; i < 20; ++i) frame(i);
  std::vector<std::uint64_t> updated;
  for (const auto& event : said())
    if (event.has_holder_update()) updated.push_back(event.holder_update().seq());
  EXPECT_EQ(updated.size(), 12u);  // all but the 8 that may wait
  EXPECT_EQ(updated.front(), 0u);
}

TEST_F(FeedTest, TwoHoldersAreWaitedForBoth) {
  has_holder();
  holders_.push_back(std::make_shared<HolderLog>("heater", 1.0));
  sample(0, 1.0);
  frame(1);
  sample(2 * kPeriod_ns, 1.0);
  (void)said();
  feed_->settle(holders_);
  EXPECT_TRUE(said().empty());
  HolderSample warm;
  warm.time_ns = 2 * kPeriod_ns;
  warm.temperature_k = 300.0;
  holders_[1]->add(warm);
  feed_->settle(holders_);
  EXPECT_EQ(said().size(), 1u);
}

TEST_F(FeedTest, AlarmsHaveTheirNumbers) {
  AlertBook::Change change;
  change.alert.set_rule(default_rules()[1].name);
  book_->note("camera", 7, 0, {change, change});
  Frame frame;
  measure(frame, 0, {});
  frame.epoch = 7;
  AlertEvent alert;
  alert.rule = 1;
  frame.measurements.alerts.push_back(alert);
  frame.measurements.alerts.push_back(alert);
  feed_->frame(frame, holders_);
  const auto events = said();
  ASSERT_EQ(events.back().measurement().alerts_size(), 2);
  EXPECT_EQ(events.back().measurement().alerts(0).id(), 1u);
  EXPECT_EQ(events.back().measurement().alerts(1).id(), 2u);
}

}  // namespace
}  // namespace latticed::test
