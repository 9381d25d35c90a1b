// SPDX-License-Identifier: GPL-3.0-or-later
#include "clients/latticectl/run_progress.hpp"

#include <gtest/gtest.h>

#include <thread>

#include "tests/support/deadline.hpp"

namespace latticed::latticectl {
namespace {

constexpr double kPatience_s = 30.0;
constexpr double kNoPatience_s = 0.01;

v1::MeasurementEvent event(const std::string& detector, std::uint32_t epoch) {
  v1::MeasurementEvent e;
  e.mutable_stamp()->set_epoch(epoch);
  e.set_detector(detector);
  return e;
}
v1::MeasurementEvent measured(const std::string& detector, std::uint64_t seq,
                              std::uint32_t epoch = 2) {
  auto e = event(detector, epoch);
  e.mutable_measurement()->set_seq(seq);
  return e;
}
v1::MeasurementEvent ended(const std::string& detector, const std::string& word) {
  auto e = event(detector, 2);
  e.mutable_run_ends()->set_ended(word);
  e.mutable_run_ends()->set_measured(10);
  return e;
}

TEST(RunProgress, IsThroughWithAFrameWhenAllDetectorsAre) {
  RunProgress sut(2, {"a", "b"});
  sut.take(measured("a", 9));
  EXPECT_EQ(sut.wait_for_frame(5, kNoPatience_s, {}), Waited::too_long);
  sut.take(measured("b", 3));
  EXPECT_EQ(sut.wait_for_frame(4, kNoPatience_s, {}), Waited::reached);
  EXPECT_EQ(sut.wait_for_frame(5, kNoPatience_s, {}), Waited::too_long);
}

TEST(RunProgress, CountsLostFramesAsDone) {
  RunProgress sut(2, {"a"});
  auto lost = event("a", 2);
  lost.mutable_lost()->set_seq(3);
  lost.mutable_lost()->set_count(4);
  sut.take(lost);
  EXPECT_EQ(sut.frames(), 7u);
}

TEST(RunProgress, LeavesOtherRunsAndUnknownDetectorsOut) {
  RunProgress sut(2, {"a"});
  sut.take(measured("a", 100, 1));
  sut.take(measured("c", 100));
  EXPECT_EQ(sut.frames(), 0u);
}

TEST(RunProgress, SaysThatTheRunEndedBeforeTheFrame) {
  RunProgress sut(2, {"a", "b"});
  sut.take(ended("a", "completed"));
  EXPECT_FALSE(sut.has_ended());
  EXPECT_TRUE(sut.has_ended("a"));
  EXPECT_FALSE(sut.has_ended("b"));
  EXPECT_FALSE(sut.has_ended("nobody"));
  sut.take(ended("b", "failed"));
  EXPECT_EQ(sut.wait_for_frame(5, kPatience_s, {}), Waited::run_ended);
  EXPECT_EQ(sut.wait_for_end(kPatience_s, {}), Waited::reached);
  EXPECT_EQ(sut.ended(), "failed");
  EXPECT_EQ(sut.measured(), 20u);
}

TEST(RunProgress, WakesWhoeverWaitsForAFrameForTheEndOrForASignal) {
  RunProgress sut(2, {"a"});
  std::thread frames([&] { sut.take(measured("a", 4)); });
  EXPECT_EQ(sut.wait_for_frame(5, kPatience_s, {}), Waited::reached);
  frames.join();
  std::stop_source stop;
  std::thread signal([&] { stop.request_stop(); });
  EXPECT_EQ(sut.wait_for_frame(6, kPatience_s, stop.get_token()), Waited::stopped);
  signal.join();
  std::thread end([&] { sut.close(); });
  EXPECT_EQ(sut.wait_for_end(kPatience_s, {}), Waited::closed);
  end.join();
}

}  // namespace
}  // namespace latticed::latticectl
