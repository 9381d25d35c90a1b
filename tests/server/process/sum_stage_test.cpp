// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/process/sum_stage.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <numbers>

#include "tests/support/analysed_frame.hpp"
#include "tests/support/synthetic_scene.hpp"

namespace latticed {
namespace {

using test::FrameAnalysis;
using test::Scene;

constexpr int kSize = 256;
constexpr double kPixel_nm = 0.02;

/// Frames through analysis, lattice stage and the sum, as the track thread does it; the drift is
/// given.
class Chain {
 public:
  explicit Chain(SumConfig sum)
      : lattice_(analysis_.fft(), analysis_.geometry(), lattice_config()),
        sut_(analysis_.fft(), analysis_.geometry(), {sum, {}, lattice_config()}) {}

  Measurements operator()(const std::vector<float>& image, Vector2 drift,
                          DriftState state = DriftState::locked) {
    const Prepared& prepared = analysis_(image);
    Measurements out;
    out.mean_counts = prepared.statistics.mean;
    out.drift.drift_px = drift;
    out.drift.state = state;
    frame_.seq = next_++;
    frame_.header.time_ns = 1'700'000'000'000'000'000 + 40'000'000 * std::int64_t(frame_.seq);
    lattice_.process(frame_, prepared, out);
    sut_.process(frame_, prepared, out);
    return out;
  }
  void lose(std::uint64_t count) {
    Frame lost;
    lost.header.lost_count = count;
    next_ += count;
    sut_.skip(lost);
  }
  SumStage& stage() { return sut_; }

