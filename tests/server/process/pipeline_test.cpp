// SPDX-License-Identifier: GPL-3.0-or-later
// The frame's whole way, from a scripted detector to sinks that remember.
#include "server/process/pipeline.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <stdexcept>

#include "server/process/line.hpp"
#include "server/process/sink_runner.hpp"
#include "tests/support/collecting_sink.hpp"
#include "tests/support/deadline.hpp"
#include "tests/support/lattice_frames.hpp"
#include "tests/support/scripted_detector.hpp"

namespace latticed::test {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

std::vector<std::uint64_t> numbers(std::uint64_t first, std::uint64_t count) {
  std::vector<std::uint64_t> out(count);
  std::iota(out.begin(), out.end(), first);
  return out;
}

/// A run in the making: parts, and hands on what is inside.
class PipelineTest : public testing::Test {
 protected:
  void SetUp() override {
    config_.workers = 2;
    config_.pin_workers = false;
    scene_.size = 64;
    images_.reserve(4);
    for (std::uint64_t i = 0; i < 4; ++i) images_.push_back(lattice_frame(scene_, i));
  }

  ScriptedDetector* detector(Script script, Line::Parts& parts) {
    auto made = std::make_unique<ScriptedDetector>(
        std::move(script), scene_.geometry(), [this](std::uint64_t n, std::span<std::byte> pixels) {
          copy_pixels(images_[n % images_.size()], pixels);
        });
    ScriptedDetector* out = made.get();
    parts.detector = std::move(made);
    return out;
  }
  Line::Parts parts_of(Script script, std::vector<Collection*> sinks) {
    Line::Parts parts;
    last_detector_ = detector(std::move(script), parts);
    parts.config.source_policy = LossPolicy::block;
    parts.config.frame_slots = 8;
    for (Collection* sink : sinks) parts.sinks.push_back(std::make_unique<CollectingSink>(*sink));
    return parts;
  }
  Pipeline& pipeline() {
    if (!sut_) sut_ = std::make_unique<Pipeline>(config_);
    return *sut_;
  }
  Line& add(Line::Parts parts, std::uint32_t epoch = 1) {
    auto added = pipeline().add(std::move(parts), epoch);
    EXPECT_TRUE(added) << added.error().message;
    return **added;
  }
  Result<void> run() {
    if (auto ok = pipeline().start(); !ok) return ok;
    return pipeline().wait();
  }
  static void expect_at_rest(const Line& line) {
    EXPECT_EQ(line.pixels().count_free(), line.pixels().size());
    EXPECT_EQ(line.frames().count_free(), line.frames().size());
    EXPECT_EQ(line.prepared().count_free(), line.prepared().size());
    EXPECT_EQ(line.ring().counters().level(), 0u);
    EXPECT_EQ(line.source().counters().level(), 0u);
    for (const auto& sink : line.sinks()) EXPECT_EQ(sink->counters().level(), 0u);
  }

