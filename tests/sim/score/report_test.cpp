// SPDX-License-Identifier: GPL-3.0-or-later
#include "sim/score/report.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "sim/score/summary.hpp"

namespace latticed::sim {
namespace {

using testing::HasSubstr;
using testing::Not;

/// Three frames, the last one lost, and an alert three frames behind the event that caused it.
nlohmann::ordered_json summary() {
  Truth truth;
  Measurements measured;
  for (std::uint64_t seq = 0; seq < 3; ++seq) {
    truth.frames[seq];
    measured.frames[seq].sigma_drift_px = {0.1, 0.1};
    measured.frames[seq].drift_state = "locked";
  }
  measured.frames[2].lost = "detector_overrun";
  truth.events = {{"spacing_change", 1}, {"jump", 900}};
  measured.alerts = {{"spacing_change", 4, 1}, {"drift_lost", 500, 500}};
  return summarise(truth, measured, {});
}

TEST(Report, SaysWhatWasLostAndWhy) {
  EXPECT_THAT(describe(summary()), HasSubstr("frames   3, 1 lost, 1 detector_overrun\n"));
}

TEST(Report, NamesWhatCausedAnAlert) {
  const std::string text = describe(summary());
  EXPECT_THAT(text,
              HasSubstr("alerts   frame 4: spacing_change, caused by spacing_change at frame 1\n"));
  EXPECT_THAT(text, HasSubstr("frame 500: drift_lost, no event of the truth near it\n"));
  EXPECT_THAT(text, HasSubstr("unseen   jump at frame 900 raised no alert\n"));
}

TEST(Report, TakesAlertsOfOneRuleAndCauseTogether) {
  auto many = summary();
  many["alerts"].push_back(many["alerts"][0]);
  many["alerts"].back()["seq"] = 9;
  EXPECT_THAT(describe(many), HasSubstr("frames 4 to 9: 2 times spacing_change, caused by "
                                        "spacing_change at frame 1\n"));
}

TEST(Report, ComparesWithTheBoundsWhereThereAreSome) {
  auto bounded = summary();
  EXPECT_THAT(describe(bounded), Not(HasSubstr("the bound")));
  bounded["drift"]["bound_ratio"] = 1.234;
  bounded["d_rms_nm"] = 1e-4;
  bounded["d"]["matched"] = 7;
  bounded["d"]["bound_ratio"] = 2.0;
  EXPECT_THAT(describe(bounded), HasSubstr("of its sigmas, 1.23 x the bound), locked"));
  EXPECT_THAT(describe(bounded), HasSubstr("of its sigmas, 2.00 x the bound), 7 spots\n"));
}

TEST(Report, TellsSpotsOnSeveralReflectionsApart) {
  EXPECT_THAT(describe(summary()), HasSubstr("d        no spots\n"));
  auto many = summary();
  many["d"]["unresolved"] = 12;
  many["d"]["unresolved_outside"] = 3;
  EXPECT_THAT(describe(many),
              HasSubstr("d        12 spots on several reflections, 3 not between them\n"));
}

TEST(Report, EndsWithTheVerdict) {
  EXPECT_THAT(describe(summary()), testing::EndsWith("verdict  fail\n"));
  auto passed = summary();
  passed["verdict"] = "pass";
  EXPECT_THAT(describe(passed), testing::EndsWith("verdict  pass\n"));
}

TEST(Report, SaysThatThereWasNoAlert) {
  auto quiet = summary();
  quiet["alerts"] = nlohmann::ordered_json::array();
  EXPECT_THAT(describe(quiet), HasSubstr("alerts   none\n"));
  EXPECT_THAT(describe(quiet), Not(HasSubstr("caused by")));
}

}  // namespace
}  // namespace latticed::sim
