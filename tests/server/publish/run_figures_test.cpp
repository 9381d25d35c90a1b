// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/publish/run_figures.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/server/publish/shifted_frames.hpp"

namespace latticed {
namespace {

using testing::HasSubstr;

/// 60 frames with a lattice spot, its harmonic, a twin of the same spacing and far-off scan noise.
RunHistory history_of(double pixel_size_nm = 0.03) {
  RunHistory history(test::run_of(64, 64, pixel_size_nm));
  Frame frame;
  for (std::uint64_t seq = 0; seq < 60; ++seq) {
    test::measure(frame, seq, {0.1 * static_cast<double>(seq), 0.0});
    auto& spots = frame.measurements.spots;
    spots.push_back(test::spot_of(1, {2.0, 0.0}, 50.0));
    spots.push_back(test::spot_of(2, {4.0, 0.0}, 40.0));
    spots[1].harmonic_order = 2;
    spots.push_back(test::spot_of(3, {0.0, 2.001}, 30.0));
    spots.push_back(test::spot_of(4, {1.5, 3.0}, 20.0));
    spots.push_back(test::spot_of(5, {12.0, 9.0}, 25.0));
    history.add(frame);
  }
  return history;
}

AlignedMean mean_of_one() {
  AlignedMean mean({64, 64, PixelType::u16});
  mean.add(test::bytes_of(test::drifted(64, 64, {})), {});
  return mean;
}

TEST(SpacingFigures, ShowEachSpacingOnceTheStrongestFirst) {
  const auto sut = spacing_figures(history_of(), 5);
  ASSERT_EQ(sut.size(), 2u);  // no harmonic, no twin, nothing far beyond the others
  EXPECT_THAT(sut[0].title, HasSubstr("Spot 1, d = 0.500 nm"));
  EXPECT_THAT(sut[1].title, HasSubstr("Spot 4"));
  EXPECT_EQ(sut[0].x_label, "time (s)");
  EXPECT_NEAR(sut[0].series[0].sigma[7], 1e-4, 1e-12);
}

TEST(DiffractogramFigure, RingsBothFriedelMatesWhereTheSpotIs) {
  const ImageFigure sut = diffractogram_figure(mean_of_one(), history_of());
  ASSERT_EQ(sut.marks.size(), 8u);
  EXPECT_EQ(sut.marks[0].label, "0.500 nm");
  EXPECT_NEAR((sut.marks[0].x - sut.width / 2) * sut.scale, 2.0, 1e-9);  // in 1/nm
  EXPECT_NEAR(sut.marks[0].x - sut.width / 2, sut.width / 2 - sut.marks[1].x, 1e-9);
  EXPECT_THAT(sut.title, HasSubstr("1 further out"));
}

TEST(DriftFigure, IsInPixelsAndFramesWhenNothingElseIsKnown) {
  RunInfo run = test::run_of(64, 64, 0.0);
  run.is_frame_period_assumed = true;
  RunHistory history(run);
  Frame frame;
  for (std::uint64_t seq = 0; seq < 5; ++seq) {
    test::measure(frame, seq, {0.5, 0.0});
    if (seq == 3) frame.measurements.drift.state = DriftState::lost;
    history.add(frame);
  }
  const LinePlot sut = drift_figure(history);
  EXPECT_EQ(sut.x_label, "frame");
  EXPECT_EQ(sut.y_label, "drift (px)");
  ASSERT_EQ(sut.marked[0].stretches.size(), 1u);
  EXPECT_EQ(sut.marked[0].stretches[0], (std::pair{2.5, 3.5}));
  EXPECT_DOUBLE_EQ(sut.series[0].y[1], 0.5);
  EXPECT_TRUE(std::isnan(sut.series[0].y[3]));
  EXPECT_EQ(aligned_mean_figure(mean_of_one(), history).scale_unit, "px");
}

TEST(DriftFigure, NamesFewAlertsAndTicksMany) {
  RunHistory history(test::run_of(64, 64));
  Frame frame;
  for (std::uint64_t seq = 0; seq < 40; ++seq) {
    test::measure(frame, seq, {});
    if (seq % 20 == 10) frame.measurements.alerts.push_back({3, 0, true, 1.0, 0.0, seq - 4});
    history.add(frame);
  }
  const LinePlot few = drift_figure(history);
  ASSERT_EQ(few.events.size(), 2u);
  EXPECT_EQ(few.events[0].label, "drift_lost");
  EXPECT_DOUBLE_EQ(few.events[0].x, 6 * 0.25);  // its dated onset
  for (std::uint64_t seq = 40; seq < 50; ++seq) {
    test::measure(frame, seq, {});
    frame.measurements.alerts.push_back({0, 9, true, 1.0, 0.0, seq});
    history.add(frame);
  }
  const LinePlot many = drift_figure(history);
  EXPECT_TRUE(many.events.empty());
  EXPECT_EQ(many.marked.back().name, "spacing_change alert (10)");
}

TEST(RunPage, OfNothingIsStillAPage) {
  const RunHistory nothing(test::run_of(64, 64));
  EXPECT_GT(run_page(nullptr, nothing).draw().width, 400);
  EXPECT_THAT(drift_figure(nothing).title, HasSubstr("no frame could be measured"));
}

}  // namespace
}  // namespace latticed