  PipelineConfig config_;
  Scene scene_;
  std::vector<std::vector<std::uint16_t>> images_;
  Collection first_, second_, third_;
  ScriptedDetector* last_detector_ = nullptr;
  std::unique_ptr<Pipeline> sut_;  // before the collections go
};

TEST_F(PipelineTest, EveryFrameArrivesOnceInOrderMeasured) {
  config_.workers = 4;
  Line& line = add(parts_of(Script().frames(200), {&first_}), 7);
  const auto outcome = run();
  ASSERT_TRUE(outcome) << outcome.error().message;
  EXPECT_EQ(first_.seqs(), numbers(0, 200));
  for (const SeenFrame& frame : first_.frames()) {
    EXPECT_EQ(frame.epoch, 7u);
    EXPECT_EQ(frame.measurements.quality, FrameQuality::good);
    EXPECT_EQ(frame.measurements.drift.state, DriftState::locked) << frame.seq;
    EXPECT_GE(frame.measurements.spots.size(), 2u);
    EXPECT_NEAR(frame.measurements.mean_counts, scene_.mean_counts, 0.1 * scene_.mean_counts);
  }
  EXPECT_EQ(first_.finished, 1);
  EXPECT_EQ(first_.run.epoch, 7u);
  EXPECT_EQ(line.measured(), 200u);
  EXPECT_EQ(line.latency().summary().count, 200u);
  EXPECT_TRUE(line.is_finished());
  expect_at_rest(line);
}

TEST_F(PipelineTest, LostEntriesArriveInTheirPlaceAndAreNotMeasured) {
  Line& line = add(parts_of(
      Script().frames(3).lost(4, LossReason::truncated).frames(2).gap(1).frames(1), {&first_}));
  ASSERT_TRUE(run());
  EXPECT_THAT(first_.seqs(), ElementsAre(0, 1, 2, 3, 7, 8, 9, 10));
  const auto frames = first_.frames();
  EXPECT_EQ(frames[3].header.kind, FrameKind::lost);
  EXPECT_EQ(frames[3].header.lost_count, 4u);
  EXPECT_EQ(frames[3].header.loss, LossReason::truncated);
  EXPECT_TRUE(frames[3].measurements.spots.empty());
  EXPECT_EQ(frames[6].header.loss, LossReason::sequence_gap);
  EXPECT_EQ(line.measured(), 6u);
  expect_at_rest(line);
}

TEST_F(PipelineTest, MoreLostEntriesThanThereAreSlotsAllArrive) {
  Script script;
  for (int i = 0; i < 500; ++i) script.lost(1, LossReason::unreadable);
  Line& line = add(parts_of(std::move(script), {&first_}));
  ASSERT_TRUE(run());
  EXPECT_EQ(first_.seqs(), numbers(0, 500));
  expect_at_rest(line);
}

TEST_F(PipelineTest, ARunWithoutFramesBeginsAndFinishesItsSinks) {
  Line& line = add(parts_of(Script(), {&first_}));
  ASSERT_TRUE(run());
  EXPECT_TRUE(first_.seqs().empty());
  EXPECT_EQ(first_.finished, 1);
  expect_at_rest(line);
}

TEST_F(PipelineTest, ASinkHearsThatNothingComesAndMayFailThen) {
  std::atomic<int> idled{0};
  first_.on_idle = [&] { idled.fetch_add(1); };
  second_.on_idle = [] { throw std::runtime_error("nothing to do"); };
  second_.name = "second";
  Line& line = add(parts_of(Script().frames(2).wait_for_permit().frames(2), {&first_, &second_}));
  ASSERT_TRUE(pipeline().start());
  EXPECT_TRUE(happens([&] { return first_.size() == 2 && idled.load() >= 2; }));
  last_detector_->permit();
  const auto outcome = pipeline().wait();
  EXPECT_EQ(first_.seqs(), numbers(0, 4));
  EXPECT_EQ(first_.finished, 1);
  ASSERT_FALSE(outcome);
  EXPECT_THAT(outcome.error().message, AllOf(HasSubstr("second"), HasSubstr("nothing to do")));
  EXPECT_EQ(second_.finished, 0);
  expect_at_rest(line);
}

TEST_F(PipelineTest, SequenceNumbersBeginWhereTheRunSays) {
  Line::Parts parts = parts_of(Script().frames(5), {&first_});
  parts.config.first_seq = 40;
  add(std::move(parts));
  ASSERT_TRUE(run());
  EXPECT_EQ(first_.seqs(), numbers(40, 5));
  EXPECT_EQ(first_.run.first_seq, 40u);
}

TEST_F(PipelineTest, FramesOfBadQualityArriveWithTheirQuality) {
  images_ = {lattice_frame(scene_, 1), std::vector<std::uint16_t>(64 * 64, 0)};
  add(parts_of(Script().frames(2).frames(1, kFrameBlanked).frames(1), {&first_}));
  ASSERT_TRUE(run());
  const auto frames = first_.frames();
  ASSERT_EQ(frames.size(), 4u);
  EXPECT_EQ(frames[0].measurements.quality, FrameQuality::good);
  EXPECT_EQ(frames[1].measurements.quality, FrameQuality::constant);
  EXPECT_EQ(frames[2].measurements.quality, FrameQuality::blanked);
  EXPECT_EQ(frames[3].measurements.quality, FrameQuality::constant);
  EXPECT_TRUE(frames[1].measurements.spots.empty());
  EXPECT_GT(frames[1].measurements.drift.sigma_drift_px.x, 0.0) << "unknown, not exact";
}

TEST_F(PipelineTest, FramesTooSmallToMeasureStillArrive) {
  scene_.size = 8;
  images_ = {std::vector<std::uint16_t>(64, 3)};
  Line& line = add(parts_of(Script().frames(20), {&first_}));
  ASSERT_TRUE(run());
  EXPECT_EQ(first_.seqs(), numbers(0, 20));
  for (const SeenFrame& frame : first_.frames()) {
    EXPECT_EQ(frame.measurements.quality, FrameQuality::too_small);
    EXPECT_EQ(frame.measurements.drift.state, DriftState::lost);
  }
  expect_at_rest(line);
}

TEST_F(PipelineTest, SeveralDetectorsShareTheWorkersAndAllFinish) {
  for (Collection* sink : {&first_, &second_, &third_}) add(parts_of(Script().frames(60), {sink}));
  const auto outcome = run();
  ASSERT_TRUE(outcome) << outcome.error().message;
  for (Collection* sink : {&first_, &second_, &third_}) EXPECT_EQ(sink->seqs(), numbers(0, 60));
  for (const auto& line : pipeline().lines()) expect_at_rest(*line);
}

TEST_F(PipelineTest, ADetectorsFaultEndsItsLineWithItsErrorAndNotTheOthers) {
  add(parts_of(Script().frames(5).fault("cable out"), {&first_}));
  add(parts_of(Script().frames(50), {&second_}));
  const auto outcome = run();
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().message, "cable out");
  EXPECT_EQ(first_.seqs(), numbers(0, 5));
  EXPECT_EQ(first_.finished, 1);
  EXPECT_EQ(second_.seqs(), numbers(0, 50));
}

