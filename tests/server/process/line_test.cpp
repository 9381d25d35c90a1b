// SPDX-License-Identifier: GPL-3.0-or-later
// Changes while a run goes on: each holds from one frame on, is in that frame's record, and costs
// no frame; drift goes on through all of them.
#include "server/process/line.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numbers>
#include <numeric>
#include <thread>

#include "server/process/pipeline.hpp"
#include "tests/support/collecting_sink.hpp"
#include "tests/support/deadline.hpp"
#include "tests/support/scripted_detector.hpp"
#include "tests/support/synthetic_scene.hpp"

namespace latticed::test {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

constexpr int kSize = 256;
constexpr std::size_t kPictures = 40;
constexpr double kPixel_nm = 0.02;

/// Where the specimen is in frame `seq`: a closed curve, so that the pictures can be played in a
/// ring.
Vector2 truth(std::uint64_t seq) {
  const auto at = [](std::uint64_t i) {
    const double turn = 2.0 * std::numbers::pi * static_cast<double>(i % kPictures) / kPictures;
    return Vector2{5.0 * std::sin(turn), 3.0 * std::cos(turn)};
  };
  return {at(seq).x - at(0).x, at(seq).y - at(0).y};
}

/// A particle with its lattice on a film, and a fringe too faint to be detected.
struct Pictures {
  static constexpr Wave kFaint{{0.17, 0.11}, 0.003, 0.5};
  Pictures() {
    Scene scene{.width = kSize, .height = kSize, .counts = 60.0};
    scene.lattice = layered_lattice();
    scene.lattice.push_back(kFaint);
    scene.film = std::make_shared<const Film>(kSize, kSize, 5, 0.05);
    ShotNoise noise(17);
    for (std::size_t i = 0; i < kPictures; ++i) all.push_back(noise(expect(scene, truth(i))));
  }
  std::vector<std::vector<float>> all;
  static const Pictures& get() {
    static const Pictures one;
    return one;
  }
};

/// A run over the pictures, as fast as it goes unless its script waits.
class Played {
 public:
  explicit Played(Script script, std::vector<AlertRule> rules = {}, int workers = 3,
                  SumWhen sum_when = SumWhen::automatic) {
    (void)Pictures::get();  // drawn now, not while the source waits for its first frame
    Line::Parts parts;
    auto made = std::make_unique<ScriptedDetector>(
        std::move(script), FrameGeometry{kSize, kSize, PixelType::f32},
        [](std::uint64_t n, std::span<std::byte> pixels) {
          const auto& picture = Pictures::get().all[n % kPictures];
          std::memcpy(pixels.data(), picture.data(), pixels.size());
        });
    detector = made.get();
    parts.detector = std::move(made);
    parts.config.source_policy = LossPolicy::block;
    parts.config.frame_slots = 8;
    parts.config.pixel_size_nm = kPixel_nm;
    parts.config.rules = std::move(rules);
    parts.config.sum.when = sum_when;
    parts.sinks.push_back(std::make_unique<CollectingSink>(seen));
    pipeline = std::make_unique<Pipeline>(PipelineConfig{.workers = workers, .pin_workers = false});
    line = *pipeline->add(std::move(parts), 1);
  }
  void start() { ASSERT_TRUE(pipeline->start()); }
  [[nodiscard]] bool has_seen(std::size_t frames) const {
    return happens([&] { return seen.size() >= frames; });
  }
  std::shared_ptr<const AppliedChange> apply(TrackChange change) {
    const std::string name(name_of(change));
    auto made = line->apply(std::move(change), kPatience);
    EXPECT_TRUE(made) << name << ": " << made.error().message;
    return made ? *made : std::make_shared<const AppliedChange>();
  }
  /// Ends an endless run.
  std::vector<SeenFrame> finish() {
    pipeline->stop();
    return run_out();
  }
  /// The script's own end.
  std::vector<SeenFrame> run_out() {
    const auto outcome = pipeline->wait();
    EXPECT_TRUE(outcome) << outcome.error().message;
    return seen.frames();
  }

