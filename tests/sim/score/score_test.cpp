// SPDX-License-Identifier: GPL-3.0-or-later
#include "sim/score/score.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "sim/random/counter_random.hpp"
#include "sim/score/summary.hpp"
#include "tests/sim/support/temporary_directory.hpp"

namespace latticed::sim {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::uint64_t kFrames = 400;
constexpr double kSigmaPx = 0.05;
constexpr double kSigmaNm = 1e-4;

/// Two reflections, drift along a line; measured with exactly the noise the sigmas say.
struct ScoredRun {
  Truth truth;
  Measurements measured;
};

ScoredRun honest_run() {
  ScoredRun run;
  run.truth.pixel_size_nm = 0.03;
  run.truth.field_nm = 15.36;
  RandomStream random(1, Purpose::drift);
  for (std::uint64_t seq = 0; seq < kFrames; ++seq) {
    TrueFrame& frame = run.truth.frames[seq];
    frame.drift_px = {0.1 * static_cast<double>(seq), -0.05 * static_cast<double>(seq)};
    frame.d_layer_nm = 0.5555;
    frame.reflections = {{{1.8, 0.0}, 0.5555, 0.06, true}, {{0.0, 4.0}, 0.25, 0.03, false}};
    MeasuredFrame& measured = run.measured.frames[seq];
    measured.drift_state = "locked";
    measured.sigma_drift_px = {kSigmaPx, kSigmaPx};
    double x = 0.0;
    double y = 0.0;
    random.normal_pair(x, y);
    measured.drift_px = {frame.drift_px[0] + kSigmaPx * x, frame.drift_px[1] + kSigmaPx * y};
    random.normal_pair(x, y);
    measured.spots = {{1, {1.801, 0.0}, 0.5555 + kSigmaNm * x, kSigmaNm, 3e-4, true},
                      {2, {0.0, -4.0}, 0.25 + kSigmaNm * y, kSigmaNm, 3e-4, true}};
  }
  return run;
}

std::vector<std::string> reasons(const ScoredRun& run, const ScoreLimits& limits = {}) {
  return summarise(run.truth, run.measured, limits)["reasons"].get<std::vector<std::string>>();
}

TEST(Score, ComparesErrorsWithTheBoundsOfTheTruth) {
  ScoredRun run = honest_run();
  for (auto& [seq, frame] : run.truth.frames) {
    frame.bound_drift_px = {kSigmaPx / 1.25, kSigmaPx / 2.0};
    frame.reflections[0].bound_d_nm = kSigmaNm / 1.5;
    frame.reflections[0].bound_d_lattice_nm = kSigmaNm / 2.0;
  }
  const auto drift = score_drift(run.truth, run.measured, {});
  // 400 frames know a spread to 3.5 %.
  EXPECT_NEAR((*drift.bound_ratio_xy)[0], 1.25, 0.15);
  EXPECT_NEAR((*drift.bound_ratio_xy)[1], 2.0, 0.25);
  EXPECT_NEAR(*drift.bound_ratio, std::sqrt(2.0 / (0.64 + 0.25)), 0.12);
  const auto spots = score_spots(run.truth, run.measured, {});
  EXPECT_NEAR(*spots.bound_ratio, 1.5, 0.18) << "of the reflection that has a bound";
  EXPECT_NEAR(*spots.series[0].lattice_bound_ratio, 2.0, 0.24);
  EXPECT_FALSE(spots.series[1].bound_ratio);
}

TEST(Score, ComparesOnlyLockedFramesWithTheirBounds) {
  ScoredRun run = honest_run();
  for (auto& [seq, frame] : run.truth.frames) frame.bound_drift_px = {kSigmaPx, kSigmaPx};
  for (const std::uint64_t seq : {50u, 150u}) {
    run.measured.frames[seq].drift_state = "holding";
    run.measured.frames[seq].drift_px[0] += 10.0;
  }
  EXPECT_LT(*score_drift(run.truth, run.measured, {}).bound_ratio, 1.2);
  EXPECT_FALSE(score_drift(honest_run().truth, run.measured, {}).bound_ratio);
}

TEST(Score, ReadsBoundsAndKeepsThemUntilTheNext) {
  const test::TemporaryDirectory directory;
  std::ofstream out(directory.file("truth.jsonl"));
  out << R"({"truth":1,"pixel_size_nm":0.03,"width":512,"height":512})"
      << "\n";
  for (const int n : {0, 1, 2}) {
    nlohmann::json reflection{{"g_per_nm", {2.0, 0.0}}, {"d_nm", n == 1 ? 0.55 : 0.5},
                              {"amplitude", 0.1},       {"hkl", {0, 0, 2}},
                              {"domain", "P2"},         {"visible", true}};
    nlohmann::json line{
        {"frame", n}, {"drift_px", {0.0, 0.0}}, {"lost", nullptr}, {"blanked", false}};
    line["domains"] = nlohmann::json::array({{{"name", "P2"}, {"d_layer_nm", 0.5}}});
    if (n != 1) {
      reflection["bound_d_nm"] = 1e-4 * (n + 1);
      line["bound_drift_px"] = {0.01 * (n + 1), 0.02};
    }
    line["reflections"] = nlohmann::json::array({reflection});
    out << line << "\n";
  }
  out.close();
  const auto truth = read_truth(directory.file("truth.jsonl"));
  ASSERT_TRUE(truth) << truth.error().message;
  const auto& frames = truth->frames;
  EXPECT_EQ((*frames.at(1).bound_drift_px)[0], 0.01);
  EXPECT_EQ((*frames.at(2).bound_drift_px)[0], 0.03);
  EXPECT_NEAR(*frames.at(1).reflections[0].bound_d_nm, 1.1e-4, 1e-12) << "relative to d";
  EXPECT_FALSE(frames.at(1).reflections[0].bound_d_lattice_nm);
}

TEST(Score, PassesAnHonestRun) {
  const ScoredRun run = honest_run();
  EXPECT_THAT(reasons(run), ElementsAre());
  const auto summary = summarise(run.truth, run.measured, {});
  EXPECT_EQ(summary["verdict"], "pass");
  EXPECT_EQ(summary["frames"], kFrames);
  EXPECT_EQ(summary["lost"], 0);
  EXPECT_NEAR(summary["drift_rms_px"].get<double>(), kSigmaPx, 0.005);
  EXPECT_NEAR(summary["d_rms_nm"].get<double>(), kSigmaNm, 1e-5);
  EXPECT_NEAR(summary["drift"]["z_rms"][0].get<double>(), 1.0, 0.15);
}

TEST(Score, ForgivesOneCommonOffset) {
  ScoredRun run = honest_run();
  for (auto& [seq, frame] : run.measured.frames) {
    frame.drift_px[0] += 0.4;
    for (MeasuredSpot& spot : frame.spots) spot.d_nm *= 1.0005;
  }
  EXPECT_THAT(reasons(run), ElementsAre());
  const auto summary = summarise(run.truth, run.measured, {});
  EXPECT_NEAR(summary["drift"]["offset_px"][0].get<double>(), 0.4, 0.02);
  EXPECT_NEAR(summary["d"]["offset_ppm"].get<double>(), 500.0, 30.0);
}

TEST(Score, TakesTheOffsetFromFramesThatAreCertain) {
  ScoredRun run = honest_run();
  for (auto& [seq, frame] : run.measured.frames) {
    if (seq < kFrames / 3) continue;
    frame.drift_px[0] += 10.0 * kSigmaPx;  // taken along by the lattice, and it says so
    frame.sigma_drift_sys_px = {20.0 * kSigmaPx, 0.0};
  }
  const auto summary = summarise(run.truth, run.measured, {});
  EXPECT_NEAR(summary["drift"]["offset_px"][0].get<double>(), 0.0, kSigmaPx);
  EXPECT_THAT(reasons(run), ElementsAre());
}

TEST(Score, FailsSigmasThatPromiseTooMuch) {
  ScoredRun run = honest_run();
  for (auto& [seq, frame] : run.measured.frames) frame.sigma_drift_px[1] /= 3.0;
  EXPECT_THAT(reasons(run), testing::Contains(HasSubstr("drift y: rms error")));
  run = honest_run();
  for (auto& [seq, frame] : run.measured.frames) {
    for (MeasuredSpot& spot : frame.spots) {
      spot.sigma_d_nm /= 5.0;
      spot.sigma_d_sys_nm.reset();
    }
  }
  EXPECT_THAT(reasons(run), testing::Contains(HasSubstr("d: rms error")));
  run = honest_run();
  for (auto& [seq, frame] : run.measured.frames) frame.sigma_drift_px = {0.0, 0.0};
  EXPECT_THAT(reasons(run), testing::Contains(HasSubstr("drift x: rms error")));
}

TEST(Score, FailsASystematicErrorBeyondItsSigma) {
  ScoredRun run = honest_run();
  for (auto& [seq, frame] : run.measured.frames) frame.spots[0].d_nm += 1.2e-3;
  EXPECT_THAT(reasons(run), ElementsAre(HasSubstr("systematic sigma")));
}

TEST(Score, CountsTheSystematicSigmaWhereItIsGiven) {
  ScoredRun run = honest_run();
  for (auto& [seq, frame] : run.measured.frames) {
    const double wander = 0.3 * std::sin(0.02 * static_cast<double>(seq));
    frame.drift_px[0] += wander;
    frame.spots[0].d_nm += 0.003 * wander / 3.0;
  }
  EXPECT_THAT(reasons(run), testing::Contains(HasSubstr("drift x: rms error")));
  for (auto& [seq, frame] : run.measured.frames) frame.sigma_drift_sys_px = {0.2, 0.2};
  EXPECT_THAT(reasons(run), ElementsAre());
  EXPECT_GT(score_drift(run.truth, run.measured, {}).z_random_rms[0], 3.0);
}

TEST(Score, LetsAShortSeriesOfAWrongMatchDecideNothing) {
  ScoredRun run = honest_run();
  for (std::uint64_t seq = 10; seq < 15; ++seq) {
    MeasuredSpot stray = run.measured.frames[seq].spots[0];
    stray.id = 99;
    stray.d_nm += 0.005;
    run.measured.frames[seq].spots.push_back(stray);
  }
  EXPECT_THAT(reasons(run), ElementsAre());
}

TEST(Score, FindsFramesThatVanishedWithoutAWord) {
  ScoredRun run = honest_run();
  run.measured.frames.erase(17);
  EXPECT_THAT(reasons(run),
              ElementsAre(HasSubstr("1 frames neither measured nor listed as lost, first 17")));
}

TEST(Score, AcceptsFramesThatAreListedAsLost) {
  ScoredRun run = honest_run();
  run.measured.frames[17] = MeasuredFrame{};
  run.measured.frames[17].lost = "sequence_gap";
  EXPECT_THAT(reasons(run), ElementsAre());
  const auto summary = summarise(run.truth, run.measured, {});
  EXPECT_EQ(summary["lost"], 1);
  EXPECT_EQ(summary["lost_by_reason"]["sequence_gap"], 1);
}

TEST(Score, FailsFramesMeasuredButNeverDelivered) {
  ScoredRun run = honest_run();
  run.truth.frames[9].lost = "detector_overrun";
  EXPECT_THAT(reasons(run), ElementsAre(HasSubstr("never delivered, first 9")));
}

TEST(Score, AcceptsAnEarlyEndOnlyWhenTold) {
  ScoredRun run = honest_run();
  run.measured.frames.erase(run.measured.frames.find(300), run.measured.frames.end());
  EXPECT_THAT(reasons(run), testing::Contains(HasSubstr("neither measured nor listed")));
  ScoreLimits limits;
  limits.may_end_early = true;
  EXPECT_THAT(reasons(run, limits), ElementsAre());
}

TEST(Score, CountsAHopByOneCellWhileLocked) {
  ScoredRun run = honest_run();
  for (std::uint64_t seq = 100; seq < 103; ++seq)
    run.measured.frames[seq].drift_px[0] += 0.5555 / 0.03;
  const DriftScore drift = score_drift(run.truth, run.measured, {});
  EXPECT_EQ(drift.hops, 1u);
  EXPECT_EQ(drift.hop_frames, 3u);
  EXPECT_GE(drift.worst_seq, 100u);
  EXPECT_LE(drift.worst_seq, 102u);
  EXPECT_THAT(reasons(run), testing::Contains(HasSubstr("1 cell hops while locked")));
}

TEST(Score, LeavesFramesOutThatSayTheyAreLostOrBlanked) {
  ScoredRun run = honest_run();
  run.measured.frames[50].drift_px = {1e4, 1e4};
  run.measured.frames[50].drift_state = "lost";
  run.truth.frames[60].blanked = true;
  run.measured.frames[60].drift_px = {1e4, 1e4};
  EXPECT_THAT(reasons(run), ElementsAre());
}

TEST(Score, LeavesFramesOutThatShowNoSpecimen) {
  ScoredRun run = honest_run();
  for (std::uint64_t seq = 100; seq < 350; ++seq) {  // more than half of them
    run.truth.frames[seq].specimen_in = false;
    run.truth.frames[seq].reflections.clear();
    MeasuredFrame& measured = run.measured.frames[seq];
    measured.drift_px = {1e4, 1e4};
    if (seq % 2 == 0) measured.drift_state = "lost";
    for (MeasuredSpot& spot : measured.spots) spot.d_nm *= 1.1;
  }
  run.truth.frames[349].blanked = true;
  EXPECT_THAT(reasons(run), ElementsAre());
  const auto summary = summarise(run.truth, run.measured, {});
  EXPECT_EQ(summary["specimen_out"], 249);
  EXPECT_EQ(summary["blanked"], 1);
  EXPECT_EQ(summary["drift"]["locked_fraction"], 1.0);
  EXPECT_EQ(summary["d"]["unmatched"], 0);
  for (auto& [seq, frame] : run.truth.frames) frame.specimen_in = true;
  EXPECT_THAT(reasons(run), testing::Contains(HasSubstr("drift x: rms error")));
}

TEST(Score, FailsARunThatMeasuredNothing) {
  ScoredRun run = honest_run();
  for (auto& [seq, frame] : run.measured.frames) {
    frame.drift_state = "lost";
    frame.spots.clear();
  }
  EXPECT_THAT(reasons(run),
              ElementsAre(HasSubstr("drift locked in 0.000"), HasSubstr("no confirmed spot")));
}

TEST(MatchSpot, TakesTheNearestOrItsFriedelMateWithinTheGate) {
  const ScoredRun run = honest_run();
  const TrueFrame& frame = run.truth.frames.at(0);
  EXPECT_EQ(match_spot(frame, {1.82, 0.01}, 15.36).reflection, &frame.reflections[0]);
  EXPECT_EQ(match_spot(frame, {-1.82, 0.01}, 15.36).reflection, &frame.reflections[0]);
  EXPECT_EQ(match_spot(frame, {1.95, 0.0}, 15.36).reflection, nullptr);
}

TEST(MatchSpot, SaysWhenTwoReflectionsAreOnePeak) {
  TrueFrame frame;
  frame.reflections = {{{1.80, 0.0}, 0.5555, 0.06, true}, {{1.81, 0.0}, 0.5525, 0.03, true}};
  EXPECT_TRUE(match_spot(frame, {1.80, 0.0}, 15.36).is_unresolved);
  frame.reflections[1].amplitude = 0.001;
  EXPECT_FALSE(match_spot(frame, {1.80, 0.0}, 15.36).is_unresolved);
}

TEST(Score, JudgesAPeakOfSeveralReflectionsByTheirSpacings) {
  ScoredRun run = honest_run();
  for (auto& [seq, frame] : run.truth.frames) {  // each with a twin 1 % apart, in the same peak
    const std::vector<TrueReflection> one = frame.reflections;
    for (TrueReflection twin : one) {
      twin.d_nm *= 1.01;
      for (double& g : twin.g_per_nm) g /= 1.01;
      frame.reflections.push_back(twin);
    }
  }
  for (auto& [seq, frame] : run.measured.frames)
    for (MeasuredSpot& spot : frame.spots) spot.d_nm *= 1.004;
  EXPECT_THAT(reasons(run), ElementsAre());
  auto summary = summarise(run.truth, run.measured, {});
  EXPECT_EQ(summary["d"]["matched"], 0);
  EXPECT_GT(summary["d"]["unresolved"], 0);
  EXPECT_EQ(summary["d"]["unresolved_outside"], 0);
  EXPECT_TRUE(summary["d_rms_nm"].is_null());
  for (auto& [seq, frame] : run.measured.frames)
    for (MeasuredSpot& spot : frame.spots) spot.d_nm *= 1.02;
  EXPECT_THAT(reasons(run), ElementsAre(HasSubstr("are not between them")));
}

TEST(ScoreAlerts, MatchesAlertsToEventsByTheirDatedOnset) {
  ScoredRun run = honest_run();
  run.truth.events = {{"step", 40}, {"jump", 100}, {"transition_onset", 300}};
  run.measured.alerts = {{"drift_jump", 101, 100}, {"layer_spacing", 130, 45}, {"phase", 20, 20}};
  const AlertScore score = score_alerts(run.truth, run.measured, {});
  ASSERT_EQ(score.raised.size(), 3u);
  EXPECT_EQ(score.raised[0].event->frame, 100u);
  EXPECT_EQ(score.raised[1].event->frame, 40u);
  EXPECT_FALSE(score.raised[2].event.has_value());  // nothing had happened
  ASSERT_EQ(score.missed.size(), 1u);
  EXPECT_EQ(score.missed[0].kind, "transition_onset");
}

TEST(ScoreAlerts, NamesTheFrameAtWhichASpacingLeftItsFirstValueHoweverLateTheAlert) {
  ScoredRun run = honest_run();
  for (auto& [seq, frame] : run.truth.frames)
    if (seq >= 120) frame.reflections[0].d_nm = 0.5555 * (1.0 + 2e-4);
  run.measured.alerts = {{"spacing_change", 390, 385, 1}, {"spacing_change", 390, 385, 2}};
  ScoreLimits limits;
  limits.alert_window = 10;
  const AlertScore score = score_alerts(run.truth, run.measured, limits);
  ASSERT_EQ(score.raised.size(), 2u);
  ASSERT_TRUE(score.raised[0].event);
  EXPECT_EQ(score.raised[0].event->kind, "spacing_moved");
  EXPECT_EQ(score.raised[0].event->frame, 120u);
  EXPECT_FALSE(score.raised[1].event);  // the other reflection never moved
}

TEST(ScoreAlerts, NamesTheFrameAtWhichAReflectionFadedHoweverLateTheAlert) {
  ScoredRun run = honest_run();
  for (auto& [seq, frame] : run.truth.frames)
    for (TrueReflection& reflection : frame.reflections) reflection.amplitude = 0.02;
  for (auto& [seq, frame] : run.truth.frames)
    if (seq >= 120) frame.reflections[0].amplitude = seq < 200 ? 0.011 : 0.009;
  run.measured.alerts = {{"spot_presence", 390, 385, 1}, {"spot_presence", 390, 385, 2}};
  ScoreLimits limits;
  limits.alert_window = 10;
  const AlertScore score = score_alerts(run.truth, run.measured, limits);
  ASSERT_EQ(score.raised.size(), 2u);
  ASSERT_TRUE(score.raised[0].event);
  EXPECT_EQ(score.raised[0].event->kind, "reflection_faded");
  EXPECT_EQ(score.raised[0].event->frame, 200u);  // not before it has lost half
  EXPECT_FALSE(score.raised[1].event);            // the other one is as strong as ever
}

TEST(ScoreAlerts, SaysNothingOfAReflectionThatFadedAndCameBack) {
  ScoredRun run = honest_run();
  for (auto& [seq, frame] : run.truth.frames)
    for (TrueReflection& reflection : frame.reflections)
      reflection.amplitude = seq >= 120 && seq < 200 ? 0.005 : 0.02;
  run.measured.alerts = {{"spot_presence", 390, 385, 1}};
  ScoreLimits limits;
  limits.alert_window = 10;
  EXPECT_FALSE(score_alerts(run.truth, run.measured, limits).raised[0].event);
}

TEST(ScoreAlerts, NamesTheFrameFromWhichTheLatticeWasATwentiethWeaker) {
  ScoredRun run = honest_run();
  for (auto& [seq, frame] : run.truth.frames)
    frame.course.crystallinity = 1.0 - 0.0005 * static_cast<double>(seq);
  run.measured.alerts = {{"crystallinity_change", 90, 85}, {"crystallinity_change", 390, 385}};
  ScoreLimits limits;
  limits.alert_window = 10;
  const AlertScore score = score_alerts(run.truth, run.measured, limits);
  ASSERT_EQ(score.raised.size(), 2u);
  EXPECT_FALSE(score.raised[0].event);  // 4.5 % in frame 90
  ASSERT_TRUE(score.raised[1].event);
  EXPECT_EQ(score.raised[1].event->kind, "crystallinity_moved");
  EXPECT_NEAR(static_cast<double>(score.raised[1].event->frame), 101.0, 1.0);
}

TEST(ScoreAlerts, NamesTheFrameFromWhichTheRimWasThicker) {
  ScoredRun run = honest_run();
  for (auto& [seq, frame] : run.truth.frames) frame.course.rim_nm = seq < 150 ? 0.5 : 0.7;
  run.measured.alerts = {{"crystallinity_change", 390, 385}};
  ScoreLimits limits;
  limits.alert_window = 10;
  const auto event = score_alerts(run.truth, run.measured, limits).raised[0].event;
  ASSERT_TRUE(event);
  EXPECT_EQ(event->kind, "crystallinity_moved");
  EXPECT_EQ(event->frame, 150u);
}

TEST(ReadRecords, TakesTheContractsLines) {
  const test::TemporaryDirectory directory;
  std::ofstream(directory.file("m.jsonl"))
      << R"({"seq":0,"time_ns":null,"drift_px":[0.0,0.0],"sigma_drift_px":[0.01,0.01],"sigma_drift_sys_px":[0.0,0.2],"drift_state":"locked","cell_ambiguous":false,"spots":[{"id":1,"g_per_nm":[1.71,0.52],"d_nm":0.5583,"sigma_d_nm":0.0001,"sigma_d_sys_nm":0.0003,"snr":41.0,"amplitude":0.12,"phase_rad":0.31,"age_frames":1,"confirmed":false}],"lattice":null,"phases":[],"strain":null,"crystallinity":0.63,"alerts":[{"rule":"d","state":"raised","value":1,"unit":"nm","sigma":0.1,"since_seq":0}]})"
      << "\n"
      << R"({"seq":1,"lost":"sequence_gap"})"
      << "\n";
  const auto read = read_measurements(directory.file("m.jsonl"));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->frames.at(0).spots.at(0).d_nm, 0.5583);
  EXPECT_EQ(read->frames.at(0).sigma_drift_sys_px[1], 0.2);
  EXPECT_EQ(read->frames.at(0).crystallinity, 0.63);
  EXPECT_EQ(read->frames.at(1).lost, "sequence_gap");
  ASSERT_EQ(read->alerts.size(), 1u);
}