TEST_F(PipelineTest, StaleFramesAreCountedAndGoNowhere) {
  Line& line = add(parts_of(Script().frames(4).frame(0).frame(2).frames(1), {&first_}));
  ASSERT_TRUE(run());
  EXPECT_EQ(first_.seqs(), numbers(0, 5));
  EXPECT_EQ(line.source().counters().stale(), 2u);
  EXPECT_EQ(line.source().counters().lost_total(), 0u);
  expect_at_rest(line);
}

// ---- sinks

TEST_F(PipelineTest, ASlowSinkThatTakesTheLatestOnlyLosesItsOwnFramesAndNobodyElses) {
  first_.options.policy = LossPolicy::latest_only;
  first_.name = "slow";
  first_.hold();
  Line& line = add(parts_of(Script().frames(1).wait_for_permit().frames(99), {&first_, &second_}));
  ASSERT_TRUE(pipeline().start());
  ASSERT_TRUE(happens([&] { return first_.arrived() == 1; }));
  last_detector_->permit();
  ASSERT_TRUE(happens([&] { return second_.size() == 100 && line.is_finished(); }));
  first_.open();
  const auto outcome = pipeline().wait();
  ASSERT_TRUE(outcome) << outcome.error().message;
  EXPECT_EQ(second_.seqs(), numbers(0, 100));
  // The frame it was busy with, and the last: the end pushes no frame out.
  const auto seen = first_.seqs();
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_EQ(seen.back(), 99u);
  const EdgeCounters& slow = line.sinks()[0]->counters();
  EXPECT_EQ(slow.in, 100u);
  EXPECT_EQ(slow.dropped_oldest, 98u);
  EXPECT_EQ(line.sinks()[1]->counters().dropped(), 0u);
  EXPECT_EQ(first_.finished, 1);
  expect_at_rest(line);
}

TEST_F(PipelineTest, ASinkThatDropsItsNewestStillHearsOfTheEnd) {
  first_.options = {.policy = LossPolicy::drop_newest, .quota = 2};
  first_.hold();
  Line& line = add(parts_of(Script().frames(50), {&first_}));
  ASSERT_TRUE(pipeline().start());
  ASSERT_TRUE(happens([&] { return line.is_finished(); }));
  first_.open();
  ASSERT_TRUE(pipeline().wait());
  EXPECT_EQ(first_.finished, 1);
  EXPECT_EQ(first_.size() + line.sinks()[0]->counters().dropped_newest, 50u);
  EXPECT_THAT(first_.size(), testing::AnyOf(2u, 3u));
  expect_at_rest(line);
}

