// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/publish/alert_log_sink.hpp"

#include <gtest/gtest.h>

namespace latticed {
namespace {

AlertEvent event(std::uint16_t rule, std::uint32_t spot_id, bool is_raised) {
  AlertEvent alert;
  alert.rule = rule;
  alert.spot_id = spot_id;
  alert.is_raised = is_raised;
  alert.value = 0.5612;
  alert.sigma = 0.0004;
  alert.since_seq = 120;
  return alert;
}

TEST(AlertLogSink, KnowsWhichAlertsAreRaisedNow) {
  const auto board = std::make_shared<AlertBoard>();
  AlertLogSink sut("camera", board);
  RunInfo run;
  run.rules = default_rules();
  ASSERT_TRUE(sut.begin(run));
  FramePool pool(1, [](Frame&) {});
  const FrameLease frame = pool.try_acquire();
  for (const auto& alert : {event(0, 1, true), event(0, 2, true), event(1, 1, true)})
    frame->measurements.alerts.push_back(alert);
  sut.consume(frame);
  frame->measurements.alerts.clear();
  frame->measurements.alerts.push_back(event(0, 1, false));
  sut.consume(frame);
  const auto raised = board->raised();
  ASSERT_EQ(raised.size(), 2u);
  EXPECT_EQ(raised[0].spot_id, 2u);
  EXPECT_EQ(raised[1].rule, 1u);
  EXPECT_EQ(board->raised_so_far(), 3u);
}

TEST(AlertLogSink, SaysRulePlaceValueUnitAndOnset) {
  EXPECT_EQ(describe(event(0, 3, true), default_rules()),
            "spacing_change: spot 3 at 0.5612 ± 0.0004 nm since frame 120");
}

}  // namespace
}  // namespace latticed