TEST(ReadRecords, KnowsWhetherAFrameOfTheTruthShowsTheSpecimen) {
  const test::TemporaryDirectory directory;
  const auto frame = [](int seq, const char* blanked, const char* more) {
    return "{\"frame\":" + std::to_string(seq) + ",\"lost\":null,\"blanked\":" + blanked +
           ",\"drift_px\":[0,0],\"domains\":[{\"d_layer_nm\":0.55}],\"reflections\":[]" + more +
           "}\n";
  };
  std::ofstream(directory.file("t.jsonl"))
      << "{\"truth\":1,\"pixel_size_nm\":0.03,\"width\":64,\"height\":64}\n"
      << frame(0, "false", "") << frame(1, "false", ",\"specimen_in\":false")
      << frame(2, "true", "");
  const auto read = read_truth(directory.file("t.jsonl"));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_TRUE(read->frames.at(0).shows_specimen());
  EXPECT_FALSE(read->frames.at(1).shows_specimen());
  EXPECT_FALSE(read->frames.at(1).blanked);
  EXPECT_FALSE(read->frames.at(2).shows_specimen());
}

TEST(ReadRecords, NamesTheLineItCannotTake) {
  const test::TemporaryDirectory directory;
  std::ofstream(directory.file("m.jsonl")) << "{\"seq\":0,\"lost\":\"x\"}\n{\"seq\":1}\n";
  const auto read = read_measurements(directory.file("m.jsonl"));
  ASSERT_FALSE(read);
  EXPECT_THAT(read.error().message, HasSubstr("m.jsonl:2:"));
}