TEST_F(PipelineTest, ASinkThatBlocksGetsEveryFrameHoweverLateItIs) {
  first_.options = {.policy = LossPolicy::block, .quota = 1};
  first_.hold();
  Line& line = add(parts_of(Script().frames(100), {&first_, &second_}));
  ASSERT_TRUE(pipeline().start());
  ASSERT_TRUE(happens([&] { return first_.arrived() == 1; }));
  first_.open();
  ASSERT_TRUE(pipeline().wait());
  EXPECT_EQ(first_.seqs(), numbers(0, 100));
  EXPECT_EQ(second_.seqs(), numbers(0, 100));
  EXPECT_EQ(line.sinks()[0]->counters().dropped(), 0u);
}

TEST_F(PipelineTest, ASinkThatMayLoseNothingEndsTheRunWithAnErrorThatNamesItAndTheFrame) {
  first_.options = {.policy = LossPolicy::stop_run, .quota = 2};
  first_.name = "recorder";
  first_.hold();
  Line& line = add(parts_of(Script().frames(20).silence(), {&first_}));
  ASSERT_TRUE(pipeline().start());
  ASSERT_TRUE(happens([&] { return line.is_finished(); }));
  first_.open();
  const auto outcome = pipeline().wait();
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, ErrorCode::resource_exhausted);
  EXPECT_THAT(outcome.error().message,
              AllOf(HasSubstr("sink recorder did not take frame"), HasSubstr("policy stop_run")));
  EXPECT_EQ(first_.finished, 1);
  expect_at_rest(line);
}

TEST_F(PipelineTest, ASinkThatThrowsEndsTheRunWithItsErrorWhileTheOthersGetEveryFrame) {
  first_.name = "bad";
  first_.on_frame = [](const Frame& frame) {
    if (frame.seq == 3) throw std::runtime_error("disk full");
  };
  third_.name = "worse";
  third_.on_frame = [](const Frame&) { throw 42; };
  Line& line = add(parts_of(Script().frames(40), {&first_, &second_, &third_}));
  const auto outcome = run();
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().message, "sink bad: disk full");
  EXPECT_EQ(first_.seqs(), numbers(0, 3));
  EXPECT_EQ(first_.finished, 0);
  EXPECT_EQ(second_.seqs(), numbers(0, 40));
  ASSERT_TRUE(line.sinks()[2]->error());
  EXPECT_THAT(line.sinks()[2]->error()->message, HasSubstr("sink worse"));
  expect_at_rest(line);
}

TEST_F(PipelineTest, ASinkThatCannotFinishEndsTheRunWithItsError) {
  first_.finish_error = Error{ErrorCode::data_loss, "close: no space"};
  add(parts_of(Script().frames(2), {&first_}));
  const auto outcome = run();
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, ErrorCode::data_loss);
  EXPECT_EQ(outcome.error().message, "sink collect: close: no space");
}

TEST_F(PipelineTest, ASinkThatCannotBeginKeepsTheRunFromStarting) {
  second_.begin_error = Error{ErrorCode::not_found, "no such folder"};
  const auto added = pipeline().add(parts_of(Script().frames(2), {&first_, &second_}), 1);
  ASSERT_FALSE(added);
  EXPECT_EQ(added.error().message, "no such folder");
  EXPECT_TRUE(pipeline().lines().empty());
  EXPECT_TRUE(first_.seqs().empty());
}

TEST_F(PipelineTest, OneThreadServesTheSinksOfSeveralDetectors) {
  first_.thread = second_.thread = std::make_shared<SharedThread>(ThreadOptions{"latd-publish"});
  Line& line = add(parts_of(Script().frames(200), {&first_, &third_}));
  add(parts_of(Script().frames(150), {&second_}));
  const auto outcome = run();
  ASSERT_TRUE(outcome) << outcome.error().message;
  for (Collection* sink : {&first_, &third_}) EXPECT_EQ(sink->seqs(), numbers(0, 200));
  EXPECT_EQ(second_.seqs(), numbers(0, 150));
  EXPECT_EQ(first_.finished + second_.finished, 2);
  EXPECT_GT(line.sinks()[0]->cpu_time().count(), 0);
  for (const auto& each : pipeline().lines()) expect_at_rest(*each);
}

