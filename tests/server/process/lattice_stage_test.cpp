// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/process/lattice_stage.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>
#include <tuple>

#include "tests/support/analysed_frame.hpp"
#include "tests/support/bar.hpp"
#include "tests/support/synthetic_scene.hpp"

namespace latticed {
namespace {

using test::FrameAnalysis;
using test::Scene;
using test::Wave;

constexpr double kPi = std::numbers::pi;

/// Frames through analysis and stage, as the track thread does it.
class Chain {
 public:
  explicit Chain(int width, int height, int bin = 1, LatticeConfig config = {})
      : analysis_(width, height, {.bin = bin, .detect = {}}),
        sut_(analysis_.fft(), analysis_.geometry(), config) {}

  Measurements operator()(const std::vector<float>& image, const DriftMeasurement& drift = {}) {
    const Prepared& prepared = analysis_(image);
    Measurements out;
    out.drift = drift;
    out.mean_counts = prepared.statistics.mean;
    frame_.seq = seq_++;
    sut_.process(frame_, prepared, out);
    return out;
  }
  void skip() { sut_.skip(frame_); }
  std::uint32_t watch(Vector2 g_per_nm) { return sut_.watch(g_per_nm, 0.0).value(); }

 private:
  FrameAnalysis analysis_;
  LatticeStage sut_;
  Frame frame_;
  std::uint64_t seq_ = 0;
};

const Spot* nearest(const Measurements& out, Vector2 g) {
  const Spot* best = nullptr;
  double distance = 0.02 * std::hypot(g.x, g.y);
  for (const Spot& spot : out.spots) {
    const double d = std::hypot(spot.g_per_nm.x - g.x, spot.g_per_nm.y - g.y);
    if (d < distance) best = &spot, distance = d;
  }
  return best;
}

// C and p of I0 (1 + sum C cos(2 pi g.r + p)), r from the frame's centre: sizes that are even, odd,
// cut to the analysis grid, binned. Noise-free, so the tolerance is the tapered window's leakage.
TEST(LatticeStage, MeasuresAmplitudeAndPhaseAboutTheFramesCentre) {
  for (int bin : {1, 2})
    for (const auto& [width, height] : {std::pair{256, 256}, {257, 255}, {301, 211}, {402, 310}}) {
      Chain sut(width, height, bin, {.pixel_size_nm = 0.02});
      Scene scene{.width = width, .height = height, .counts = 80.0};
      scene.lattice = test::layered_lattice();
      const Measurements out = sut(test::expect(scene));
      for (const Wave& wave : scene.lattice) {
        const Vector2 g{wave.f.x / 0.02, wave.f.y / 0.02};
        const bool is_right = g.x > 0.0;
        const Spot* spot = nearest(out, is_right ? g : Vector2{-g.x, -g.y});
        ASSERT_TRUE(spot) << width << " bin " << bin;
        EXPECT_NEAR(spot->d_nm, 1.0 / std::hypot(g.x, g.y),
                    7e-5 * spot->d_nm);  // three fringes in each other's tails
        EXPECT_NEAR(spot->amplitude, wave.contrast, 0.005 * wave.contrast)
            << width << " bin " << bin;
        const double phase = is_right ? wave.phase : -wave.phase;
        EXPECT_NEAR(std::remainder(spot->phase_rad - phase, 2 * kPi), 0.0, 0.01)
            << width << "x" << height << " bin " << bin;
      }
    }
}

TEST(LatticeStage, FollowsThePhaseOfAMovingLattice) {
  Chain sut(256, 256);
  test::ShotNoise noise(7);
  Scene scene{.counts = 1000.0};
  scene.lattice = {test::layered_lattice()[1]};
  const Wave& wave = scene.lattice[0];
  for (int frame = 0; frame < 6; ++frame) {
    const Vector2 shift{1.7 * frame, -0.9 * frame};
    const Measurements out = sut(noise(test::expect(scene, shift)));
    ASSERT_EQ(out.spots.size(), 1u);
    // Drift is not removed: moving right by s takes 2 pi g.s off the phase. Listed with g_x > 0.
    const double sign = wave.f.x > 0.0 ? 1.0 : -1.0;
    const double expected =
        sign * (wave.phase - 2 * kPi * (wave.f.x * shift.x + wave.f.y * shift.y));
    EXPECT_NEAR(std::remainder(out.spots[0].phase_rad - expected, 2 * kPi), 0.0, 0.01) << frame;
  }
}

TEST(LatticeStage, ReportsTheSameErrorsItMakes) {
  Chain sut(256, 256, 1, {.pixel_size_nm = 0.02});
  Scene scene{.counts = 10.0};
  scene.lattice = test::layered_lattice();
  test::ShotNoise noise(11);
  const auto expectation = test::expect(scene);
  test::Series z, amplitude;
  for (int frame = 0; frame < 150; ++frame) {
    const Measurements out = sut(noise(expectation));
    const Spot* spot = nearest(out, {scene.lattice[0].f.x / 0.02, scene.lattice[0].f.y / 0.02});
    ASSERT_TRUE(spot) << frame;
    z.add((spot->d_nm - 0.533) / spot->sigma_d_nm);
    amplitude.add(spot->amplitude);
  }
  std::printf("d of the planes at 10 e/px: z %.2f, mean %.2f\n", z.deviation(), z.mean());
  EXPECT_GT(z.deviation(), 0.8);
  EXPECT_LT(z.deviation(), 1.25);
  EXPECT_NEAR(z.mean(), 0.0, 0.35);  // four standard errors
  EXPECT_NEAR(amplitude.mean(), 0.2, 0.002);
}

// Bragg power over all structure, which is small against the noise of the whole band: only as far
// out as there are reflections is anything but noise added up.
TEST(LatticeStage, CrystallinityIsSteadyAtALowDose) {
  Chain sut(512, 512);
  Scene scene{.width = 512, .height = 512, .counts = 3.0};
  scene.lattice = test::layered_lattice();
  scene.film = std::make_shared<const test::Film>(512, 512, 3, 0.1);
  test::ShotNoise noise(5);
  const auto expectation = test::expect(scene);
  test::Series series;
  for (int frame = 0; frame < 60; ++frame) {
    const Measurements out = sut(noise(expectation));
    if (frame < 10) continue;
    ASSERT_TRUE(out.crystallinity) << frame;
    series.add(*out.crystallinity);
  }
  std::printf("crystallinity %.4f, deviation %.4f\n", series.mean(), series.deviation());
  // Contrasts 0.2, 0.1, 0.1 against a film of 0.1 rms, most of it within the reflections' reach.
  EXPECT_GT(series.mean(), 0.6);
  EXPECT_LT(series.mean(), 0.95);
  // Was 0.15 when the whole band was summed, 0.016 when the noise was of samples.
  EXPECT_LT(series.deviation(), 0.01);
}

TEST(LatticeStage, KeepsIdentityAndConfirmsAfterThreeFrames) {
  Chain sut(256, 256);
  Scene scene{.counts = 40.0};
  scene.lattice = test::layered_lattice();
  test::ShotNoise noise(13);
  std::vector<std::uint32_t> first;
  for (int frame = 0; frame < 12; ++frame) {
    const Measurements out = sut(noise(test::expect(scene, {0.4 * frame, 0.0})));
    ASSERT_EQ(out.spots.size(), 3u) << frame;
    for (std::size_t i = 0; i < 3; ++i) {
      const Spot& spot = out.spots[i];
      if (frame == 0) first.push_back(spot.id);
      EXPECT_EQ(spot.id, first[i]);
      EXPECT_EQ(spot.age_frames, static_cast<std::uint32_t>(frame));
      EXPECT_EQ(spot.is_confirmed, frame >= 2);
    }
  }
}

TEST(LatticeStage, ListsTheRightHandSpotOfAPairAtBirth) {
  test::ShotNoise noise(9);
  for (double angle : {0.3, 1.5, 1.6, 2.8, -0.4, -1.5}) {
    Chain sut(256, 256);
    Scene scene{.counts = 40.0};
    scene.lattice = {{{std::cos(angle) / 14.0, std::sin(angle) / 14.0}, 0.2, 0.3}};
    const Measurements out = sut(noise(test::expect(scene)));
    ASSERT_EQ(out.spots.size(), 1u) << angle;
    EXPECT_GT(out.spots[0].g_per_nm.x, 0.0) << angle;
  }
  Chain upright(256, 256);
  Scene rows{.counts = 40.0};
  rows.lattice = {{{0.0, -1.0 / 16.0}, 0.2, 0.3}};
  const Measurements out = upright(noise(test::expect(rows)));
  ASSERT_EQ(out.spots.size(), 1u);
  EXPECT_NEAR(out.spots[0].g_per_nm.x, 0.0, 1e-4);
}

TEST(LatticeStage, DropsASpotThatHasGoneAndKeepsOneThroughAGap) {
  Chain sut(256, 256);
  Scene scene{.counts = 40.0};
  scene.lattice = {test::layered_lattice()[0]};
  test::ShotNoise noise(17);
  for (int frame = 0; frame < 5; ++frame) (void)sut(noise(test::expect(scene)));
  for (int frame = 0; frame < 20; ++frame) sut.skip();  // lost frames are no evidence
  Measurements out = sut(noise(test::expect(scene)));
  ASSERT_EQ(out.spots.size(), 1u);
  EXPECT_EQ(out.spots[0].id, 1u);
  scene.lattice.clear();
  for (int frame = 0; frame < 8; ++frame) out = sut(noise(test::expect(scene)));
  EXPECT_TRUE(out.spots.empty());
  scene.lattice = {test::layered_lattice()[0]};
  out = sut(noise(test::expect(scene)));
  ASSERT_EQ(out.spots.size(), 1u);
  EXPECT_EQ(out.spots[0].id, 2u);
}

TEST(LatticeStage, CountsHarmonicsIntoTheirFundamental) {
  Chain sut(256, 256, 1, {.pixel_size_nm = 0.02});
  Scene scene{.counts = 4.0};
  const Wave base = test::layered_lattice()[0];
  scene.lattice = {
      base, {{2 * base.f.x, 2 * base.f.y}, 0.1, 0.9}, {{3 * base.f.x, 3 * base.f.y}, 0.1, 0.2}};
  Scene alone = scene;
  alone.lattice.resize(1);
  Chain single(256, 256, 1, {.pixel_size_nm = 0.02});
  test::ShotNoise noise(19), again(19);
  test::Series z, joined, plain;
  const Vector2 g{base.f.x / 0.02, base.f.y / 0.02};
  for (int frame = 0; frame < 120; ++frame) {
    const Measurements out = sut(noise(test::expect(scene)));
    const Spot* spot = nearest(out, g);
    ASSERT_TRUE(spot);
    joined.add(spot->d_nm);
    z.add((spot->d_nm - 0.533) / spot->sigma_d_nm);
    plain.add(nearest(single(again(test::expect(alone))), g)->d_nm);
    int second = 0;
    for (const Spot& other : out.spots) second += other.harmonic_order == 2 ? 1 : 0;
    EXPECT_EQ(second, 1) << frame;
  }
  std::printf("d %.4f %% alone, %.4f %% with harmonics, z %.2f\n", 100 * plain.deviation() / 0.533,
              100 * joined.deviation() / 0.533, z.deviation());
  // Half the contrast at two and three times the frequency: 1 + 1 + 2.25 times the information.
  EXPECT_LT(joined.deviation(), 0.65 * plain.deviation());
  EXPECT_GT(z.deviation(), 0.8);
  EXPECT_LT(z.deviation(), 1.25);
}

// (2 0) over (1 0), as (006) over (003): the second of half the amplitude.
TEST(LatticeStage, GivesTheRatioOfARowsAmplitudes) {
  Chain sut(256, 256, 1, {.pixel_size_nm = 0.02});
  Scene scene{.counts = 10.0};
  const Wave base = test::layered_lattice()[0];
  scene.lattice = {base, {{2 * base.f.x, 2 * base.f.y}, 0.1, 0.9}};
  const auto expectation = test::expect(scene);
  test::ShotNoise noise(29);
  test::Series ratio, z;
  for (int frame = 0; frame < 150; ++frame) {
    const Measurements out = sut(noise(expectation));
    for (const Spot& spot : out.spots) {
      if (spot.harmonic_order != 2) {
        EXPECT_TRUE(std::isnan(spot.harmonic_ratio));
        continue;
      }
      EXPECT_EQ(spot.harmonic_of, 1u);
      ratio.add(spot.harmonic_ratio);
      z.add((spot.harmonic_ratio - 0.5) / spot.sigma_harmonic_ratio);
    }
  }
  EXPECT_EQ(ratio.count, 150);
  EXPECT_NEAR(ratio.mean(), 0.5, 0.003);
  EXPECT_GT(z.deviation(), 0.8);
  EXPECT_LT(z.deviation(), 1.25);
}

// The reduced cell of the layered crystal's three rows, by the errors it states.
TEST(LatticeStage, MeasuresTheCell) {
  Chain sut(256, 256, 1, {.pixel_size_nm = 0.02});
  Scene scene{.counts = 20.0};
  scene.lattice = test::layered_lattice();
  // Two rows span the lattice; the third is their sum.
  const Vector2 q = scene.lattice[0].f, r = scene.lattice[1].f;
  scene.lattice[2].f = {q.x + r.x, q.y + r.y};
  signal::CellChoice choice;
  const signal::ReducedCell truth = signal::reduced_cell({q, r, {}}, &choice);
  const auto expectation = test::expect(scene);
  test::ShotNoise noise(31);
  test::Series a, b, gamma, joint, alone, track;
  for (int frame = 0; frame < 150; ++frame) {
    const Measurements out = sut(noise(expectation));
    const Lattice* lattice = out.main_lattice();
    ASSERT_TRUE(lattice) << frame;
    EXPECT_EQ(lattice->id, 1u);
    EXPECT_EQ(lattice->spots, 3u);
    EXPECT_EQ(lattice->is_confirmed, frame >= 2);
    a.add((lattice->a_nm - 0.02 * truth.a) / lattice->sigma_a_nm);
    b.add((lattice->b_nm - 0.02 * truth.b) / lattice->sigma_b_nm);
    gamma.add((lattice->gamma_deg - truth.gamma_deg) / lattice->sigma_gamma_deg);
    // The faint row, which the others fix as well as it does itself.
    const double sign = q.x + r.x < 0.0 ? -1.0 : 1.0;
    const Spot* spot = nearest(out, {sign * (q.x + r.x) / 0.02, sign * (q.y + r.y) / 0.02});
    ASSERT_TRUE(spot);
    EXPECT_EQ(spot->lattice, 1u);
    joint.add(spot->d_lattice_nm);
    alone.add(spot->d_nm);
    if (frame >= 50) track.add(spot->d_track_nm);
  }
  std::printf("cell: z %.2f %.2f %.2f; d alone %.2e, by the lattice %.2e, filtered %.2e nm\n",
              a.rms(), b.rms(), gamma.rms(), alone.deviation(), joint.deviation(),
              track.deviation());
  for (const test::Series* z : {&a, &b, &gamma}) {
    EXPECT_GT(z->rms(), 0.8);
    EXPECT_LT(z->rms(), 1.25);
  }
  EXPECT_LT(joint.deviation(), 0.9 * alone.deviation());
  EXPECT_LT(track.deviation(), 0.5 * joint.deviation());
}

TEST(LatticeStage, HasNoLatticeOnOneRow) {
  Chain sut(256, 256, 1, {.pixel_size_nm = 0.02});
  Scene scene{.counts = 40.0};
  const Wave base = test::layered_lattice()[0];
  scene.lattice = {base, {{2 * base.f.x, 2 * base.f.y}, 0.1, 0.9}};
  test::ShotNoise noise(37);
  for (int frame = 0; frame < 4; ++frame) {
    const Measurements out = sut(noise(test::expect(scene)));
    EXPECT_EQ(out.spots.size(), 2u);
    EXPECT_FALSE(out.main_lattice());
    EXPECT_TRUE(out.superlattice.empty());
  }
}

// A wave at a quarter, which nobody looks for unless told to.
TEST(LatticeStage, LooksWhereItIsTold) {
  Chain sut(256, 256, 1, {.pixel_size_nm = 0.02, .settings = {{{0.25, 0.0}, {0.0, 0.25}}}});
  Scene scene{.counts = 40.0};
  for (double turn : {0.2, 0.2 + kPi / 3, 0.2 + 2 * kPi / 3})
    scene.lattice.push_back({{std::cos(turn) / 6.0, std::sin(turn) / 6.0}, 0.1, 0.7});
  test::ShotNoise noise(43);
  Measurements out = sut(noise(test::expect(scene)));
  ASSERT_EQ(out.superlattice.size(), 2u);
  ASSERT_TRUE(out.main_lattice());
  const Vector2 g1 = out.main_lattice()->g1_per_nm, g2 = out.main_lattice()->g2_per_nm;
  EXPECT_NEAR(out.superlattice[0].g_per_nm.x, g1.x / 4, 1e-9);
  EXPECT_NEAR(out.superlattice[1].g_per_nm.y, g2.y / 4, 1e-9);
  EXPECT_LT(out.superlattice[0].snr, 4.0);
  scene.lattice.push_back({{0.02 * g1.x / 4, 0.02 * g1.y / 4}, 0.01, 0.3});
  out = sut(noise(test::expect(scene)));
  ASSERT_EQ(out.superlattice.size(), 2u);
  EXPECT_GT(out.superlattice[0].snr, 6.0);
  EXPECT_NEAR(out.superlattice[0].amplitude, 0.01, 4.0 * out.superlattice[0].sigma_amplitude);
  EXPECT_LT(out.superlattice[1].snr, 4.0);
}

// Contrast 0.004 is far below detection; at a place that is known it is plain, and what it says of
// noise is what noise does.
TEST(LatticeStage, SeesASuperlatticeTooFaintToBeFound) {
  for (double contrast : {0.0, 0.004}) {
    Chain sut(256, 256, 1, {.pixel_size_nm = 0.02});
    Scene scene{.counts = 40.0};
    // A honeycomb: three rows 60 degrees apart.
    for (double turn : {0.2, 0.2 + kPi / 3, 0.2 + 2 * kPi / 3})
      scene.lattice.push_back({{std::cos(turn) / 9.0, std::sin(turn) / 9.0}, 0.1, 0.7});
    const double corner = 0.2 + kPi / 6, length = 1.0 / (9.0 * std::sqrt(3.0));
    const Vector2 place{length * std::cos(corner), length * std::sin(corner)};
    if (contrast > 0.0) scene.lattice.push_back({place, contrast, 0.3});
    const auto expectation = test::expect(scene);
    test::ShotNoise noise(41);
    test::Series snr, amplitude;
    int alarms = 0, looked = 0, found = 0;
    for (int frame = 0; frame < 100; ++frame) {
      const Measurements out = sut(noise(expectation));
      found += out.spots.size() > 3u ? 1 : 0;
      ASSERT_EQ(out.superlattice.size(), 6u) << frame;
      for (const SuperlatticeSpot& spot : out.superlattice) {
        const Vector2 f{0.02 * spot.g_per_nm.x, 0.02 * spot.g_per_nm.y};
        const double here = std::min(std::hypot(f.x - place.x, f.y - place.y),
                                     std::hypot(f.x + place.x, f.y + place.y));
        if (contrast > 0.0 && here < 0.002) {
          snr.add(spot.snr);
          amplitude.add(spot.amplitude);
          continue;
        }
        ++looked;
        alarms += spot.false_alarm < 0.1 ? 1 : 0;
      }
    }
    std::printf("superlattice of %.3f: snr %.2f; %d of %d other places below 0.1\n", contrast,
                snr.count ? snr.mean() : 0.0, alarms, looked);
    EXPECT_LE(found,
              2);  // detection does not see it; a false alarm in a thousand frames is allowed
    // A tenth of what is only noise; its deviation is 1.3 %.
    EXPECT_NEAR(static_cast<double>(alarms) / looked, 0.1, 0.06);
    if (contrast == 0.0) continue;
    EXPECT_EQ(snr.count, 100);
    EXPECT_GT(snr.mean(), 2.5);
    EXPECT_NEAR(amplitude.mean(), contrast, 0.15 * contrast);
  }
}

// Bars of light whose streak runs along `direction`: each has its own width, softness and place.
std::vector<test::Bar> bars_along(double direction) {
  std::vector<test::Bar> out;
  for (double width = 40.0; width < 120.0; width += 9.7)
    for (double position = -60.0; position < 61.0; position += 23.9)
      for (double edge : {0.7, 2.0, 4.0})
        out.push_back({.direction = direction, .position = position, .width = width, .edge = edge});
  return out;
}

// Nothing is at the place but a straight edge's streak, up to a hundred times the noise: it alarms
// as seldom as false_alarm says. Was 98 % below 0.01 when only noise was counted.
TEST(LatticeStage, TakesNoStreakForASuperlattice) {
  Scene scene{.counts = 40.0};
  for (double turn : {0.2, 0.2 + kPi / 3, 0.2 + 2 * kPi / 3})
    scene.lattice.push_back({{std::cos(turn) / 9.0, std::sin(turn) / 9.0}, 0.1, 0.7});
  const double corner = 0.2 + kPi / 6, length = 1.0 / (9.0 * std::sqrt(3.0));
  const Vector2 place{length * std::cos(corner), length * std::sin(corner)};
  const std::vector<float> expectation = test::expect(scene);
  test::ShotNoise noise(47);
  test::Series snr;
  int below_a_tenth = 0, below_a_hundredth = 0, looked = 0;
  for (const test::Bar& bar : bars_along(corner)) {
    Chain sut(256, 256, 1, {.pixel_size_nm = 0.02});
    const Measurements out = sut(noise(test::under_light(expectation, 256, bar, 20.0)));
    for (const SuperlatticeSpot& spot : out.superlattice) {
      const Vector2 f{0.02 * spot.g_per_nm.x, 0.02 * spot.g_per_nm.y};
      if (std::min(std::hypot(f.x - place.x, f.y - place.y),
                   std::hypot(f.x + place.x, f.y + place.y)) > 0.002)
        continue;
      ++looked;
      snr.add(spot.snr);
      below_a_tenth += spot.false_alarm < 0.1 ? 1 : 0;
      below_a_hundredth += spot.false_alarm < 0.01 ? 1 : 0;
    }
  }
  std::printf("on a streak: snr %.2f; %d below 0.1 and %d below 0.01 of %d\n", snr.mean(),
              below_a_tenth, below_a_hundredth, looked);
  EXPECT_GT(looked, 30);
  EXPECT_LE(below_a_tenth, looked / 5);
  EXPECT_LE(below_a_hundredth, looked / 20);
}

// The streak adds to a spot's amplitude with any phase: its error is stated with that.
TEST(LatticeStage, StatesTheErrorOfAnAmplitudeUnderAStreak) {
  const double turn = 0.35, f = 30.4 / 256;
  Scene scene{.counts = 40.0};
  const Vector2 q{f * std::cos(turn), f * std::sin(turn)};
  scene.lattice = {{q, 0.2, 0.4}, {{2 * q.x, 2 * q.y}, 0.1, 1.1}};
  const std::vector<float> expectation = test::expect(scene);
  test::ShotNoise noise(53);
  test::Series z, of_ratio, sigma;
  for (const test::Bar& bar : bars_along(turn)) {
    Chain sut(256, 256, 1, {.pixel_size_nm = 0.02});
    const std::vector<float> image = test::under_light(expectation, 256, bar, 20.0);
    double mean = 0.0;
    for (float pixel : image) mean += static_cast<double>(pixel);
    mean /= static_cast<double>(image.size());
    const Measurements out = sut(noise(image));
    const Spot* spot = nearest(out, {q.x / 0.02, q.y / 0.02});
    ASSERT_TRUE(spot);
    const double expected = 0.2 * 40.0 / mean;
    z.add((spot->amplitude - expected) / spot->sigma_amplitude);
    sigma.add(spot->sigma_amplitude / expected);
    for (const Spot& order : out.spots)
      if (order.harmonic_order == 2)
        of_ratio.add((order.harmonic_ratio - 0.5) / order.sigma_harmonic_ratio);
  }
  std::printf("amplitude under a streak: rms z %.2f, sigma %.4f; of the ratio %.2f in %d\n",
              std::hypot(z.mean(), z.deviation()), sigma.mean(),
              std::hypot(of_ratio.mean(), of_ratio.deviation()), static_cast<int>(of_ratio.count));
  EXPECT_GT(of_ratio.count, 20);
  EXPECT_LT(std::hypot(z.mean(), z.deviation()), 1.4);
  EXPECT_GT(std::hypot(z.mean(), z.deviation()), 0.4);
  EXPECT_LT(std::hypot(of_ratio.mean(), of_ratio.deviation()), 1.4);
}

// A watched place that shows nothing but a streak says so.
TEST(LatticeStage, GivesAWatchedSpotTheNoiseOfItsStreak) {
  const double turn = 0.35, f = 30.4 / 256;
  const std::vector<float> empty(256 * 256, 40.0f);
  test::ShotNoise noise(59);
  double squares = 0.0;
  int looked = 0, followed = 0;
  for (const test::Bar& bar : bars_along(turn)) {
    Chain sut(256, 256, 1, {.pixel_size_nm = 0.02});
    const std::uint32_t id = sut.watch({f * std::cos(turn) / 0.02, f * std::sin(turn) / 0.02});
    const Measurements out = sut(noise(test::under_light(empty, 256, bar, 20.0)));
    for (const Spot& spot : out.spots) {
      if (spot.id != id) continue;
      squares += spot.snr * spot.snr;
      ++looked;
      followed += spot.snr > 4.0 ? 1 : 0;
    }
  }
  std::printf("watched on a streak: snr %.2f rms, %d of %d above 4\n", std::sqrt(squares / looked),
              followed, looked);
  EXPECT_GT(looked, 30);
  EXPECT_LT(std::sqrt(squares / looked), 2.0);
  EXPECT_LE(followed, looked / 20);
}

// A watched place without a spot changes nothing in what is measured elsewhere.
TEST(LatticeStage, AnEmptyWatchedPlaceLeavesOtherSpotsAlone) {
  Chain with(256, 256, 1, {.pixel_size_nm = 0.02}), without(256, 256, 1, {.pixel_size_nm = 0.02});
  Scene scene{.counts = 10.0};
  const Wave base = test::layered_lattice()[0];
  scene.lattice = {base, {{2 * base.f.x, 2 * base.f.y}, 0.1, 0.9}};
  const auto expectation = test::expect(scene);
  test::ShotNoise noise(61);
  std::uint32_t watched = 0;
  for (int frame = 0; frame < 12; ++frame) {
    const std::vector<float> image = noise(expectation);
    if (frame == 4) watched = with.watch({-8.0, 9.0});
    const Measurements a = with(image), b = without(image);
    EXPECT_EQ(a.spots.size(), b.spots.size() + (frame >= 4 ? 1u : 0u)) << frame;
    for (const Spot& other : b.spots)
      for (const Spot& spot : a.spots)
        if (spot.id == other.id && spot.id != watched) {
          EXPECT_EQ(spot.d_nm, other.d_nm) << frame << ", spot " << spot.id;
          EXPECT_EQ(spot.sigma_d_nm, other.sigma_d_nm) << frame << ", spot " << spot.id;
        }
  }
}

// Two phases beside each other whose (00l) are seven bins apart, the smaller one's 0.4 of the
// other's amplitude. Its (002) took the other's for itself: off by 6 of its sigma, and lost to its
// row.
TEST(LatticeStage, MasksAStrongNeighbourSevenBinsOff) {
  constexpr int kSize = 512;
  const double turn = 28.0 / 180.0 * kPi;
  const auto row = [&](double fringes, double contrast) {
    const Vector2 q{fringes / kSize * std::cos(turn), fringes / kSize * std::sin(turn)};
    return std::vector<Wave>{{q, contrast, 0.3}, {{2 * q.x, 2 * q.y}, 0.5 * contrast, 0.8}};
  };
  Scene large{.width = kSize, .height = kSize, .counts = 80.0}, small = large;
  large.lattice = row(27.65, 0.08);
  small.lattice = row(34.61, 0.032);
  std::vector<float> image = test::expect(large);
  const std::vector<float> beyond = test::expect(small);
  for (std::size_t y = 0; y < kSize; ++y)
    for (std::size_t x = 0; x < kSize; ++x) {
      // A front 20 px wide.
      const double part = 0.5 + 0.5 * std::tanh((static_cast<double>(x) - 340.0) / 20.0);
      float& pixel = image[y * kSize + x];
      pixel += static_cast<float>(part) * (beyond[y * kSize + x] - pixel);
    }
  Chain sut(kSize, kSize, 1, {.pixel_size_nm = 0.02});
  test::ShotNoise noise(67);
  test::Series z, offset;
  int doubted = 0, overlapped = 0;
  const double d_nm = 0.02 * kSize / 34.61;
  for (int frame = 0; frame < 60; ++frame) {
    const Measurements out = sut(noise(image));
    if (frame < 10) continue;
    const Spot* spot = nearest(out, {small.lattice[0].f.x / 0.02, small.lattice[0].f.y / 0.02});
    ASSERT_TRUE(spot) << frame;
    z.add((spot->d_nm - d_nm) / spot->sigma_d_nm);
    offset.add(spot->d_nm / d_nm - 1.0);
    doubted += spot->sigma_d_sys_nm > 1.5e-3 * d_nm ? 1 : 0;
    overlapped += spot->is_overlapped ? 1 : 0;
  }
  std::printf("beside a strong neighbour: offset %.5f, z %.2f; doubted in %d, overlapped in %d\n",
              offset.mean(), z.deviation(), doubted, overlapped);
  EXPECT_LE(overlapped, 2);
  EXPECT_LE(doubted, 3);  // its outline is a sliver where noise lets the neighbour in
  EXPECT_LT(std::abs(offset.mean()), 8e-4);
  EXPECT_GT(z.deviation(), 0.7);
  EXPECT_LT(z.deviation(), 1.3);
}

// A crystal in two parts of 0.6 % different spacing shows one spot: no one number is its spacing.
TEST(LatticeStage, FlagsASpotOfTwoCrystals) {
  Chain sut(256, 256, 1, {.pixel_size_nm = 0.02}), plain(256, 256, 1, {.pixel_size_nm = 0.02});
  test::ShotNoise noise(43);
  Scene one{.counts = 40.0}, other{.counts = 40.0};
  one.lattice = {{{1.0 / 14.0, 0.0}, 0.2, 0.3}};
  other.lattice = {{{1.0 / 13.0, 0.0}, 0.2, 0.3}};  // 1.4 bins further
  const auto left = test::expect(one), right = test::expect(other);
  std::vector<float> both = left;
  for (std::size_t y = 0; y < 256; ++y)
    for (std::size_t x = 128; x < 256; ++x) both[y * 256 + x] = right[y * 256 + x];
  Measurements out, of_one;
  for (int frame = 0; frame < 30; ++frame) {
    out = sut(noise(both));
    of_one = plain(noise(left));
  }
  ASSERT_EQ(of_one.spots.size(), 1u);
  EXPECT_FALSE(of_one.spots[0].is_overlapped);
  EXPECT_LT(of_one.spots[0].sigma_d_sys_nm, 2.0 * of_one.spots[0].sigma_d_nm);
  ASSERT_GE(out.spots.size(), 1u);
  for (const Spot& spot : out.spots) {
    const double off = std::min(std::abs(spot.d_nm - 0.28), std::abs(spot.d_nm - 0.26));
    std::printf("two crystals: d %.5f +- %.5f sys %.5f nm, %s\n", spot.d_nm, spot.sigma_d_nm,
                spot.sigma_d_sys_nm, spot.is_overlapped ? "overlapped" : "resolved");
    EXPECT_LT(off, 3.0 * std::hypot(spot.sigma_d_nm, spot.sigma_d_sys_nm));
    EXPECT_TRUE(spot.is_overlapped || off < 4.0 * spot.sigma_d_nm);
  }
}

// One d, two directions a bin apart: nothing along g tells them, and a lattice must not take it.
TEST(LatticeStage, FlagsPlanesThatAreTurnedAgainstEachOther) {
  Chain sut(256, 256, 1, {.pixel_size_nm = 0.02});
  test::ShotNoise noise(45);
  Scene one{.counts = 40.0}, other{.counts = 40.0};
  one.lattice = {{{1.0 / 14.0, -0.5 / 256}, 0.2, 0.3}};
  other.lattice = {{{1.0 / 14.0, 0.5 / 256}, 0.2, 0.3}};
  std::vector<float> both = test::expect(one);
  const auto right = test::expect(other);
  for (std::size_t y = 0; y < 256; ++y)
    for (std::size_t x = 128; x < 256; ++x) both[y * 256 + x] = right[y * 256 + x];
  Measurements out;
  for (int frame = 0; frame < 20; ++frame) out = sut(noise(both));
  ASSERT_EQ(out.spots.size(), 1u);
  EXPECT_TRUE(out.spots[0].is_overlapped);
  EXPECT_LT(std::abs(out.spots[0].d_nm - 0.28),
            4.0 * std::hypot(out.spots[0].sigma_d_nm, out.spots[0].sigma_d_sys_nm));
}

// A crystal on the right whose one spot is at a place of the left one's lattice.
TEST(LatticeStage, KeepsAnotherCrystalsSpotOutOfALattice) {
  Chain sut(256, 256, 1, {.pixel_size_nm = 0.02});
  test::ShotNoise noise(46);
  const Vector2 a{20.3 / 256, 8.2 / 256}, b{-9.4 / 256, 22.1 / 256};
  const Vector2 far{2 * a.x + b.x, 2 * a.y + b.y};
  Scene left{.counts = 40.0}, right{.counts = 40.0};
  left.lattice = {{a, 0.2, 0.3}, {b, 0.15, 1.0}, {{a.x + b.x, a.y + b.y}, 0.1, 2.0}};
  right.lattice = {{far, 0.1, 0.5}};
  std::vector<float> both = test::expect(left);
  const auto other = test::expect(right);
  for (std::size_t y = 0; y < 256; ++y)
    for (std::size_t x = 128; x < 256; ++x) both[y * 256 + x] = other[y * 256 + x];
  test::Series z;
  for (int frame = 0; frame < 40; ++frame) {
    const Measurements out = sut(noise(both));
    const Spot* spot = nearest(out, {far.x / 0.02, far.y / 0.02});
    ASSERT_TRUE(spot) << frame;
    if (frame < 4) continue;
    EXPECT_EQ(spot->lattice, 0u) << frame;
    z.add((spot->d_nm - 0.02 / std::hypot(far.x, far.y)) / spot->sigma_d_nm);
    ASSERT_TRUE(out.main_lattice());
    EXPECT_EQ(out.main_lattice()->spots, 3u) << frame;
  }
  EXPECT_LT(z.rms(), 1.5);
}

// Waves of one lattice, and of the same one stretched along x by `stretch`, in bins of 512.
std::vector<Wave> stretched_lattice(double stretch) {
  std::vector<Wave> out;
  for (const auto& [x, y, contrast] : {std::tuple{40.0, 0.0, 0.2},
                                       {80.0, 0.0, 0.12},
                                       {120.0, 0.0, 0.08},
                                       {20.0, 100.0, 0.1},
                                       {100.0, 100.0, 0.1},
                                       {140.0, 100.0, 0.08},
                                       {100.0, -100.0, 0.08}})
    out.push_back({{stretch * x / 512, y / 512}, contrast, 0.01 * x});
  return out;
}

// Two domains beside each other, 5 % apart along x: their strongest reflections are 2 bins apart
// and one peak, others less. Each is measured in its own domain, by the places of its lattice; the
// peak's power is counted once, before and after.
TEST(LatticeStage, PartsASpotThatTwoLatticesShare) {
  Chain sut(512, 512, 1, {.pixel_size_nm = 0.02});
  test::ShotNoise noise(48);
  Scene left{.width = 512, .height = 512, .counts = 10.0}, right = left;
  left.lattice = stretched_lattice(1.0);
  right.lattice = stretched_lattice(1.05);
  left.film = right.film = std::make_shared<const test::Film>(512, 512, 3, 0.1);
  std::vector<float> both = test::expect(left);
  const auto other = test::expect(right);
  for (std::size_t y = 0; y < 512; ++y)
    for (std::size_t x = 270; x < 512; ++x) both[y * 512 + x] = other[y * 512 + x];
  test::Series z, shared, parted;
  Measurements out;
  for (int frame = 0; frame < 40; ++frame) {
    out = sut(noise(both));
    ASSERT_TRUE(out.crystallinity) << frame;
    (frame < 3 ? shared : parted).add(*out.crystallinity);
    if (frame < 10) continue;
    for (const double bins : {40.0, 42.0}) {
      const Vector2 g{bins / 512 / 0.02, 0.0};
      const Spot* spot = nearest(out, g);
      ASSERT_TRUE(spot) << frame;
      EXPECT_FALSE(spot->is_overlapped) << frame;
      EXPECT_NEAR(spot->amplitude, 0.1, 0.02) << frame;  // in half of the field
      z.add((spot->d_nm - 1.0 / g.x) / std::hypot(spot->sigma_d_nm, spot->sigma_d_sys_nm));
    }
    for (const double bins : {20.0, 21.0}) {
      const Vector2 g{bins / 512 / 0.02, 100.0 / 512 / 0.02};
      int near = 0;
      for (const Spot& spot : out.spots)
        near += std::hypot(spot.g_per_nm.x - g.x, spot.g_per_nm.y - g.y) < 0.2 / 512 / 0.02;
      EXPECT_EQ(near, 1) << frame;
    }
  }
  ASSERT_EQ(out.lattices.size(), 2u);
  for (const Lattice& lattice : out.lattices) EXPECT_EQ(lattice.spots, 7u);
  std::printf("parted spots: z %.2f, mean %.2f; crystallinity %.3f, was %.3f\n", z.rms(), z.mean(),
              parted.mean(), shared.mean());
  EXPECT_LT(z.rms(), 1.25);
  EXPECT_NEAR(parted.mean(), shared.mean(), 0.03);
}

// The scene is rendered line by line while the specimen moves: each row of the image is a row of
// the specimen as far on as it has come.
TEST(LatticeStage, CorrectsAScanByTheDriftOfTheFrames) {
  constexpr double kLine_s = 1e-3, kPeriod_s = 0.3;
  const Vector2 velocity{8.0, -14.0};  // px/s: 0.8 % and 1.4 % over a line
  LatticeConfig config{.pixel_size_nm = 0.02};
  config.scan_line_time_s = kLine_s;
  config.frame_period_s = kPeriod_s;
  Chain sut(256, 256, 1, config), blind(256, 256, 1, {.pixel_size_nm = 0.02});
  const Wave wave = test::layered_lattice()[1];
  Measurements out, uncorrected;
  test::ShotNoise noise(47);
  for (int frame = 0; frame < 5; ++frame) {
    std::vector<float> image(256 * 256);
    for (std::size_t y = 0; y < 256; ++y)
      for (std::size_t x = 0; x < 256; ++x) {
        const double since = frame * kPeriod_s + kLine_s * static_cast<double>(y);
        const double u = static_cast<double>(x) - velocity.x * since;
        const double v = static_cast<double>(y) - velocity.y * since;
        image[y * 256 + x] = static_cast<float>(
            1000.0 * (1.0 + 0.2 * std::cos(2 * kPi * (wave.f.x * u + wave.f.y * v))));
      }
    DriftMeasurement drift;
    drift.drift_px = {velocity.x * kPeriod_s * frame, velocity.y * kPeriod_s * frame};
    drift.sigma_drift_px = {0.01, 0.01};
    drift.state = DriftState::locked;
    image = noise(image);
    out = sut(image, drift);
    uncorrected = blind(image, drift);
    ASSERT_EQ(out.spots.size(), 1u);
    ASSERT_TRUE(out.scan_affine);
    EXPECT_FALSE(uncorrected.scan_affine);
  }
  const double truth = 0.02 * 12.25;
  EXPECT_GT(std::abs(uncorrected.spots[0].d_nm / truth - 1.0), 2e-3);
  EXPECT_NEAR(out.spots[0].d_nm, truth, 4.0 * out.spots[0].sigma_d_nm);
  EXPECT_LT(out.spots[0].sigma_d_nm, 1e-4 * truth);
  EXPECT_GT(out.spots[0].sigma_d_sys_nm, 0.0);
  EXPECT_NEAR(out.scan_affine->yy, 1.0 / (1.0 + 0.014), 1e-6);
}

TEST(LatticeStage, MeasuresNothingInFramesThatAreNotGood) {
  FrameAnalysis analysis(256, 256);
  LatticeStage sut(analysis.fft(), analysis.geometry(), {});
  Scene scene{.counts = 40.0};
  scene.lattice = test::layered_lattice();
  Prepared bad;
  bad.spectrum = signal::Spectrum(analysis.grid().spectrum_size());
  bad.quality = FrameQuality::saturated;
  Measurements out;
  sut.process(Frame{}, bad, out);
  EXPECT_TRUE(out.spots.empty());
  EXPECT_FALSE(out.crystallinity.has_value());
}

TEST(LatticeStage, SeesTheCrystalFade) {
  Chain sut(256, 256);
  test::ShotNoise noise(23);
  double last = 1.1;
  for (double contrast : {1.0, 0.6, 0.3, 0.1}) {
    Scene scene{.counts = 40.0};
    scene.lattice = test::layered_lattice();
    for (Wave& wave : scene.lattice) wave.contrast *= contrast;
    scene.film = std::make_shared<test::Film>(256, 256, 5, 0.05);
    const Measurements out = sut(noise(test::expect(scene)));
    ASSERT_TRUE(out.crystallinity.has_value());
    EXPECT_LT(*out.crystallinity, last);
    last = *out.crystallinity;
  }
}

}  // namespace
}  // namespace latticed