  Collection seen;
  ScriptedDetector* detector = nullptr;
  std::unique_ptr<Pipeline> pipeline;
  Line* line = nullptr;
};

Script endless() { return Script().frames(200'000); }

/// Every frame is there, in order, measured.
void expect_whole(const std::vector<SeenFrame>& frames) {
  for (std::size_t i = 0; i < frames.size(); ++i) {
    ASSERT_EQ(frames[i].seq, i);
    ASSERT_EQ(frames[i].header.kind, FrameKind::frame);
    ASSERT_EQ(frames[i].measurements.quality, FrameQuality::good);
  }
}
/// Drift is right in every frame, within `sigmas` of what it says and of frame 0's own error.
void expect_drift(const std::vector<SeenFrame>& frames, double sigmas = 6.0) {
  for (const SeenFrame& frame : frames) {
    const DriftMeasurement& drift = frame.measurements.drift;
    ASSERT_NE(drift.state, DriftState::lost) << frame.seq;
    ASSERT_NEAR(drift.drift_px.x, truth(frame.seq).x, sigmas * (drift.sigma_drift_px.x + 0.02))
        << frame.seq;
    ASSERT_NEAR(drift.drift_px.y, truth(frame.seq).y, sigmas * (drift.sigma_drift_px.y + 0.02))
        << frame.seq;
  }
}
/// The records of all changes, in order.
std::vector<std::shared_ptr<const AppliedChange>> changes_of(const std::vector<SeenFrame>& frames) {
  std::vector<std::shared_ptr<const AppliedChange>> out;
  for (const SeenFrame& frame : frames) {
    if (!frame.change) continue;
    EXPECT_EQ(frame.change->seq, frame.seq);
    out.push_back(frame.change);
  }
  return out;
}

AlertRule counts_above(const std::string& name, double above) {
  AlertRule rule{.name = name, .quantity = Quantity::mean_counts, .kind = RuleKind::limit};
  rule.above = above;
  return rule;
}

// ---- rules

TEST(LineChanges, NewRulesHoldFromOneFrameOnAndOpenAlarmsOfTheOldAreCleared) {
  Played sut(endless(), {counts_above("low", 10.0), counts_above("stays", 11.0)});
  sut.start();
  ASSERT_TRUE(sut.has_seen(5));
  const auto made = sut.apply(SetRules{{counts_above("fresh", 12.0), counts_above("stays", 11.0)}});
  ASSERT_TRUE(sut.has_seen(made->seq + 3));
  const auto frames = sut.finish();
  expect_whole(frames);
  EXPECT_EQ(made->rule_numbers, (std::vector<std::uint16_t>{2, 1}));
  const RuleBook& book = sut.seen.run.rules;
  ASSERT_EQ(book.size(), 3u);
  EXPECT_EQ(book[2].name, "fresh");
  std::vector<std::string> said;
  for (const SeenFrame& frame : frames)
    for (const AlertEvent& event : frame.measurements.alerts)
      said.push_back(book[event.rule].name + (event.is_raised ? " raised" : " cleared") +
                     (frame.seq == 0           ? " first"
                      : frame.seq == made->seq ? " at the change"
                                               : " elsewhere"));
  EXPECT_THAT(said, testing::UnorderedElementsAre("low raised first", "stays raised first",
                                                  "low cleared at the change",
                                                  "fresh raised at the change"));
  ASSERT_EQ(changes_of(frames).size(), 1u);
  EXPECT_EQ(changes_of(frames)[0], made);
}

TEST(LineChanges, RulesThatMakeNoSenseAreRefused) {
  Played sut(endless());
  AlertRule bad = counts_above("bad", 1.0);
  bad.dwell_frames = 0;
  const auto refused = sut.line->apply(SetRules{{bad}}, kPatience);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::invalid_argument);
  EXPECT_THAT(refused.error().message, HasSubstr("alert rule \"bad\": dwell_frames 0"));
}

TEST(LineChanges, RulesAboutSumsAreRefusedWhereThereAreNone) {
  Played sut(endless(), {}, 3, SumWhen::never);
  AlertRule of_sums = counts_above("of sums", 10.0);
  of_sums.of = RuleOf::sum;
  of_sums.quantity = Quantity::spot_d_nm;
  const auto refused = sut.line->apply(SetRules{{of_sums}}, kPatience);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("no running sum"));
}

// ---- tracking

TEST(LineChanges, ResetForgetsSpotsAndTemplateAndDriftGoesOn) {
  Played sut(endless());
  sut.start();
  ASSERT_TRUE(sut.has_seen(30));
  const auto made = sut.apply(ResetTracking{});
  ASSERT_TRUE(sut.has_seen(made->seq + 60));
  const auto frames = sut.finish();
  expect_whole(frames);
  expect_drift(frames);
  std::uint32_t highest = 0, lowest_after = 1000;
  for (const SeenFrame& frame : frames)
    for (const Spot& spot : frame.measurements.spots) {
      if (frame.seq < made->seq) highest = std::max(highest, spot.id);
      if (frame.seq >= made->seq) lowest_after = std::min(lowest_after, spot.id);
    }
  EXPECT_GE(highest, 3u);
  EXPECT_GT(lowest_after, highest);
  EXPECT_EQ(changes_of(frames).size(), 1u);
}

TEST(LineChanges, AReferenceIsTakenWithoutAStepInDrift) {
  Played sut(endless());
  sut.start();
  ASSERT_TRUE(sut.has_seen(20));
  for (int i = 0; i < 3; ++i) {
    const auto made = sut.apply(SetReference{});
    ASSERT_TRUE(sut.has_seen(made->seq + 25));
  }
  const auto frames = sut.finish();
  expect_whole(frames);
  expect_drift(frames);
  EXPECT_EQ(changes_of(frames).size(), 3u);
}

TEST(LineChanges, ThereIsNoReferenceBeforeTheFirstFrame) {
  Played sut(Script().frames(5));
  const auto pending = sut.line->post(SetReference{});
  ASSERT_TRUE(pending);
  sut.start();
  const auto outcome = (*pending)->wait(kPatience);
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, ErrorCode::failed_precondition);
  EXPECT_TRUE(changes_of(sut.run_out()).empty());
}

