// SPDX-License-Identifier: GPL-3.0-or-later
#include "clients/latticectl/live_view.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/clients/latticectl/replies.hpp"

namespace latticed::latticectl {
namespace {

using namespace std::chrono_literals;
using test::measurement;
using testing::HasSubstr;
using testing::Not;

class LiveViewTest : public testing::Test {
 protected:
  std::string take(const v1::MeasurementEvent& event, std::chrono::milliseconds at = 0ms) {
    return sut_.take(event, LiveView::Clock::time_point(at));
  }

  LiveView sut_{10};
};

TEST_F(LiveViewTest, ShowsDriftSpotsCrystallinityAndTheHolderWithItsAge) {
  take(measurement(120));
  const std::string table = sut_.table();
  EXPECT_THAT(table, HasSubstr("haadf  run 2  frame 120"));
  EXPECT_THAT(table, HasSubstr("(+3.01 ± 0.29, -0.67 ± 0.29) px locked"));
  EXPECT_THAT(table, HasSubstr("#1 0.271900 ± 0.000026 nm, snr 80"));
  EXPECT_THAT(table, HasSubstr("crystallinity  63.0 %"));
  EXPECT_THAT(table, HasSubstr("3.412 V, 1.2 nA, output ON, ~0.05 s"));
}

TEST_F(LiveViewTest, ShowsTheSpotsOfASumWhereAFrameHasNone) {
  auto event = measurement(120);
  auto& sum = *event.mutable_measurement()->mutable_sum();
  sum.set_frames_added(15);
  sum.set_last_seq(120);
  v1::Spot& spot = *sum.add_spots();
  spot.set_id(9);
  spot.set_d_nm(0.5331);
  spot.set_sigma_d_nm(0.0012);
  spot.set_snr(11.0);
  spot.set_confirmed(true);
  take(event);
  EXPECT_THAT(sut_.table(), Not(HasSubstr("sum of")));  // the frame's own spots are there
  EXPECT_THAT(sut_.frame_line(event), Not(HasSubstr("sum of")));
  event.mutable_measurement()->clear_spots();
  take(event);
  EXPECT_THAT(sut_.frame_line(event),
              HasSubstr("[sum of 15 frames to 120  #9 0.5331 ± 0.0012 nm]"));
  EXPECT_THAT(sut_.table(), HasSubstr("spots          none\n  sum of 15 frames to 120:\n"));
  EXPECT_THAT(sut_.table(), HasSubstr("#9 0.5331 ± 0.0012 nm, snr 11"));
  auto later = measurement(130);  // between two sums the last one stays
  later.mutable_measurement()->clear_spots();
  take(later);
  EXPECT_THAT(sut_.table(), HasSubstr("sum of 15 frames to 120"));
  later.mutable_measurement()->set_seq(300);
  take(later);
  EXPECT_THAT(sut_.table(), Not(HasSubstr("sum of")));
}

TEST_F(LiveViewTest, ListsTheStrongestSpotFirst) {
  take(measurement(1));
  const std::string table = sut_.table();
  EXPECT_LT(table.find("#1 "), table.find("#2 "));  // 2 comes first in the message
}

TEST_F(LiveViewTest, HasALineForEveryNthFrameOnly) {
  EXPECT_EQ(sut_.frame_line(measurement(119)), "");
  const std::string line = sut_.frame_line(measurement(120));
  EXPECT_THAT(line, HasSubstr("haadf  frame 120  drift (+3.01 ± 0.29"));
  EXPECT_EQ(line.back(), '\n');
}

TEST_F(LiveViewTest, SaysAlertsOfEveryFrameAndKeepsThoseThatStand) {
  auto raised = measurement(121);
  auto* change = raised.mutable_measurement()->add_alerts();
  change->set_id(7);
  change->set_rule("spacing_change");
  change->set_raised(true);
  change->set_value(0.2705);
  change->set_sigma(0.0001);
  change->set_unit("nm");
  change->set_since_seq(118);
  EXPECT_THAT(take(raised), HasSubstr("frame 121  alert 7 RAISED: spacing_change"));
  EXPECT_THAT(sut_.table(), HasSubstr("alert 7 RAISED"));
  EXPECT_THAT(sut_.frame_line(measurement(130)), HasSubstr("1 alerts stand"));
  auto cleared = raised;
  cleared.mutable_measurement()->mutable_alerts(0)->set_raised(false);
  EXPECT_THAT(take(cleared), HasSubstr("cleared"));
  EXPECT_THAT(sut_.table(), Not(HasSubstr("alert 7")));
}

TEST_F(LiveViewTest, MarksEveryLineOfARehearsal) {
  auto event = measurement(120);
  event.mutable_stamp()->set_rehearsal(true);
  event.mutable_measurement()->add_changes("region 0 0 64 64");
  EXPECT_THAT(take(event), testing::StartsWith("REHEARSAL haadf  frame 120  region"));
  EXPECT_THAT(sut_.frame_line(event), testing::StartsWith("REHEARSAL haadf"));
  EXPECT_THAT(sut_.table(), testing::StartsWith("REHEARSAL haadf"));
}

TEST_F(LiveViewTest, SaysLostFramesAndMissedEvents) {
  auto lost = measurement(0);
  lost.mutable_lost()->set_seq(5);
  lost.mutable_lost()->set_count(3);
  lost.mutable_lost()->set_reason("no_free_slot");
  lost.set_skipped(4);
  const std::string said = take(lost);
  EXPECT_THAT(said, HasSubstr("frame 5 and 2 more LOST: no_free_slot"));
  EXPECT_THAT(said, HasSubstr("4 events missed"));
  EXPECT_THAT(take(lost), Not(HasSubstr("events missed")));  // said once
  EXPECT_THAT(sut_.table(), HasSubstr("6 LOST"));
}

TEST_F(LiveViewTest, BeginsAnewWithEveryRun) {
  take(measurement(7));
  auto begins = measurement(0);
  begins.mutable_stamp()->set_epoch(3);
  begins.mutable_run_begins()->set_width(64);
  begins.mutable_run_begins()->set_height(48);
  EXPECT_THAT(take(begins), HasSubstr("run begins: 64 x 48 px"));
  EXPECT_THAT(sut_.table(), HasSubstr("no frame yet"));
  auto frame = measurement(0);
  frame.mutable_stamp()->set_epoch(3);
  take(frame);
  EXPECT_THAT(sut_.table(), HasSubstr("0.271900 ± 0.000026 px"));  // no pixel size was said
  auto ends = measurement(0);
  ends.mutable_stamp()->set_epoch(3);
  ends.mutable_run_ends()->set_ended("stopped");
  EXPECT_THAT(take(ends), HasSubstr("run stopped"));
  EXPECT_THAT(sut_.table(), HasSubstr("stopped"));
}

TEST_F(LiveViewTest, CountsFramesOverTheLastSecond) {
  for (int i = 0; i <= 20; ++i) take(measurement(static_cast<std::uint64_t>(i)), i * 50ms);
  EXPECT_THAT(sut_.table(), HasSubstr("20.0 frames/s"));
}

}  // namespace
}  // namespace latticed::latticectl