TEST_F(PipelineTest, ASharedThreadOutlivesARunAndServesTheNext) {
  first_.thread = std::make_shared<SharedThread>(ThreadOptions{"latd-publish"});
  for (int i = 0; i < 3; ++i) {
    add(parts_of(Script().frames(10), {&first_}));
    ASSERT_TRUE(run());
    sut_.reset();
  }
  EXPECT_EQ(first_.size(), 30u);
  EXPECT_EQ(first_.finished, 3);
}

TEST_F(PipelineTest, ASinkThatFailsOnASharedThreadLeavesTheOtherDetectorsSinkItsRun) {
  first_.thread = second_.thread = std::make_shared<SharedThread>(ThreadOptions{"latd-publish"});
  first_.on_frame = [](const Frame& frame) {
    if (frame.seq == 3) throw std::runtime_error("socket closed");
  };
  add(parts_of(Script().frames(40), {&first_}));
  add(parts_of(Script().frames(40), {&second_}));
  const auto outcome = run();
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().message, "sink collect: socket closed");
  EXPECT_EQ(first_.seqs(), numbers(0, 3));
  EXPECT_EQ(second_.seqs(), numbers(0, 40));
}

TEST_F(PipelineTest, ASinkThatHangsOnASharedThreadKeepsNobodyWaitingForEver) {
  config_.stall.sink_s = 0.05;
  config_.stall.min_s = 3.0;  // so long the other one is given, and a worker on a busy machine
  Collection forever, other;
  forever.hold();
  forever.name = "hung";
  other.name = "other";
  forever.options = other.options = {.policy = LossPolicy::latest_only};
  forever.thread = other.thread = std::make_shared<SharedThread>(ThreadOptions{"latd-publish"});
  add(parts_of(Script().frames(3), {&forever}));
  add(parts_of(Script().frames(3), {&other}));
  ASSERT_TRUE(pipeline().start());
  const auto outcome = pipeline().wait();
  ASSERT_FALSE(outcome);
  const auto& lines = pipeline().lines();
  ASSERT_TRUE(lines[0]->why_abandoned());
  EXPECT_THAT(lines[0]->why_abandoned()->message, HasSubstr("sink hung works on a frame"));
  sut_.reset();
  EXPECT_GE(Pipeline::hung_lines(), 1u);
  forever.open();
  EXPECT_TRUE(happens([] {
    { const Pipeline another({}); }
    return Pipeline::hung_lines() == 0;
  }));
}

// ---- what cannot be run

TEST_F(PipelineTest, RefusesMoreFramesThanMemoryHolds) {
  Line::Parts parts = parts_of(Script(), {});
  parts.detector =
      std::make_unique<ScriptedDetector>(Script(), FrameGeometry{8192, 8192, PixelType::u32},
                                         [](std::uint64_t, std::span<std::byte>) {});
  parts.config.frame_slots = 65536;
  const auto added = pipeline().add(std::move(parts), 1);
  ASSERT_FALSE(added);
  EXPECT_EQ(added.error().code, ErrorCode::resource_exhausted);
  EXPECT_THAT(
      added.error().message,
      AllOf(HasSubstr("65536 frame slots of 268.4 MB are 17592.19 GB"), HasSubstr("are free")));
}

TEST_F(PipelineTest, RefusesSettingsOutsideTheirRange) {
  for (int slots : {-1, 0, 1, 65537}) {
    Line::Parts parts = parts_of(Script(), {});
    parts.config.frame_slots = slots;
    const auto added = pipeline().add(std::move(parts), 1);
    ASSERT_FALSE(added) << slots;
    EXPECT_EQ(added.error().code, ErrorCode::invalid_argument);
    EXPECT_THAT(added.error().message,
                AllOf(HasSubstr("frame_slots " + std::to_string(slots)), HasSubstr("2 to 65536")));
  }
  for (LossPolicy policy : {LossPolicy::drop_oldest, LossPolicy::latest_only}) {
    Line::Parts parts = parts_of(Script(), {});
    parts.config.source_policy = policy;
    EXPECT_FALSE(pipeline().add(std::move(parts), 1));
  }
  Pipeline idle({.workers = 0});
  EXPECT_FALSE(idle.add(parts_of(Script(), {}), 1));
}

