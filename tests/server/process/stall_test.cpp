// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/process/stall.hpp"

#include <gtest/gtest.h>

namespace latticed::test {
namespace {

using namespace std::chrono_literals;

DetectorConfiguration taking(double exposure_s, double period_s) {
  DetectorConfiguration configuration;
  configuration.exposure_s = exposure_s;
  configuration.frame_period_s = period_s;
  return configuration;
}

TEST(StallDeadlines, AreTenFramesAndNeverLessThanTheConfigurationSays) {
  const StallLimits limits{.min_s = 5.0, .sink_s = 60.0};
  EXPECT_EQ(StallDeadlines(limits, taking(0.0, 0.0)).own(), 5s);
  EXPECT_EQ(StallDeadlines(limits, taking(0.1, 0.2)).own(), 5s);
  EXPECT_EQ(StallDeadlines(limits, taking(2.0, 0.0)).own(), 20s);
  EXPECT_EQ(StallDeadlines(limits, taking(2.0, 3.0)).own(), 30s);
  EXPECT_EQ(StallDeadlines(limits, taking(2.0, 3.0)).sink(), 60s);
  EXPECT_EQ(StallDeadlines(limits, taking(20.0, 0.0)).sink(), 200s);
}

TEST(StallDeadlines, TakeEvenAnExposureOfYears) {
  EXPECT_GT(StallDeadlines({}, taking(1e12, 0.0)).own(), std::chrono::hours(24 * 365));
}

TEST(StallDeadlines, SayWhoWaitedForWhatAtWhichFrameSinceWhenAndHowLongItMight) {
  const StallDeadlines sut({.min_s = 0.5, .sink_s = 60.0}, taking(0.02, 0.1));
  Activity activity;
  activity.now("prepares a frame", 17);
  const std::chrono::nanoseconds began(activity.since_ns);
  EXPECT_FALSE(sut.find_stall("haadf", "worker 1", activity, began + 1s));
  const auto stall = sut.find_stall("haadf", "worker 1", activity, began + 1500ms);
  ASSERT_TRUE(stall);
  EXPECT_EQ(stall->code, ErrorCode::timeout);
  EXPECT_EQ(stall->message,
            "detector haadf: worker 1 prepares a frame (frame 17) since 1.5 s, deadline 1 s from "
            "exposure 0.02 s and period 0.1 s");
}

TEST(StallDeadlines, NobodyWhoIsIdleHasStalled) {
  const StallDeadlines sut({.min_s = 0.5}, taking(0.0, 0.0));
  Activity activity;
  EXPECT_FALSE(sut.find_stall("haadf", "track", activity, 1000h));
  activity.now("measures a frame", 1);
  activity.idle();
  EXPECT_FALSE(sut.find_stall("haadf", "track", activity, 1000h));
}

TEST(StallDeadlines, ASinkHasItsOwnPatienceAndWhoWaitsBehindItALittleMore) {
  const StallDeadlines sut({.min_s = 0.5, .sink_s = 60.0}, taking(0.0, 0.0));
  Activity sink, track;
  track.now("waits for a sink to take the frame", 3, Patience::behind_sinks);
  sink.now("works on a frame", 2, Patience::sink);
  const std::chrono::nanoseconds began(sink.since_ns);
  EXPECT_FALSE(sut.find_stall("haadf", "sink disk", sink, began + 59s));
  EXPECT_TRUE(sut.find_stall("haadf", "sink disk", sink, began + 60100ms));
  EXPECT_FALSE(sut.find_stall("haadf", "track", track, began + 60100ms));
  EXPECT_TRUE(sut.find_stall("haadf", "track", track, began + 61s));
}

}  // namespace
}  // namespace latticed::test