// ---- spots

TEST(LineChanges, AWatchedSpotIsReportedInEveryFrameUntilItIsForgotten) {
  const Vector2 g{Pictures::kFaint.f.x / kPixel_nm, Pictures::kFaint.f.y / kPixel_nm};
  const double bin_per_nm = 1.0 / (kSize * kPixel_nm);
  Played sut(endless());
  sut.start();
  ASSERT_TRUE(sut.has_seen(3));
  const auto watched = sut.apply(WatchSpot{g, bin_per_nm});
  ASSERT_TRUE(sut.has_seen(watched->seq + 60));
  const auto forgotten = sut.apply(ForgetSpot{watched->spot_id});
  ASSERT_TRUE(sut.has_seen(forgotten->seq + 30));
  EXPECT_FALSE(sut.line->apply(ForgetSpot{watched->spot_id}, kPatience));
  const auto frames = sut.finish();
  expect_whole(frames);
  Series snr, amplitude, error;
  int undetected_before = 0;
  for (const SeenFrame& frame : frames) {
    const auto& spots = frame.measurements.spots;
    const Spot* found = nullptr;
    for (const Spot& spot : spots)
      if (std::hypot(spot.g_per_nm.x - g.x, spot.g_per_nm.y - g.y) < 2.0 * bin_per_nm)
        found = &spot;
    if (frame.seq < watched->seq) undetected_before += found ? 0 : 1;
    if (frame.seq >= watched->seq && frame.seq < forgotten->seq) {
      ASSERT_TRUE(found) << frame.seq;
      EXPECT_EQ(found->id, watched->spot_id);
      EXPECT_TRUE(found->is_watched);
      EXPECT_GT(found->sigma_d_nm, 0.0);
      snr.add(found->snr);
      amplitude.add(found->amplitude);
      error.add((found->d_nm - 1.0 / std::hypot(g.x, g.y)) / found->sigma_d_nm);
    }
    if (frame.seq >= forgotten->seq) {
      EXPECT_FALSE(found && found->is_watched) << frame.seq;
    }
  }
  EXPECT_EQ(undetected_before, static_cast<int>(watched->seq)) << "else it shows nothing";
  // C sqrt(N I0 / 2) over the tapered field: 3.8 standard deviations, below the threshold.
  std::printf("snr %.2f, amplitude %.5f, z of d %.2f\n", snr.mean(), amplitude.mean(), error.rms());
  EXPECT_GT(snr.mean(), 2.5);
  EXPECT_LT(snr.mean(), 5.0);
  EXPECT_NEAR(amplitude.mean(), Pictures::kFaint.contrast, 0.25 * Pictures::kFaint.contrast);
  EXPECT_LT(error.rms(), 2.0);
}