TEST(Score, JudgesErrorsByRandomAndSystematicSigmaTogether) {
  ScoredRun run = honest_run();
  for (auto& [seq, frame] : run.measured.frames) {
    // The lattice swells and takes the match along: up to 8 random sigmas, said beforehand.
    const double share = static_cast<double>(seq) / kFrames;
    frame.drift_px[0] += 8.0 * kSigmaPx * share;
    frame.sigma_drift_sys_px = {8.0 * kSigmaPx * share, 0.0};
    frame.spots[0].d_nm += 5.0 * kSigmaNm * share;
  }
  EXPECT_THAT(reasons(run), ElementsAre());
  const auto summary = summarise(run.truth, run.measured, {});
  EXPECT_LT(summary["drift"]["z_rms"][0].get<double>(), 1.5);
  EXPECT_GT(summary["drift"]["z_random_rms"][0].get<double>(), 2.0);
  EXPECT_GT(summary["d"]["z_random_rms"].get<double>(), summary["d"]["z_rms"].get<double>());
  for (auto& [seq, frame] : run.measured.frames) frame.sigma_drift_sys_px = {0.0, 0.0};
  EXPECT_THAT(reasons(run), testing::Contains(HasSubstr("drift x: rms error")));
}

}  // namespace
}  // namespace latticed::sim
