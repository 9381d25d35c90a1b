// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/publish/run_history.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/server/publish/shifted_frames.hpp"

namespace latticed {
namespace {

TEST(Spread, MergesWithoutLosingExtremes) {
  Spread a, b;
  a.add(1.0, 0.3);
  a.add(3.0, 0.4);
  b.add(-5.0, 0.0);
  b.add(std::nan(""), 0.1);
  a.merge(b);
  EXPECT_EQ(a.count, 3u);
  EXPECT_DOUBLE_EQ(a.mean(), -1.0 / 3.0);
  EXPECT_EQ(a.low, -5.0);
  EXPECT_EQ(a.high, 3.0);
  EXPECT_NEAR(a.sigma(), std::sqrt(0.25 / 3.0), 1e-12);
}

TEST(RunHistory, SortsFramesByWhatIsKnownOfThem) {
  RunHistory sut(test::run_of(32, 32));
  Frame frame;
  test::measure(frame, 0, {});
  sut.add(frame);
  test::measure(frame, 1, {1.0, 2.0});
  frame.measurements.drift.is_cell_ambiguous = true;
  frame.measurements.drift.sigma_drift_px = {0.3, 0.3};
  frame.measurements.drift.sigma_drift_sys_px = {0.4, 0.0};
  sut.add(frame);
  test::measure(frame, 2, {});
  frame.measurements.drift.state = DriftState::lost;
  sut.add(frame);
  test::measure(frame, 3, {});
  frame.measurements.quality = FrameQuality::saturated;
  sut.add(frame);
  frame = Frame{};
  frame.seq = 4;
  frame.header.kind = FrameKind::lost;
  frame.header.lost_count = 3;
  sut.add(frame);
  EXPECT_EQ(sut.frames(), 7u);
  EXPECT_EQ(sut.measured(), 3u);
  const auto& slots = sut.drift().slots();
  ASSERT_EQ(slots.size(), 7u);
  EXPECT_EQ(slots[1].entry.ambiguous, 1u);
  EXPECT_NEAR(slots[1].entry.x_px.sigma(), 0.5, 1e-12);  // random and systematic together
  EXPECT_EQ(slots[2].entry.lost, 1u);
  EXPECT_EQ(slots[2].entry.x_px.count, 0u);  // a prediction is no measurement
  for (std::size_t i = 3; i < 7; ++i) EXPECT_EQ(slots[i].entry.not_measured, 1u);
}

TEST(RunHistory, KeepsABoundedNumberOfSpotsTheStrongOnes) {
  RunHistory sut(test::run_of(32, 32));
  Frame frame;
  for (std::uint64_t seq = 0; seq < 20'000; ++seq) {
    test::measure(frame, seq, {});
    frame.measurements.spots.push_back(test::spot_of(1, {1.8, 0.0}, 50.0));
    // a new one every frame: noise that was confirmed once
    frame.measurements.spots.push_back(
        test::spot_of(static_cast<std::uint32_t>(seq) + 2, {3.0, 1.0}, 6.0));
    sut.add(frame);
  }
  EXPECT_EQ(sut.spots().size(), RunHistory::kSpots);
  const auto strong = std::find_if(sut.spots().begin(), sut.spots().end(),
                                   [](const SpotHistory& spot) { return spot.id == 1; });
  ASSERT_NE(strong, sut.spots().end());
  EXPECT_EQ(strong->whole_d_nm.count, 20'000u);
  EXPECT_LE(strong->spacing.slots().size(), 4096u);
  EXPECT_NEAR(strong->g_per_nm().x, 1.8, 1e-9);
}

TEST(RunHistory, CountsAlertsBeyondThoseItKeeps) {
  RunHistory sut(test::run_of(32, 32));
  Frame frame;
  for (std::uint64_t seq = 0; seq < 600; ++seq) {
    test::measure(frame, seq, {});
    frame.measurements.alerts.push_back({0, 5, true, 1.0, 0.1, seq});
    frame.measurements.alerts.push_back({0, 5, false, 1.0, 0.1, seq});
    sut.add(frame);
  }
  EXPECT_EQ(sut.alerts_raised(), 600u);
  ASSERT_EQ(sut.alerts().size(), RunHistory::kAlerts);
  EXPECT_EQ(sut.alerts()[7].rule, "spacing_change");
  EXPECT_EQ(sut.alerts()[7].since_seq, 7u);
  EXPECT_EQ(sut.alerts()[7].spot_id, 5u);
}

}  // namespace
}  // namespace latticed