TEST(LineChanges, ASpotOutsideTheBandIsNotWatched) {
  Played sut(endless());
  sut.start();
  const auto outside = sut.line->apply(WatchSpot{{40.0, 0.0}, 0.1}, kPatience);
  ASSERT_FALSE(outside);
  EXPECT_EQ(outside.error().code, ErrorCode::out_of_range);
  const auto nonsense = sut.line->apply(WatchSpot{{1.0, NAN}, 0.1}, kPatience);
  ASSERT_FALSE(nonsense);
  EXPECT_EQ(nonsense.error().code, ErrorCode::invalid_argument);
  const auto frames = sut.finish();
  EXPECT_TRUE(changes_of(frames).empty());
}

// ---- region

TEST(LineChanges, ANewRegionAtFullSpeedLosesNoFrameAndDriftGoesOn) {
  Played sut(endless(), default_rules());
  sut.start();
  ASSERT_TRUE(sut.has_seen(20));
  const Vector2 g{Pictures::kFaint.f.x / kPixel_nm, Pictures::kFaint.f.y / kPixel_nm};
  const auto watched = sut.apply(WatchSpot{g, 0.2});
  std::vector<std::shared_ptr<const AppliedChange>> made;
  for (const signal::Region& region :
       {signal::Region{30, 20, 180, 200}, {0, 0, 128, 128}, {100, 60, 150, 160}, {}}) {
    made.push_back(sut.apply(SetRegion{region}));
    ASSERT_TRUE(sut.has_seen(made.back()->seq + 30));
  }
  const auto frames = sut.finish();
  expect_whole(frames);
  expect_drift(frames);
  EXPECT_EQ(made[0]->grid.x0, 30);
  EXPECT_EQ(made[0]->grid.width, 180);
  EXPECT_EQ(made[3]->grid.width, kSize);
  EXPECT_EQ(changes_of(frames).size(), 5u);
  EXPECT_EQ(sut.line->held().summary().count, 4u);
  // Ids go on, the watched spot keeps its own.
  std::uint32_t highest = 0;
  for (const SeenFrame& frame : frames) {
    if (frame.seq >= made[0]->seq) break;
    for (const Spot& spot : frame.measurements.spots) highest = std::max(highest, spot.id);
  }
  bool is_watched_still = false;
  for (const Spot& spot : frames[made[1]->seq].measurements.spots) {
    EXPECT_TRUE(spot.id > highest || spot.id == watched->spot_id);
    is_watched_still |= spot.id == watched->spot_id && spot.is_watched;
  }
  EXPECT_TRUE(is_watched_still);
  EXPECT_EQ(sut.line->prepared().count_free(), sut.line->prepared().size());
  EXPECT_EQ(sut.line->pixels().count_free(), sut.line->pixels().size());
}