TEST_F(PipelineTest, ADetectorThatDoesNotStartEndsTheRunWithoutWaitingForTheOthers) {
  add(parts_of(Script().frames(3).silence(), {&first_}));
  add(parts_of(Script().frames(3), {&second_}));
  last_detector_->start_error = Error{ErrorCode::unavailable, "no power"};
  add(parts_of(Script().frames(3), {&third_}));
  const auto started = pipeline().start();
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().message, "no power");
  const auto outcome = pipeline().wait();
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().message, "no power");
}

TEST_F(PipelineTest, WaitingForARunThatWasNotStartedIsAnError) {
  add(parts_of(Script().frames(3), {&first_}));
  EXPECT_FALSE(pipeline().wait());
}

// ---- the end before the end

TEST_F(PipelineTest, StopEndsTheRunAndStillMeasuresWhatWasTaken) {
  Line& line = add(parts_of(Script().frames(30).silence(), {&first_}));
  ASSERT_TRUE(pipeline().start());
  ASSERT_TRUE(happens([&] { return line.source().counters().out == 30; }));
  pipeline().stop();
  const auto outcome = pipeline().wait();
  ASSERT_TRUE(outcome) << outcome.error().message;
  EXPECT_EQ(first_.seqs(), numbers(0, 30));
  EXPECT_EQ(first_.finished, 1);
  expect_at_rest(line);
}

TEST_F(PipelineTest, StopFromThePollEndsAnEndlessRun) {
  add(parts_of(Script().frames(5).silence(), {&first_}));
  ASSERT_TRUE(pipeline().start());
  const auto outcome = pipeline().wait([&] {
    if (first_.size() == 5) pipeline().stop();
  });
  ASSERT_TRUE(outcome);
  EXPECT_EQ(first_.seqs(), numbers(0, 5));
}

TEST_F(PipelineTest, CanBeGivenUpInTheMiddleWhileASinkBlocks) {
  first_.options = {.policy = LossPolicy::block, .quota = 1};
  Line::Parts parts = parts_of(Script().frames(100), {&first_});
  first_.hold();
  add(std::move(parts));
  ASSERT_TRUE(pipeline().start());
  ASSERT_TRUE(happens([&] { return first_.arrived() == 1; }));
  std::thread opener([&] { first_.open(); });
  sut_.reset();
  opener.join();
  EXPECT_EQ(first_.finished, 1);
  EXPECT_LE(first_.size(), 100u);
}

// ---- stalls

TEST_F(PipelineTest, ADetectorThatGoesSilentIsSaidWithPartFrameTimeAndDeadline) {
  config_.stall.min_s = 0.05;
  Line::Parts parts = parts_of(Script().frames(3).silence(), {&first_});
  last_detector_->says().exposure_s = 0.001;
  last_detector_->says().frame_period_s = 0.06;
  last_detector_->is_called().name = "haadf";
  add(std::move(parts));
  const auto outcome = run();
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, ErrorCode::timeout);
  EXPECT_THAT(outcome.error().message,
              testing::MatchesRegex(
                  "detector haadf: source waits for a frame of the detector \\(frame 3\\) since "
                  "[0-9.]+ s, deadline 0\\.6 s from exposure 0\\.001 s and period 0\\.06 s"));
  EXPECT_EQ(first_.seqs(), numbers(0, 3));
  EXPECT_EQ(first_.finished, 1);
}

TEST_F(PipelineTest, AStalledDetectorLeavesTheOthersTheirRun) {
  config_.stall.min_s = 0.5;
  add(parts_of(Script().silence(), {&first_}));
  Line::Parts parts = parts_of(Script().frames(10).wait_for_permit().frames(10), {&second_});
  last_detector_->says().exposure_s = 6.0;  // this one has a minute for a frame
  add(std::move(parts));
  ASSERT_TRUE(pipeline().start());
  bool is_told = false;
  const auto outcome = pipeline().wait([&] {
    if (is_told || !pipeline().lines()[0]->has_ended()) return;
    last_detector_->permit();
    is_told = true;
  });
  ASSERT_FALSE(outcome);
  EXPECT_THAT(outcome.error().message, HasSubstr("source waits for a frame of the detector"));
  EXPECT_EQ(first_.finished, 1);
  EXPECT_EQ(second_.seqs(), numbers(0, 20));
}

