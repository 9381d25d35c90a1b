// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/record/run_events.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace latticed::record {
namespace {

using nlohmann::json;

Frame frame_with(TrackChange change) {
  AppliedChange applied;
  applied.seq = 42;
  applied.change = std::move(change);
  applied.spot_id = 7;
  applied.rule_numbers = {12, 13};
  applied.grid.bin = 4;
  applied.grid.width = 128;
  Frame frame;
  frame.seq = 42;
  frame.header.time_ns = 1234;
  frame.change = std::make_shared<const AppliedChange>(applied);
  return frame;
}

json text_of(TrackChange change) {
  const RecordedEvent event = event_of_change(frame_with(std::move(change)));
  EXPECT_EQ(event.kind, EventKind::parameter);
  EXPECT_EQ(event.frame_first, 42u);
  EXPECT_EQ(event.time_ns, 1234);
  return json::parse(event.text);
}

TEST(RunEvents, AChangeIsWrittenWithAllThatIsNeededToRepeatIt) {
  EXPECT_EQ(text_of(ResetTracking{}), json({{"change", "reset_tracking"}}));
  EXPECT_EQ(text_of(SetReference{}), json({{"change", "set_reference"}}));
  EXPECT_EQ(text_of(WatchSpot{{1.5, -0.1}, 0.25}), json({{"change", "watch_spot"},
                                                         {"g_per_nm", {1.5, -0.1}},
                                                         {"tolerance_per_nm", 0.25},
                                                         {"spot_id", 7}}));
  EXPECT_EQ(text_of(ForgetSpot{9}), json({{"change", "forget_spot"}, {"spot_id", 9}}));
  const json region = text_of(SetRegion{{10, 20, 512, 256}});
  EXPECT_EQ(region["region_px"], json({10, 20, 512, 256}));
  EXPECT_EQ(region["grid"]["bin"], 4);
  EXPECT_EQ(region["grid"]["width"], 128);
}

TEST(RunEvents, RulesComeWithTheirNumbersAndEveryValue) {
  AlertRule limit;
  limit.name = "too \"hot\"\xff";  // quoted, and no UTF-8
  limit.quantity = Quantity::mean_counts;
  limit.kind = RuleKind::limit;
  limit.above = 0.1 + 0.2;
  limit.dwell_frames = 3;
  const json text = text_of(SetRules{{limit, AlertRule{}}});
  ASSERT_EQ(text["rules"].size(), 2u);
  EXPECT_EQ(text["rules"][0]["number"], 12);
  EXPECT_EQ(text["rules"][1]["number"], 13);
  EXPECT_EQ(text["rules"][0]["quantity"], "mean_counts");
  EXPECT_EQ(text["rules"][0]["above"].get<double>(), limit.above);  // every bit
  EXPECT_TRUE(text["rules"][0]["below"].is_null());
  EXPECT_EQ(text["rules"][0]["dwell_frames"], 3);
}

TEST(RunEvents, AnAlertKeepsItsRuleItsValueAndItsOnset) {
  AlertRule rule;
  rule.name = "d of the rim";
  rule.quantity = Quantity::spot_d_nm;
  const RuleBook rules(std::vector<AlertRule>{AlertRule{}, rule});
  Frame frame;
  frame.seq = 5;
  const RecordedEvent raised = event_of({1, 3, true, 0.46, 0.001, 2}, frame, rules);
  EXPECT_EQ(raised.kind, EventKind::alert);
  EXPECT_EQ(raised.severity, EventSeverity::warning);
  EXPECT_EQ(raised.source, "d of the rim");
  EXPECT_EQ(raised.frame_first, 5u);
  EXPECT_EQ(json::parse(raised.text), json({{"state", "raised"},
                                            {"value", 0.46},
                                            {"unit", "nm"},
                                            {"sigma", 0.001},
                                            {"since_seq", 2},
                                            {"rule_number", 1},
                                            {"spot_id", 3}}));
  const RecordedEvent cleared = event_of({1, 0, false, 0.45, 0.001, 2}, frame, rules);
  EXPECT_EQ(cleared.severity, EventSeverity::info);
  EXPECT_FALSE(json::parse(cleared.text).contains("spot_id"));
}

TEST(RunEvents, TheFirstRulesAreAChangeAtTheFirstFrame) {
  RunInfo run;
  run.first_seq = 40;
  run.rules = RuleBook(default_rules());
  const RecordedEvent event = event_of_first_rules(run, 99);
  EXPECT_EQ(event.frame_first, 40u);
  EXPECT_EQ(event.time_ns, 99);
  EXPECT_EQ(json::parse(event.text)["rules"].size(), default_rules().size());
}

}  // namespace
}  // namespace latticed::record