TEST(LineChanges, ARegionThatIsNoneIsRefused) {
  Played sut(endless());
  sut.start();
  for (const signal::Region& region :
       {signal::Region{-1, 0, 50, 50}, {0, 0, 257, 10}, {0, 0, 8, 8}}) {
    const auto refused = sut.line->apply(SetRegion{region}, kPatience);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::invalid_argument);
  }
  EXPECT_TRUE(changes_of(sut.finish()).empty());
}

TEST(LineChanges, ASlowDetectorsRegionIsTiedToTheFrameBeforeIt) {
  Script script = Script().frames(30);
  for (int i = 0; i < 30; ++i) script.wait_for_permit().frames(1);
  Played sut(script);
  sut.start();
  ASSERT_TRUE(sut.has_seen(30));
  const auto pending = sut.line->post(SetRegion{{40, 40, 170, 170}});
  ASSERT_TRUE(pending);
  for (std::size_t i = 0; i < 30; ++i) {
    sut.detector->permit();
    ASSERT_TRUE(sut.has_seen(31 + i));
  }
  const auto outcome = (*pending)->wait(0ns);
  ASSERT_TRUE(outcome);
  EXPECT_LE((*outcome)->seq, 32u);
  const auto frames = sut.run_out();
  expect_whole(frames);
  expect_drift(frames);
}

// ---- when

TEST(LineChanges, AreMadeAtTheFrameTheyWerePostedForAlsoRegions) {
  Played sut(Script().frames(60));
  const auto region = sut.line->post(SetRegion{{20, 30, 160, 150}}, 21);
  const auto reset = sut.line->post(ResetTracking{}, 40);
  ASSERT_TRUE(region && reset);
  sut.start();
  const auto frames = sut.run_out();
  ASSERT_TRUE((*region)->wait(0ns));
  EXPECT_EQ((*(*region)->wait(0ns))->seq, 21u);
  EXPECT_EQ((*(*reset)->wait(0ns))->seq, 40u);
  expect_whole(frames);
  expect_drift(frames);
}

// What was recorded live, posted again at its numbers, gives the same numbers.
TEST(LineChanges, RepeatedFromTheirRecordsGiveTheSameMeasurements) {
  Played live(endless(), default_rules());
  live.start();
  const std::vector<TrackChange> wanted{WatchSpot{{8.0, 5.0}, 0.3},
                                        SetRegion{{10, 10, 200, 190}},
                                        SetReference{},
                                        SetRules{{counts_above("counts", 10.0)}},
                                        ResetTracking{},
                                        SetRegion{{}},
                                        ForgetSpot{0}};
  std::uint32_t watched = 0;
  for (TrackChange change : wanted) {
    ASSERT_TRUE(live.has_seen(live.seen.size() + 5));
    if (auto* forget = std::get_if<ForgetSpot>(&change)) forget->spot_id = watched;
    const auto made = live.apply(std::move(change));
    if (made->spot_id) watched = made->spot_id;
  }
  const auto recorded = live.finish();
  const auto records = changes_of(recorded);
  ASSERT_EQ(records.size(), wanted.size());

  Played again(Script().frames(recorded.size()), default_rules(), 2);
  for (const auto& record : records) ASSERT_TRUE(again.line->post(record->change, record->seq));
  again.start();
  ASSERT_TRUE(again.has_seen(recorded.size()));
  const auto repeated = again.run_out();
  ASSERT_EQ(repeated.size(), recorded.size());
  for (std::size_t i = 0; i < recorded.size(); ++i) {
    const Measurements &a = recorded[i].measurements, &b = repeated[i].measurements;
    ASSERT_EQ(a.drift.drift_px.x, b.drift.drift_px.x) << i;
    ASSERT_EQ(a.drift.sigma_drift_px.y, b.drift.sigma_drift_px.y) << i;
    ASSERT_EQ(a.spots.size(), b.spots.size()) << i;
    for (std::size_t s = 0; s < a.spots.size(); ++s) {
      ASSERT_EQ(a.spots[s].id, b.spots[s].id) << i;
      ASSERT_EQ(a.spots[s].d_nm, b.spots[s].d_nm) << i;
    }
    ASSERT_EQ(a.alerts.size(), b.alerts.size()) << i;
    ASSERT_EQ(recorded[i].change != nullptr, repeated[i].change != nullptr) << i;
  }
}

