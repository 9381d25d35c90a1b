// SPDX-License-Identifier: GPL-3.0-or-later
#include "sim/bound/bounds.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/sim/support/build_scenario.hpp"

namespace latticed::sim {
namespace {

constexpr double kPi = 3.14159265358979323846;
constexpr double kContrast = 0.04;  // closed forms hold up to its square
constexpr double kSpacingNm = 0.4;
constexpr double kDose = 10.0;

/// A crystal that fills the field, without film and without MTF: what the closed forms are for.
Scenario bare_lattice(int size = 128) {
  Scenario scenario = test::still_scenario(size);
  scenario.specimen.is_particle = false;
  scenario.specimen.edges.clear();
  DetectorModel& detector = scenario.detectors.front();
  detector.film_contrast = 0.0;
  detector.film_level = 0.0;
  detector.particle_level = 0.0;
  detector.mtf_at_nyquist = 1.0;
  detector.dose_e_per_px = kDose;
  detector.gain_adu_per_e = 1000.0;  // no rounding to speak of
  return scenario;
}

PlaneWave wave(Vector g_in_spacings, double h, double l, double amplitude = kContrast) {
  return {(1.0 / kSpacingNm) * g_in_spacings, 0.123 + 0.1 * h, amplitude, h, l};
}

SpecimenState showing(std::vector<PlaneWave> waves) {
  SpecimenState state;
  Domain domain;
  domain.name = domain.phase = "P2";
  domain.waves = std::move(waves);
  state.domains.push_back(std::move(domain));
  return state;
}

FrameBounds bounds_of(const Scenario& scenario, const SpecimenState& state) {
  Renderer renderer(scenario, scenario.detectors.front(), 1);
  return Bounds(scenario.detectors.front(), renderer).of(state);
}

double electrons(const Scenario& scenario) {
  const DetectorModel& detector = scenario.detectors.front();
  return detector.dose_e_per_px * detector.width * detector.height;
}

/// algorithms.md A.1: one plane set along its normal, d / (pi C sqrt(2 N_e)).
TEST(Bounds, OfDriftIsTheClosedFormOfOnePlaneSetAnAxis) {
  const Scenario scenario = bare_lattice();
  const auto sut = bounds_of(scenario, showing({wave({1, 0}, 1, 0), wave({0, 1}, 0, 1)}));
  const double expected_px =
      kSpacingNm / 0.04 / (kPi * kContrast * std::sqrt(2.0 * electrons(scenario)));
  ASSERT_TRUE(sut.drift_px);
  EXPECT_NEAR(sut.drift_px->x / expected_px, 1.0, 0.01);
  EXPECT_NEAR(sut.drift_px->y / expected_px, 1.0, 0.01);
}

TEST(Bounds, OfDriftIsNoneWhereLinesHideOneDirection) {
  EXPECT_FALSE(bounds_of(bare_lattice(), showing({wave({1, 0}, 1, 0)})).drift_px);
}

TEST(Bounds, GrowsWithTheReadNoise) {
  Scenario scenario = bare_lattice();
  const SpecimenState state = showing({wave({1, 0}, 1, 0), wave({0, 1}, 0, 1)});
  const FrameBounds quiet = bounds_of(scenario, state);
  DetectorModel& detector = scenario.detectors.front();
  detector.read_noise_adu = detector.gain_adu_per_e * std::sqrt(kDose);  // doubles the variance
  const FrameBounds noisy = bounds_of(scenario, state);
  EXPECT_NEAR(noisy.drift_px->x / quiet.drift_px->x, std::sqrt(2.0), 0.01);
  EXPECT_NEAR(*noisy.waves[0][0].d_nm / *quiet.waves[0][0].d_nm, std::sqrt(2.0), 0.01);
}

/// algorithms.md A.2: sigma_d / d = (sqrt 6 / pi) (d / L) / (C sqrt(N_e)).
double closed_form_d_nm(const Scenario& scenario, double contrast) {
  const double field_nm = 0.04 * scenario.detectors.front().width;
  return kSpacingNm * (std::sqrt(6.0) / kPi) * (kSpacingNm / field_nm) /
         (contrast * std::sqrt(electrons(scenario)));
}

TEST(Bounds, OfSpacingIsTheClosedFormOfOnePlaneSet) {
  const Scenario scenario = bare_lattice();
  const auto sut = bounds_of(scenario, showing({wave({0.6, 0.8}, 1, 0)}));
  ASSERT_TRUE(sut.waves[0][0].d_nm);
  EXPECT_NEAR(*sut.waves[0][0].d_nm / closed_form_d_nm(scenario, kContrast), 1.0, 0.02);
  EXPECT_FALSE(sut.waves[0][0].d_lattice_nm) << "one plane set is no lattice";
}

TEST(Bounds, HarmonicsShareOneVectorWeightedByOrderAndContrast) {
  const Scenario scenario = bare_lattice();
  const auto sut =
      bounds_of(scenario, showing({wave({0.6, 0.8}, 0, 2), wave({1.2, 1.6}, 0, 4, 0.03)}));
  const double joint = std::hypot(kContrast, 2.0 * 0.03);
  EXPECT_NEAR(*sut.waves[0][0].d_nm / closed_form_d_nm(scenario, joint), 1.0, 0.02);
  EXPECT_NEAR(*sut.waves[0][1].d_nm / *sut.waves[0][0].d_nm, 0.5, 1e-9) << "the same q";
}

/// Three equal waves A, B, A + B: least squares of two vectors leaves 2/3 of each one's variance.
/// Whole periods in the field, and weak ones: the noise follows the picture, where the third wave
/// ties the others together.
TEST(Bounds, ALatticeSharesTwoVectorsAmongAllItsWaves) {
  constexpr double kWeak = 0.1 * kContrast;
  const auto sut = bounds_of(
      bare_lattice(200),
      showing({wave({1, 0}, 1, 0, kWeak), wave({0, 1}, 0, 1, kWeak), wave({1, 1}, 1, 1, kWeak)}));
  for (const WaveBound& bound : sut.waves[0]) {
    ASSERT_TRUE(bound.d_nm && bound.d_lattice_nm);
    EXPECT_NEAR(*bound.d_lattice_nm / *bound.d_nm, std::sqrt(2.0 / 3.0), 0.01);
  }
}

TEST(Bounds, ACrystalInHalfOfTheFieldKnowsItsSpacingWorse) {
  // N_e / 2, and half the length across: sqrt 2 along the edge, 2 sqrt 2 across it.
  Scenario scenario = bare_lattice(256);
  SpecimenState state = showing({wave({1, 0}, 1, 0), wave({0, 1}, 0, 1)});
  const FrameBounds whole = bounds_of(scenario, state);
  state.domains[0].limits.push_back({Limit::Of::axis, {1.0, 0.0}, 0.0, 0.02, 1.0});
  const FrameBounds half = bounds_of(scenario, state);
  EXPECT_NEAR(*half.waves[0][0].d_nm / *whole.waves[0][0].d_nm, 2.0 * std::sqrt(2.0), 0.06);
  EXPECT_NEAR(*half.waves[0][1].d_nm / *whole.waves[0][1].d_nm, std::sqrt(2.0), 0.03);
}

TEST(Bounds, TakesASuperlatticeWaveForTheHarmonicItIs) {
  const auto sut =
      bounds_of(bare_lattice(),
                showing({wave({1, 0}, 1.0 / 3.0, 0), wave({3, 0}, 1, 0), wave({0, 1}, 0, 1)}));
  EXPECT_NEAR(*sut.waves[0][1].d_nm / *sut.waves[0][0].d_nm, 1.0 / 3.0, 1e-9) << "the same q";
}

TEST(Bounds, OfAFrameThatShowsNothingAreNone) {
  SpecimenState state = showing({wave({1, 0}, 1, 0), wave({0, 1}, 0, 1)});
  state.beam_on = false;
  const auto dark = bounds_of(bare_lattice(), state);
  EXPECT_FALSE(dark.drift_px);
  ASSERT_EQ(dark.waves[0].size(), 2u);
  EXPECT_FALSE(dark.waves[0][0].d_nm);
}

TEST(Bounds, LeavesOutWavesTheDetectorCannotShow) {
  const auto sut = bounds_of(bare_lattice(), showing({wave({1, 0}, 1, 0), wave({6, 0}, 7, 1)}));
  EXPECT_TRUE(sut.waves[0][0].d_nm);
  EXPECT_FALSE(sut.waves[0][1].d_nm) << "beyond Nyquist";
}

/// The best linear estimate at the true place: sum of (slope / variance) (count - expected) over
/// the information. Its spread is the bound if, and only if, the frames' noise is what the bound
/// takes it for.
TEST(Bounds, AreWhatTheBestEstimateOfRealFramesReaches) {
  Scenario scenario = test::still_scenario(96);
  DetectorModel& detector = scenario.detectors.front();
  detector.dose_e_per_px = 2.0;
  detector.read_noise_adu = 12.0;
  Renderer renderer(scenario, detector, 1);
  Specimen specimen(scenario, test::phases(), 1.0);
  SpecimenState state = specimen.advance({});
  const auto bound = Bounds(detector, renderer).of(state).drift_px;
  ASSERT_TRUE(bound);

  std::vector<float> expected(96u * 96u);
  std::vector<float> left(expected.size());
  std::vector<float> right(expected.size());
  SpecimenState moved = state;
  moved.shift_nm.x += 0.05 * detector.pixel_size_nm;
  renderer.expect(moved, right);
  moved.shift_nm.x -= 0.1 * detector.pixel_size_nm;
  renderer.expect(moved, left);
  renderer.expect(state, expected);
  std::vector<std::uint16_t> frame(expected.size());
  constexpr int kFrames = 400;
  double square = 0.0;
  for (int n = 0; n < kFrames; ++n) {
    state.frame = static_cast<std::uint64_t>(n);
    renderer.render(state, frame);
    double score = 0.0;
    double information = 0.0;
    for (std::size_t i = 0; i < frame.size(); ++i) {
      const double slope_e = 10.0 * static_cast<double>(right[i] - left[i]) * 2.0;
      const double mean_e = 2.0 * static_cast<double>(expected[i]);
      const double count_e = (frame[i] - detector.dark_adu) / detector.gain_adu_per_e;
      score += slope_e * (count_e - mean_e) / (mean_e + 0.36);
      information += slope_e * slope_e / (mean_e + 0.36);
    }
    square += (score / information) * (score / information);
  }
  // x and y of this particle are nearly independent; 400 frames know a spread to 3.5 %.
  EXPECT_NEAR(std::sqrt(square / kFrames) / bound->x, 1.0, 0.1);
}

}  // namespace
}  // namespace latticed::sim
