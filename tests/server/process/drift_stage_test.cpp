// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/process/drift_stage.hpp"

#include <gtest/gtest.h>

#include "tests/support/analysed_frame.hpp"
#include "tests/support/synthetic_scene.hpp"

namespace latticed {
namespace {

using test::FrameAnalysis;
using test::Scene;

class DriftStageTest : public testing::TestWithParam<int> {
 protected:
  DriftStageTest()
      : analysis_(384, 384, {.bin = GetParam(), .detect = {}}), sut_(analysis_.fft(), {}) {
    scene_.width = scene_.height = 384;
    scene_.counts = 20.0;
    scene_.lattice = test::layered_lattice();
    scene_.radius = 110.0;
  }
  DriftMeasurement frame_at(Vector2 shift, FrameQuality quality = FrameQuality::good) {
    Prepared prepared;
    const Prepared& analysed = analysis_(noise_(test::expect(scene_, shift)));
    prepared.quality = quality;
    prepared.peaks = analysed.peaks;
    prepared.spectrum = signal::Spectrum(analysis_.grid().spectrum_size());
    std::copy_n(analysed.spectrum.data(), prepared.spectrum.size(), prepared.spectrum.data());
    Frame frame;
    frame.seq = seq_++;
    Measurements out;
    sut_.process(frame, prepared, out);
    return out.drift;
  }
  void lose(std::uint64_t frames) {
    Frame lost;
    lost.seq = seq_;
    lost.header.lost_count = frames;
    seq_ += frames;
    sut_.skip(lost);
  }

  Scene scene_;
  FrameAnalysis analysis_;
  DriftStage sut_;
  test::ShotNoise noise_{3};
  std::uint64_t seq_ = 0;
};

// Whatever the binning: raw pixels, + = moved right and down, with the sigma that belongs to it.
TEST_P(DriftStageTest, ReportsRawPixelsWithTheirSigma) {
  for (int i = 0; i < 12; ++i) {
    const Vector2 truth{0.7 * i, -1.1 * i};
    const DriftMeasurement sut = frame_at(truth);
    EXPECT_NEAR(sut.drift_px.x, truth.x, 0.25)
        << i;  // bound 0.035: five sigma of frame and frame 0
    EXPECT_NEAR(sut.drift_px.y, truth.y, 0.25) << i;
    EXPECT_GT(sut.sigma_drift_px.x, 0.005);
    EXPECT_LT(sut.sigma_drift_px.x, 0.05);
    if (i == 0) {
      EXPECT_EQ(sut.drift_px.x, 0.0);
      EXPECT_EQ(sut.drift_px.y, 0.0);
    }
  }
}

TEST_P(DriftStageTest, TakesFramesThatAreNotGoodForTimeThatPassed) {
  for (int i = 0; i < 30; ++i) (void)frame_at({0.5 * i, 0.0});
  for (int i = 30; i < 33; ++i) {
    const DriftMeasurement sut = frame_at({90.0, 90.0}, FrameQuality::saturated);
    EXPECT_EQ(sut.state, DriftState::lost);
    EXPECT_NEAR(sut.drift_px.x, 0.5 * i, 0.4);
    EXPECT_GT(sut.sigma_drift_px.x, 5.0);  // half a cell in raw pixels
  }
  EXPECT_NEAR(frame_at({16.5, 0.0}).drift_px.x, 16.5, 0.25);
}

TEST_P(DriftStageTest, GoesOnAtThePredictionAfterLostFrames) {
  for (int i = 0; i < 30; ++i) (void)frame_at({0.5 * i, 0.0});
  lose(20);
  const DriftMeasurement sut = frame_at({25.0, 0.0});
  EXPECT_EQ(sut.state, DriftState::locked);
  EXPECT_NEAR(sut.drift_px.x, 25.0, 0.25);
}

// As after a change of region: another grid, another template, the same way.
TEST_P(DriftStageTest, GoesOnInAnotherGridFromTheFrameBothHaveSeen) {
  const auto truth = [](int i) { return Vector2{0.7 * i, -0.4 * i}; };
  FrameAnalysis other(384, 384, {.bin = GetParam() == 1 ? 2 : 1, .detect = {}});
  DriftStage tied(other.fft(), {}), untied(other.fft(), {});
  Frame frame;
  Measurements out;
  const auto measure = [&](DriftStage& stage, const Prepared& prepared) {
    frame.seq = seq_;
    stage.process(frame, prepared, out);
    return out.drift;
  };
  for (int i = 0; i < 20; ++i) (void)frame_at(truth(i));
  const auto both = noise_(test::expect(scene_, truth(20)));
  const DriftMeasurement last = measure(sut_, analysis_(both));
  tied.take_over(sut_, &other(both));
  untied.take_over(sut_, nullptr);
  for (int i = 21; i < 40; ++i) {
    ++seq_;
    const Prepared& prepared = other(noise_(test::expect(scene_, truth(i))));
    const DriftMeasurement sut = measure(tied, prepared);
    EXPECT_NEAR(sut.drift_px.x, truth(i).x, 0.25) << i;
    EXPECT_NEAR(sut.drift_px.y, truth(i).y, 0.25) << i;
    EXPECT_GT(sut.sigma_drift_px.x, last.sigma_drift_px.x) << "the tie's own error is in it";
    EXPECT_LT(sut.sigma_drift_px.x, 0.1);
    const DriftMeasurement doubtful = measure(untied, prepared);
    EXPECT_NEAR(doubtful.drift_px.x, truth(i).x, 1.0) << "the prediction was good";
    EXPECT_GT(doubtful.sigma_drift_px.x, 3.0) << "but nobody knew: half a cell";
  }
}

TEST_P(DriftStageTest, BegunAnewItGoesOnFromWhereTheFrameWasMeasured) {
  for (int i = 0; i < 20; ++i) (void)frame_at({0.7 * i, 0.0});
  sut_.restart();
  EXPECT_EQ(frame_at({30.0, 3.0}, FrameQuality::blanked).state, DriftState::lost);
  for (int i = 21; i < 40; ++i) {
    const DriftMeasurement sut = frame_at({0.7 * i, 0.0});
    EXPECT_NEAR(sut.drift_px.x, 0.7 * i, 0.25) << i;
    EXPECT_EQ(sut.state, DriftState::locked) << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Bins, DriftStageTest, testing::Values(1, 2, 3));

}  // namespace
}  // namespace latticed