// A worker and the track cannot be made to hang from outside. Asked with the clock an hour ahead,
// whoever is at work right now has been so for an hour.
TEST_F(PipelineTest, AWorkerOrATrackThatHangsIsNamedWithItsFrame) {
  const Line& line = add(parts_of(Script().frames(200'000), {}));
  ASSERT_TRUE(pipeline().start());
  const auto somebody_is = [&](const char* pattern) {
    return happens([&] {
      const auto stall = pipeline().find_stall(line, steady_now() + 1h);
      return stall && testing::Matches(testing::MatchesRegex(pattern))(stall->message);
    });
  };
  EXPECT_TRUE(somebody_is(
      "detector scripted: worker [01] prepares a frame \\(frame [0-9]+\\) since 3.6e.03 s, .*"));
  EXPECT_TRUE(somebody_is(
      "detector scripted: track measures a frame \\(frame [0-9]+\\) since 3.6e.03 s, .*"));
  EXPECT_FALSE(pipeline().find_stall(line, steady_now()));
  pipeline().stop();
  EXPECT_TRUE(pipeline().wait());
}

TEST_F(PipelineTest, ASinkThatHangsIsNamedAndNotThoseWhoWaitBehindIt) {
  config_.stall.sink_s = 0.2;
  first_.name = "disk";
  first_.options = {.policy = LossPolicy::block, .quota = 1};
  first_.hold();
  add(parts_of(Script().frames(100), {&first_}));
  ASSERT_TRUE(pipeline().start());
  const auto outcome = pipeline().wait();
  ASSERT_FALSE(outcome);
  EXPECT_THAT(outcome.error().message,
              testing::MatchesRegex("detector scripted: sink disk works on a frame \\(frame 0\\) "
                                    "since [0-9.]+ s, deadline 0\\.2 s from .*"));
  first_.open();  // or the pipeline keeps the thread that never returns
}

TEST_F(PipelineTest, ASinkThatNeverReturnsKeepsNeitherTheErrorNorTheProgramWaiting) {
  config_.stall.sink_s = 0.05;
  Collection forever;
  forever.hold();
  forever.options = {.policy = LossPolicy::latest_only};
  add(parts_of(Script().frames(3), {&forever}));
  ASSERT_TRUE(pipeline().start());
  const auto outcome = pipeline().wait();
  ASSERT_FALSE(outcome);
  EXPECT_THAT(outcome.error().message, HasSubstr("sink collect works on a frame (frame "));
  sut_.reset();
  EXPECT_EQ(Pipeline::hung_lines(), 1u);
  forever.open();
  EXPECT_TRUE(happens([] {
    { const Pipeline another({}); }  // whose end frees what has returned meanwhile
    return Pipeline::hung_lines() == 0;
  }));
}

TEST_F(PipelineTest, WhoWaitsBehindASlowSinkHasTheSinksPatience) {
  config_.stall.min_s = 5.0;
  config_.stall.sink_s = 600.0;
  first_.options = {.policy = LossPolicy::block, .quota = 1};
  first_.hold();
  const Line& line = add(parts_of(Script().frames(40), {&first_}));
  ASSERT_TRUE(pipeline().start());
  const auto in = [&](std::chrono::seconds ahead) {
    return pipeline().find_stall(line, steady_now() + ahead);
  };
  // Until all have come to where they wait, one or the other is at work of its own.
  EXPECT_TRUE(happens([&] {
    return first_.arrived() == 1 && line.source().activity().patience == Patience::behind_sinks &&
           !in(590s);
  }));
  ASSERT_TRUE(in(601s));
  EXPECT_THAT(in(601s)->message, HasSubstr("sink collect works on a frame (frame 0)"));
  EXPECT_THAT(in(10000s)->message, HasSubstr("sink collect works on a frame (frame 0)"));
  first_.open();
  const auto outcome = pipeline().wait();
  EXPECT_TRUE(outcome) << outcome.error().message;
  EXPECT_EQ(first_.seqs(), numbers(0, 40));
}

TEST_F(PipelineTest, ItsTableNamesEveryEdgeAndEveryLoss) {
  add(parts_of(Script().frames(3).lost(2, LossReason::truncated), {&first_}));
  ASSERT_TRUE(run());
  EXPECT_THAT(pipeline().counters_table(),
              AllOf(HasSubstr("scripted source"), HasSubstr("scripted ring"),
                    HasSubstr("scripted collect"), HasSubstr("lost, truncated: 2")));
}

}  // namespace
}  // namespace latticed::test