 private:
  static LatticeConfig lattice_config() { return {.pixel_size_nm = kPixel_nm}; }
  FrameAnalysis analysis_{kSize, kSize};
  LatticeStage lattice_;
  SumStage sut_;
  Frame frame_;
  std::uint64_t next_ = 0;
};

Scene crystal(double counts) {
  Scene scene{.width = kSize, .height = kSize, .counts = counts};
  scene.lattice = test::layered_lattice();
  return scene;
}

const Spot* planes(const FixedVector<Spot, kMaxSpots>& spots) {
  for (const Spot& spot : spots)
    if (std::abs(spot.d_nm - 0.533) < 0.01) return &spot;
  return nullptr;
}

constexpr SumConfig always(int frames) { return {.frames = frames, .when = SumWhen::always}; }

// 16 frames of 0.1 e/px show what one of 1.6 e/px does.
TEST(SumStage, SixteenFramesMeasureAsOneOfSixteenTimesTheDose) {
  Chain sut(always(16));
  const Scene scene = crystal(0.1);
  test::ShotNoise noise(5);
  test::Series z, sigma, single;
  for (int frame = 0; frame < 800; ++frame) {
    const Vector2 drift{0.11 * frame, -0.07 * frame};
    const Measurements out = sut(noise(test::expect(scene, drift)), drift);
    if (!out.sum || frame % 16 != 15) continue;  // those that share no frame
    const Spot* spot = planes(out.sum->spots);
    ASSERT_TRUE(spot) << frame;
    z.add((spot->d_nm - 0.533) / spot->sigma_d_nm);
    sigma.add(spot->sigma_d_nm);
    EXPECT_EQ(out.sum->frames_added, 16u);
  }
  FrameAnalysis analysis(kSize, kSize);
  LatticeStage one(analysis.fft(), analysis.geometry(), {.pixel_size_nm = kPixel_nm});
  const Scene bright = crystal(1.6);
  for (int frame = 0; frame < 50; ++frame) {
    Measurements out;
    one.process({}, analysis(noise(test::expect(bright))), out);
    if (const Spot* spot = planes(out.spots)) single.add(spot->sigma_d_nm);
  }
  std::printf("d of sums of 16 at 0.1 e/px: z %.2f mean %.2f, sigma %.2e; one at 1.6 e/px %.2e\n",
              z.deviation(), z.mean(), sigma.mean(), single.mean());
  ASSERT_EQ(z.count, 50);
  EXPECT_GT(z.deviation(), 0.75);  // 50 draws: one standard error is 0.1
  EXPECT_LT(z.deviation(), 1.3);
  EXPECT_LT(std::abs(z.mean()), 0.5);
  EXPECT_NEAR(sigma.mean() / single.mean(), 1.0, 0.1);
}

TEST(SumStage, SaysWhichFramesItIsMadeOf) {
  Chain sut(always(8));
  const Scene scene = crystal(2.0);
  test::ShotNoise noise(6);
  Measurements out;
  for (int frame = 0; frame < 8; ++frame) {
    const Vector2 drift{0.5 * frame, 0.25 * frame};
    // Two are not added: one is weak, one lost.
    out = sut(noise(test::expect(scene, drift)), drift,
              frame == 2   ? DriftState::weak
              : frame == 5 ? DriftState::lost
                           : DriftState::locked);
    EXPECT_EQ(out.sum.has_value(), frame == 7) << frame;
  }
  ASSERT_TRUE(out.sum);
  EXPECT_EQ(out.sum->frames_added, 6u);
  EXPECT_EQ(out.sum->frames_left_out, 2u);
  EXPECT_EQ(out.sum->first_seq, 0u);
  EXPECT_EQ(out.sum->last_seq, 7u);
  const double mean_seq = (0 + 1 + 3 + 4 + 6 + 7) / 6.0;
  EXPECT_NEAR(out.sum->effective_seq, mean_seq, 1e-9);
  ASSERT_TRUE(out.sum->effective_time_ns);
  EXPECT_NEAR(static_cast<double>(*out.sum->effective_time_ns - 1'700'000'000'000'000'000),
              40e6 * mean_seq, 1.0);
  EXPECT_NEAR(out.sum->drift_px.x, 0.5 * mean_seq, 1e-9);
  EXPECT_NEAR(out.sum->drift_px.y, 0.25 * mean_seq, 1e-9);
  EXPECT_NEAR(out.sum->mean_counts, 6 * 2.0, 0.2);
  // A sum every fourth of its frames from then on.
  for (int frame = 8; frame < 16; ++frame) {
    const Vector2 drift{0.5 * frame, 0.25 * frame};
    out = sut(noise(test::expect(scene, drift)), drift);
    EXPECT_EQ(out.sum.has_value(), frame % 2 == 1) << frame;
    if (frame == 9) {
      EXPECT_EQ(out.sum->first_seq, 3u);
    }
  }
}

// Phase and amplitude as in a frame taken where the specimen was on the average.
TEST(SumStage, AddsAcrossAJumpInPhase) {
  Chain sut(always(8));
  const Scene scene = crystal(50.0);
  test::ShotNoise noise(7);
  Measurements out;
  for (int frame = 0; frame < 8; ++frame) {
    const Vector2 drift = frame < 3 ? Vector2{} : Vector2{9.0, -6.0};
    out = sut(noise(test::expect(scene, drift)), drift);
  }
  ASSERT_TRUE(out.sum);
  EXPECT_EQ(out.sum->frames_added, 8u);
  const Spot* spot = planes(out.sum->spots);
  ASSERT_TRUE(spot);
  EXPECT_NEAR(spot->amplitude, 0.2, 0.01);
  const test::Wave& wave = scene.lattice[0];
  const double expected =
      wave.phase -
      2.0 * std::numbers::pi * (wave.f.x * out.sum->drift_px.x + wave.f.y * out.sum->drift_px.y);
  EXPECT_NEAR(std::remainder(spot->phase_rad - expected, 2.0 * std::numbers::pi), 0.0, 0.02);
}

TEST(SumStage, BeginsAnewWhenTheFieldHasMovedOn) {
  Chain sut(always(8));
  const Scene scene = crystal(2.0);
  test::ShotNoise noise(8);
  Measurements out;
  for (int frame = 0; frame < 13; ++frame) {  // the jump comes inside a part
    const Vector2 drift = frame < 5 ? Vector2{} : Vector2{60.0, 0.0};
    out = sut(noise(test::expect(scene, drift)), drift);
    EXPECT_EQ(out.sum.has_value(), frame == 12) << frame;
  }
  ASSERT_TRUE(out.sum);
  EXPECT_EQ(out.sum->first_seq, 5u);
  EXPECT_NEAR(out.sum->drift_px.x, 60.0, 1e-9);
}

TEST(SumStage, CountsLostFramesAndForgetsAfterALongGap) {
  Chain sut(always(8));
  const Scene scene = crystal(2.0);
  test::ShotNoise noise(9);
  const auto image = noise(test::expect(scene));
  Measurements out;
  for (int frame = 0; frame < 3; ++frame) out = sut(image, {});
  sut.lose(2);
  for (int frame = 5; frame < 8; ++frame) out = sut(image, {});
  ASSERT_TRUE(out.sum);
  EXPECT_EQ(out.sum->frames_added, 6u);
  EXPECT_EQ(out.sum->frames_left_out, 2u);
  sut.lose(100);
  for (int frame = 0; frame < 8; ++frame) {
    out = sut(image, {});
    EXPECT_EQ(out.sum.has_value(), frame == 7);
  }
  EXPECT_EQ(out.sum->first_seq, 108u);
  EXPECT_EQ(out.sum->frames_left_out, 0u);
}

TEST(SumStage, LeavesRichFramesAloneUnlessToldOtherwise) {
  Chain sut(SumConfig{.frames = 8});
  test::ShotNoise noise(10);
  const Scene rich = crystal(40.0), poor = crystal(0.05);
  for (int frame = 0; frame < 40; ++frame) EXPECT_FALSE(sut(noise(test::expect(rich)), {}).sum);
  int sums = 0;
  for (int frame = 0; frame < 40; ++frame) sums += sut(noise(test::expect(poor)), {}).sum ? 1 : 0;
  EXPECT_GE(sums, 8);
  for (int frame = 0; frame < 30; ++frame) (void)sut(noise(test::expect(rich)), {});
  for (int frame = 0; frame < 20; ++frame) EXPECT_FALSE(sut(noise(test::expect(rich)), {}).sum);
}

TEST(SumStage, ConfirmsOnlyWhatTwoSumsWithoutACommonFrameShow) {
  Chain sut(always(8));
  test::ShotNoise noise(11);
  const Scene scene = crystal(2.0);
  for (int frame = 0; frame < 24; ++frame) {
    const Measurements out = sut(noise(test::expect(scene)), {});
    if (!out.sum) continue;
    const Spot* spot = planes(out.sum->spots);
    ASSERT_TRUE(spot) << frame;
    EXPECT_EQ(spot->is_confirmed, frame >= 15) << frame;
    EXPECT_EQ(spot->age_frames, static_cast<std::uint32_t>(frame - 7));
  }
}

// Nothing there: what noise shows in one sum is gone when all its frames are.
TEST(SumStage, NoiseAloneConfirmsNothing) {
  Chain sut(always(8));
  test::ShotNoise noise(12);
  Scene empty{.width = kSize, .height = kSize, .counts = 0.5};
  const auto expectation = test::expect(empty);
  int confirmed = 0, sums = 0;
  for (int frame = 0; frame < 600; ++frame) {
    const Measurements out = sut(noise(expectation), {});
    if (!out.sum) continue;
    ++sums;
    for (const Spot& spot : out.sum->spots) confirmed += spot.is_confirmed ? 1 : 0;
  }
  EXPECT_GE(sums, 290);
  EXPECT_EQ(confirmed, 0);
}

TEST(SumStage, ARestartForgetsFramesAndSpots) {
  Chain sut(always(8));
  test::ShotNoise noise(13);
  const auto image = noise(test::expect(crystal(2.0)));
  for (int frame = 0; frame < 7; ++frame) (void)sut(image, {});
  sut.stage().restart();
  for (int frame = 0; frame < 8; ++frame) {
    const Measurements out = sut(image, {});
    ASSERT_EQ(out.sum.has_value(), frame == 7);
    if (out.sum) {
      EXPECT_EQ(out.sum->first_seq, 7u);
    }
  }
}

}  // namespace
}  // namespace latticed
