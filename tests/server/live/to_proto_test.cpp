// SPDX-License-Identifier: GPL-3.0-or-later
// What clients are told, number by number; and what rules of theirs are refused.
#include "server/live/to_proto.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/server/publish/shifted_frames.hpp"

namespace latticed::test {
namespace {

using testing::HasSubstr;

Result<std::vector<AlertRule>> read(const std::vector<v1::Rule>& rules) {
  std::vector<const v1::Rule*> pointers;
  for (const auto& rule : rules) pointers.push_back(&rule);
  return from_proto(pointers);
}

v1::Rule limit_rule() {
  v1::Rule rule;
  rule.set_name("warm");
  rule.set_quantity("mean_counts");
  rule.set_kind("limit");
  rule.set_above(10.0);
  return rule;
}

TEST(ToProto, AMeasurementCarriesEverything) {
  RunInfo run = run_of(64, 64);
  Frame frame;
  measure(frame, 17, {1.5, -2.5});
  frame.header.time_ns = 123'456;
  frame.header.exposure_s = 0.05;
  frame.measurements.mean_counts = 99.0;
  frame.measurements.crystallinity = 0.25;
  frame.measurements.drift.sigma_drift_sys_px = {0.3, 0.4};
  frame.measurements.drift.is_cell_ambiguous = true;
  frame.measurements.spots.push_back(spot_of(4, {1.2, -0.4}, 22.0));
  AlertEvent alert;
  alert.rule = 0;
  alert.value = 0.55;
  alert.since_seq = 12;
  alert.spot_id = 4;
  frame.measurements.alerts.push_back(alert);
  v1::Measurement out;
  const std::vector<std::uint64_t> ids{31};
  fill(out, frame, run, ids);
  EXPECT_EQ(out.seq(), 17u);
  EXPECT_EQ(out.time_ns(), 123'456);
  EXPECT_EQ(out.exposure_s(), 0.05);
  EXPECT_EQ(out.quality(), "good");
  EXPECT_EQ(out.drift_px().x(), 1.5);
  EXPECT_EQ(out.drift_px().y(), -2.5);
  EXPECT_EQ(out.sigma_drift_px().x(), 0.02);
  EXPECT_EQ(out.sigma_drift_sys_px().y(), 0.4);
  EXPECT_EQ(out.drift_state(), v1::DRIFT_STATE_LOCKED);
  EXPECT_TRUE(out.cell_ambiguous());
  EXPECT_EQ(out.crystallinity(), 0.25);
  ASSERT_EQ(out.spots_size(), 1);
  EXPECT_EQ(out.spots(0).id(), 4u);
  EXPECT_EQ(out.spots(0).g_per_nm().y(), -0.4);
  EXPECT_EQ(out.spots(0).snr(), 22.0);
  EXPECT_TRUE(out.spots(0).confirmed());
  ASSERT_EQ(out.alerts_size(), 1);
  EXPECT_EQ(out.alerts(0).id(), 31u);
  EXPECT_EQ(out.alerts(0).rule(), run.rules[0].name);
  EXPECT_TRUE(out.alerts(0).raised());
  EXPECT_EQ(out.alerts(0).since_seq(), 12u);
  EXPECT_EQ(out.alerts(0).unit(), "nm");
}

TEST(ToProto, ASumOfFramesIsThereOnlyWhereOneWasFinished) {
  Frame frame;
  measure(frame, 19, {});
  v1::Measurement none;
  fill(none, frame, run_of(64, 64), {});
  EXPECT_FALSE(none.has_sum());
  SumMeasurement sum;
  sum.frames_added = 14;
  sum.frames_left_out = 2;
  sum.first_seq = 4;
  sum.last_seq = 19;
  sum.effective_seq = 11.25;
  sum.drift_px = {3.0, -4.0};
  sum.mean_counts = 7.5;
  sum.spots.push_back(spot_of(3, {1.2, -0.4}, 22.0));
  frame.measurements.sum = sum;
  v1::Measurement out;
  fill(out, frame, run_of(64, 64), {});
  ASSERT_TRUE(out.has_sum());
  EXPECT_EQ(out.sum().frames_added(), 14u);
  EXPECT_EQ(out.sum().frames_left_out(), 2u);
  EXPECT_EQ(out.sum().first_seq(), 4u);
  EXPECT_EQ(out.sum().last_seq(), 19u);
  EXPECT_EQ(out.sum().effective_seq(), 11.25);
  EXPECT_FALSE(out.sum().has_effective_time_ns());
  EXPECT_EQ(out.sum().drift_px().y(), -4.0);
  EXPECT_EQ(out.sum().mean_counts(), 7.5);
  ASSERT_EQ(out.sum().spots_size(), 1);
  EXPECT_EQ(out.sum().spots(0).id(), 3u);
  EXPECT_FALSE(out.sum().has_crystallinity());
}

TEST(ToProto, AChangeIsSaidInWords) {
  const auto said = [](TrackChange what) {
    auto change = std::make_shared<AppliedChange>();
    change->change = std::move(what);
    change->spot_id = 7;
    change->grid.bin = 2;
    change->grid.x0 = 10;
    change->grid.width = change->grid.height = 64;
    Frame frame;
    measure(frame, 0, {});
    frame.change = change;
    v1::Measurement out;
    fill(out, frame, run_of(64, 64), {});
    return out.changes_size() == 1 ? out.changes(0) : std::string();
  };
  EXPECT_EQ(said(SetRules{{default_rules()[0], default_rules()[1]}}),
            "set_rules: " + default_rules()[0].name + ", " + default_rules()[1].name);
  EXPECT_EQ(said(SetRules{}), "set_rules: none");
  EXPECT_EQ(said(WatchSpot{{1.25, -0.5}, 0.0}), "watch_spot: spot 7 at (1.25, -0.5)");
  EXPECT_EQ(said(ForgetSpot{7}), "forget_spot: spot 7");
  EXPECT_EQ(said(SetRegion{}), "set_region: 128 x 128 at (10, 0), bin 2");
  EXPECT_EQ(said(ResetTracking{}), "reset_tracking");
}

TEST(ToProto, WhatIsUnknownIsNotSet) {
  Frame frame;
  measure(frame, 0, {});
  v1::Measurement out;
  fill(out, frame, run_of(64, 64), {});
  EXPECT_FALSE(out.has_time_ns());
  EXPECT_FALSE(out.has_crystallinity());
  const v1::HolderState holder = to_proto("stage", HolderState{.bias_v = 1.5});
  EXPECT_TRUE(holder.has_bias_v());
  EXPECT_FALSE(holder.has_current_a());
  EXPECT_FALSE(holder.has_temperature_k());
  EXPECT_TRUE(holder.provisional());
}

TEST(ToProto, EveryDefaultRuleComesBackAsItWas) {
  std::vector<v1::Rule> rules;
  for (const AlertRule& rule : default_rules()) rules.push_back(to_proto(rule));
  const auto back = read(rules);
  ASSERT_TRUE(back) << back.error().message;
  ASSERT_EQ(back->size(), default_rules().size());
  for (std::size_t i = 0; i < back->size(); ++i) {
    const AlertRule& now = (*back)[i];
    const AlertRule was = default_rules()[i];
    EXPECT_EQ(now.name, was.name);
    EXPECT_EQ(now.quantity, was.quantity);
    EXPECT_EQ(now.kind, was.kind);
    EXPECT_EQ(now.above, was.above);
    EXPECT_EQ(now.below, was.below);
    EXPECT_EQ(now.dwell_frames, was.dwell_frames);
    EXPECT_EQ(now.false_alarms_per_hour, was.false_alarms_per_hour);
    EXPECT_EQ(now.d_max_nm, was.d_max_nm);
  }
}

TEST(ToProto, ARulesMistakeIsNamed) {
  const auto refused = [](auto change, const char* what) {
    v1::Rule rule = limit_rule();
    change(rule);
    const auto result = read({limit_rule(), rule});
    ASSERT_FALSE(result) << what;
    EXPECT_EQ(result.error().code, ErrorCode::invalid_argument);
    EXPECT_THAT(result.error().message, HasSubstr("rule 2"));
    EXPECT_THAT(result.error().message, HasSubstr(what));
  };
  refused([](v1::Rule&) {}, "twice");
  refused([](v1::Rule& r) { r.set_name("a b"); }, "name");
  refused([](v1::Rule& r) { r.set_name("b"), r.set_quantity("colour"); }, "colour");
  refused([](v1::Rule& r) { r.set_name("b"), r.set_kind("guess"); }, "guess");
  refused([](v1::Rule& r) { r.set_name("b"), r.clear_above(); }, "without a limit");
  refused([](v1::Rule& r) { r.set_name("b"), r.set_kind("change"); }, "no meaning");
  refused([](v1::Rule& r) { r.set_name("b"), r.set_below(11.0); }, "below 11");
  refused([](v1::Rule& r) { r.set_name("b"), r.set_above(NAN); }, "not finite");
  refused([](v1::Rule& r) { r.set_name("b"), r.set_hysteresis(-1.0); }, "hysteresis");
  refused([](v1::Rule& r) { r.set_name("b"), r.set_dwell_frames(-1); }, "dwell_frames");
  refused([](v1::Rule& r) { r.set_name("b"), r.set_d_min_nm(0.2); }, "no meaning");
  refused([](v1::Rule& r) { r.set_name("b"), r.set_false_alarms_per_hour(-2); }, "per_hour");
  refused(
      [](v1::Rule& r) {
        r.set_name("b"), r.set_quantity("spot_snr"), r.set_d_min_nm(0.3), r.set_d_max_nm(0.2);
      },
      "d_max_nm");
}

TEST(ToProto, EmptyFieldsOfARuleMeanTheDefaults) {
  const auto rules = read({limit_rule()});
  ASSERT_TRUE(rules);
  EXPECT_EQ(rules->front().dwell_frames, 1);
  EXPECT_EQ(rules->front().false_alarms_per_hour, AlertRule{}.false_alarms_per_hour);
  EXPECT_EQ(rules->front().below, AlertRule{}.below);
}

TEST(ToProto, AnEdgeBalances) {
  EdgeCounters counters;
  counters.in = 10;
  counters.out = 6;
  counters.dropped_oldest = 2;
  counters.lost[static_cast<std::size_t>(LossReason::truncated)] = 1;
  v1::Edge edge;
  fill(edge, counters);
  EXPECT_EQ(edge.in(), edge.out() + edge.dropped() + edge.lost().at("truncated") + edge.level());
}

}  // namespace
}  // namespace latticed::test
