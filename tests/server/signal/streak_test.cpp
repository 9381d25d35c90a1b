// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/signal/streak.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "sim/random/counter_random.hpp"
#include "tests/support/analysed_frame.hpp"
#include "tests/support/bar.hpp"
#include "tests/support/synthetic_scene.hpp"

namespace latticed::signal {
namespace {

using test::Bar;
using test::FrameAnalysis;
using test::Scene;
using test::Wave;
using test::with_bar;

constexpr int kSize = 256;

std::vector<float> empty_beam(double counts) {
  return std::vector<float>(static_cast<std::size_t>(kSize) * kSize, static_cast<float>(counts));
}

StreakGauge gauge_of(const FrameAnalysis& analysis) {
  return StreakGauge(analysis.grid(), 6.0, 1e-3);
}

StreakGauge::Frame frame_of(const Prepared& prepared) {
  const auto& spots = prepared.peaks.peaks;
  return {prepared.spectrum, prepared.peaks.noise, {spots.begin(), spots.size()}, {}};
}

// The streak of a sharp edge of this height A, as long as the field is under its taper along y:
// |F| = A L / (2 pi f), L the sum of the taper over a column; here for an edge across x. Within a
// factor of three, since the fall and the share of interfering maxima are assumed.
TEST(StreakGauge, MeasuresTheStreakOfAnEdge) {
  FrameAnalysis analysis(kSize, kSize);
  const StreakGauge sut = gauge_of(analysis);
  double length = 0.0;
  for (float w : analysis.fft().taper_y()) length += static_cast<double>(w);
  for (double kx : {30.0, 50.0, 70.0}) {
    const Prepared& prepared =
        analysis(with_bar(empty_beam(100.0), kSize,
                          {.direction = 0.0, .position = 200.0, .width = 400.0, .edge = 0.3}));
    const double f = kx / kSize;
    const double expected = std::pow(200.0 * length / (2.0 * M_PI * f), 2.0);
    const StreakGauge::Level level = sut.near(frame_of(prepared), {kx, 0.0}, 0.5);
    std::printf("kx %.0f: %.2f of the streak, from %zu bins\n", kx, level.power / expected,
                level.samples);
    EXPECT_GT(level.power, expected / 3.0);
    EXPECT_LT(level.power, expected * 3.0);
  }
}

TEST(StreakGauge, SeesNoneInNoiseNorInTheOrdersOfARow) {
  FrameAnalysis analysis(kSize, kSize);
  const StreakGauge sut = gauge_of(analysis);
  Scene scene{.width = kSize, .height = kSize, .counts = 20.0};
  const Vector2 q{11.3 / kSize, 7.1 / kSize};
  for (int n = 1; n <= 5; ++n) scene.lattice.push_back({{n * q.x, n * q.y}, 0.2 / n, 0.3 * n});
  const std::vector<float> expectation = test::expect(scene);
  test::ShotNoise noise(11);
  int seen = 0, looks = 0;
  for (int frame = 0; frame < 40; ++frame) {
    const Prepared& prepared = analysis(noise(expectation));
    for (const Vector2 place : {Vector2{11.3, 7.1}, {22.6, 14.2}, {33.9, 21.3}, {40.0, -30.0}}) {
      seen += sut.near(frame_of(prepared), place, 0.5).samples > 0 ? 1 : 0;
      ++looks;
    }
  }
  std::printf("a streak in %d of %d looks\n", seen, looks);
  EXPECT_LT(seen, looks / 10);
}

TEST(StreakGauge, ThresholdFallsWithSamplesAndNeedsSome) {
  FrameAnalysis analysis(kSize, kSize);
  const StreakGauge sut = gauge_of(analysis);
  EXPECT_EQ(sut.threshold(0), std::numeric_limits<double>::infinity());
  EXPECT_EQ(sut.threshold(5), std::numeric_limits<double>::infinity());
  for (std::size_t n = 9; n <= StreakGauge::kMostSamples; n += 3)
    EXPECT_LT(sut.threshold(n), sut.threshold(n - 3)) << n;
  EXPECT_GT(sut.threshold(StreakGauge::kMostSamples), 5.0);
}

// The samples of a level and the place are drawn as the formula says: the share of places beyond
// false_alarm's p is p, whatever the streak is to the noise and however few samples it is from.
TEST(StreakGauge, FalseAlarmIsTheShareOfPlacesThatExceedIt) {
  sim::RandomStream random(3, sim::Purpose::film);
  const auto exponential = [&] { return -std::log(1.0 - random.uniform()); };
  for (std::size_t samples : {6u, 12u, 40u})
    for (double noise : {100.0, 1.0, 0.01}) {
      int below_a_tenth = 0, below_a_hundredth = 0;
      constexpr int kDraws = 20000;
      for (int i = 0; i < kDraws; ++i) {
        std::vector<double> line(samples);
        for (double& value : line) value = exponential();
        std::sort(line.begin(), line.end());
        const StreakGauge::Level level{2.0 * line[samples / 3], samples};
        const double p = StreakGauge::false_alarm((noise + 1.0) * exponential(), noise, level);
        below_a_tenth += p < 0.1 ? 1 : 0;
        below_a_hundredth += p < 0.01 ? 1 : 0;
      }
      std::printf("%zu samples, noise %.2f: %.4f below 0.1, %.4f below 0.01\n", samples, noise,
                  1.0 * below_a_tenth / kDraws, 1.0 * below_a_hundredth / kDraws);
      EXPECT_NEAR(1.0 * below_a_tenth / kDraws, 0.1, 0.05);
      EXPECT_LT(1.0 * below_a_hundredth / kDraws, 0.02);
    }
}

// Through the detector: bars of any width, softness and direction make no spots, where all maxima
// above the rings would be some 800. Within two bins of an axis, where the taper's ends lie, a few
// pass.
TEST(StreakGauge, LetsNoMaximumOfAStreakPass) {
  FrameAnalysis analysis(kSize, kSize);
  test::ShotNoise noise(13);
  int alarms = 0, on_axes = 0, frames = 0, streaks = 0;
  const StreakGauge sut = gauge_of(analysis);
  for (double direction = -1.5; direction < 1.5; direction += 0.31)
    for (double width : {12.0, 50.0, 90.0, 400.0})
      for (double edge : {0.5, 4.0})
        for (double brightness : {0.0, 3.0}) {
          const Bar bar{direction, width > 300.0 ? 180.0 : 21.0, width, edge, brightness};
          const Prepared& prepared = analysis(noise(with_bar(empty_beam(20.0), kSize, bar)));
          for (const Peak& peak : prepared.peaks.peaks)
            (std::min(peak.kx, std::abs(peak.ky)) > 2 ? alarms : on_axes) += 1;
          const Vector2 place{20.0 * std::cos(direction), 20.0 * std::sin(direction)};
          streaks += sut.near(frame_of(prepared), place, 0.5).samples > 0 ? 1 : 0;
          ++frames;
        }
  std::printf("%d alarms and %d on the axes in %d frames, of which %d have a streak at 20 bins\n",
              alarms, on_axes, frames, streaks);
  EXPECT_GT(streaks, frames / 2);
  EXPECT_LE(alarms, 2);  // 1e-3 a frame are computed
  EXPECT_LE(on_axes, 14);
}

// Two phases' layers lie on one line, and no order of one is one of the other's: the strong one's
// lobe is no streak under the faint one once it is known for a lattice's.
TEST(StreakGauge, TakesNoLatticesSpotForAStreak) {
  FrameAnalysis analysis(kSize, kSize);
  const auto at = [](double bins) {
    return Vector2{bins / kSize * std::cos(0.35), bins / kSize * std::sin(0.35)};
  };
  Scene scene{.width = kSize, .height = kSize, .counts = 100.0};
  scene.lattice = {{at(27.6), 0.5, 0.4}, {at(34.5), 0.05, 0.1}};
  scene.radius = 25.0;
  test::ShotNoise noise(19);
  const StreakGauge sut = gauge_of(analysis);
  const Prepared& prepared = analysis(noise(test::expect(scene)));
  const Vector2 faint{34.5 * std::cos(0.35), 34.5 * std::sin(0.35)};
  StreakGauge::Frame frame = frame_of(prepared);
  frame.maxima = frame.spots;
  const double before = sut.near(frame, faint, 1.0).power;
  frame.of_lattices = frame.spots;
  const double after = sut.near(frame, faint, 1.0).power;
  const auto white = static_cast<double>(prepared.peaks.noise.white);
  std::printf("a lobe seven bins off, over noise: %.2f, known for a lattice's %.2f\n",
              before / white, after / white);
  EXPECT_GT(before, white);
  EXPECT_LT(after, 0.5 * white);
}

// A lattice whose planes lie along the edge is still seen where it is plainer than the edge.
TEST(StreakGauge, LeavesAReflectionThatStandsOutOfTheStreak) {
  FrameAnalysis analysis(kSize, kSize);
  const Vector2 f{30.4 / kSize * std::cos(0.35), 30.4 / kSize * std::sin(0.35)};
  Scene scene{.width = kSize, .height = kSize, .counts = 20.0};
  scene.lattice = {{f, 0.2, 0.4}};
  test::ShotNoise noise(17);
  const Prepared& prepared =
      analysis(noise(with_bar(test::expect(scene), kSize, {.edge = 4.0, .brightness = 2.0})));
  bool is_seen = false;
  for (const Peak& peak : prepared.peaks.peaks)
    is_seen = is_seen || std::hypot(peak.kx - f.x * kSize, peak.ky - f.y * kSize) < 1.5;
  EXPECT_TRUE(is_seen);
}

}  // namespace
}  // namespace latticed::signal