TEST(LineChanges, ComeFromManyThreadsOneAFrameAndNoneIsLost) {
  Played sut(endless(), default_rules(), 4);
  sut.start();
  ASSERT_TRUE(sut.has_seen(5));
  std::vector<std::thread> threads;
  std::atomic<int> made{0};
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 8; ++i) {
        TrackChange change = ResetTracking{};
        if (t == 1) change = SetRegion{{8 * i, 4 * i, 150, 140}};
        if (t == 2) change = SetRules{{counts_above("at " + std::to_string(i), 10.0 + i)}};
        if (t == 3) change = WatchSpot{{8.0, 5.0}, 0.3};
        if (sut.line->apply(std::move(change), kPatience)) ++made;
      }
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(made, 32);
  const auto frames = sut.finish();
  expect_whole(frames);
  EXPECT_EQ(changes_of(frames).size(), 32u);
}

// ---- the end

TEST(LineChanges, AfterTheEndTheyAreRefused) {
  Played sut(Script().frames(5));
  sut.start();
  ASSERT_TRUE(sut.pipeline->wait());
  for (const TrackChange& change : {TrackChange(ResetTracking{}), TrackChange(SetRegion{{}})}) {
    const auto late = sut.line->apply(change, kPatience);
    ASSERT_FALSE(late);
    EXPECT_EQ(late.error().code, ErrorCode::failed_precondition);
    EXPECT_THAT(late.error().message, HasSubstr("the run has ended"));
  }
}

TEST(LineChanges, WhatStillWaitsAtTheEndHasFailed) {
  Played sut(Script().frames(5));
  const auto reset = sut.line->post(ResetTracking{}, 1000);
  const auto region = sut.line->post(SetRegion{{0, 0, 100, 100}}, 1001);
  ASSERT_TRUE(reset && region);
  sut.start();
  const auto frames = sut.run_out();
  for (const auto& pending : {*reset, *region}) {
    const auto outcome = pending->wait(kPatience);
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().code, ErrorCode::failed_precondition);
  }
  expect_whole(frames);
  EXPECT_EQ(frames.size(), 5u);
}

TEST(LineChanges, ARegionThatIsBeingChangedDoesNotKeepTheRunFromEnding) {
  for (std::uint64_t from = 0; from < 6; ++from) {
    Played sut(Script().frames(5));
    const auto region = sut.line->post(SetRegion{{0, 0, 100, 100}}, from);
    ASSERT_TRUE(region);
    sut.start();
    const auto frames = sut.run_out();
    EXPECT_TRUE((*region)->is_settled());
    expect_whole(frames);
    EXPECT_EQ(frames.size(), 5u) << from;
  }
}

TEST(LineChanges, WithoutFramesTheyAreNotMadeAndSaySo) {
  Played sut(Script().frames(5).wait_for_permit().frames(5));
  sut.start();
  ASSERT_TRUE(sut.has_seen(5));
  const auto outcome = sut.line->apply(ResetTracking{}, 20ms);
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, ErrorCode::timeout);
  sut.detector->permit();
  ASSERT_TRUE(sut.has_seen(10));
  EXPECT_TRUE(changes_of(sut.run_out()).empty());
}

TEST(LineChanges, AnAbandonedRunKeepsNobodyWaiting) {
  Played sut(Script().frames(5).silence());
  sut.start();
  ASSERT_TRUE(sut.has_seen(5));
  const auto pending = sut.line->post(ResetTracking{});
  ASSERT_TRUE(pending);
  sut.line->abandon({ErrorCode::cancelled, "enough"});
  EXPECT_FALSE((*pending)->wait(kPatience));
  EXPECT_TRUE((*pending)->is_settled());
  EXPECT_FALSE(sut.pipeline->wait());
}

}  // namespace
}  // namespace latticed::test
