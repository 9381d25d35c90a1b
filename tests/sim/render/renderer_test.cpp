// SPDX-License-Identifier: GPL-3.0-or-later
#include "sim/render/renderer.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <complex>

#include "tests/sim/support/build_scenario.hpp"

namespace latticed::sim {
namespace {

using test::phases;
using test::still_scenario;

constexpr int kSize = 128;

std::vector<float> expectation(const Scenario& scenario, Vector shift_px, int threads = 1) {
  Specimen specimen(scenario, phases(), 1.0);
  SpecimenState state = specimen.advance({});
  state.shift_nm = scenario.detectors.front().pixel_size_nm * shift_px;
  Renderer renderer(scenario, scenario.detectors.front(), threads);
  std::vector<float> image(kSize * kSize);
  renderer.expect(state, image);
  return image;
}

TEST(Renderer, MovesEverythingByWholePixelsExactly) {
  const Scenario scenario = still_scenario(kSize);
  const auto before = expectation(scenario, {0.0, 0.0});
  const auto after = expectation(scenario, {7.0, -4.0});  // right and up
  for (int y = 8; y < kSize - 8; ++y) {
    for (int x = 8; x < kSize - 8; ++x) {
      const auto from = static_cast<std::size_t>(y * kSize + x);
      const auto to = static_cast<std::size_t>((y - 4) * kSize + x + 7);
      ASSERT_NEAR(after[to], before[from], 2e-5)
          << x << ", " << y;  // float rounding of masks and waves
    }
  }
}

TEST(Renderer, ScansEachRowWhereTheSpecimenIsThen) {
  Scenario scenario = still_scenario(kSize);
  scenario.drift.rate_nm_per_s = {0.21, -0.13};
  DetectorModel& detector = scenario.detectors.front();
  detector.scan_line_time_s = 1.0 / kSize;  // a frame a second
  const auto scanned = expectation(scenario, {});
  const double px = detector.pixel_size_nm;
  detector.scan_line_time_s = 0.0;
  for (const int y : {0, 17, 64, 100, kSize - 1}) {
    const double since_middle_s = static_cast<double>(y) / kSize - 0.5;
    const auto still =
        expectation(scenario, {0.21 * since_middle_s / px, -0.13 * since_middle_s / px});
    for (int x = 0; x < kSize; ++x) {
      const auto at = static_cast<std::size_t>(y * kSize + x);
      ASSERT_NEAR(scanned[at], still[at], 2e-5) << x << ", " << y;
    }
  }
}

/// The distortion a client corrects: g' = A^-T g with the truth's matrix.
TEST(Renderer, ShowsASteadilyMovingLatticeAsTheScanMatrixSays) {
  Scenario scenario = still_scenario(kSize);
  scenario.specimen.is_particle = false;
  scenario.drift.rate_nm_per_s = {0.3, 0.2};
  DetectorModel& detector = scenario.detectors.front();
  detector.film_contrast = 0.0;
  detector.scan_line_time_s = 1.0 / kSize;
  Specimen specimen(scenario, phases(), 1.0);
  SpecimenState state = specimen.advance({});
  std::vector<float> scanned(kSize * kSize);
  Renderer(scenario, detector, 1).expect(state, scanned);
  const Vector per_row =
      (detector.scan_line_time_s / detector.pixel_size_nm) * state.motion.velocity_nm_per_s(1.0);
  for (Domain& domain : state.domains) deform(domain.waves, scan_matrix(per_row), {});
  detector.scan_line_time_s = 0.0;
  state.motion = {};
  std::vector<float> deformed(kSize * kSize);
  Renderer(scenario, detector, 1).expect(state, deformed);
  // The MTF sees the deformed lattice, 0.5 % off: that much of the amplitudes of 0.1.
  for (std::size_t i = 0; i < scanned.size(); ++i) ASSERT_NEAR(scanned[i], deformed[i], 2e-3) << i;
}

TEST(Renderer, MovesTheLatticeByFractionsAsTheWavesSay) {
  Scenario scenario = still_scenario(kSize);
  scenario.specimen.is_particle = false;
  DetectorModel& detector = scenario.detectors.front();
  detector.film_contrast = 0.0;
  const Vector shift_px{3.37, -1.81};
  const auto image = expectation(scenario, shift_px);
  Specimen specimen(scenario, phases(), 1.0);
  const Domain domain = specimen.advance({}).domains.front();
  const double px = detector.pixel_size_nm;
  for (int y = 0; y < kSize; y += 5) {
    for (int x = 0; x < kSize; x += 3) {
      const Vector at = px * Vector{x - 0.5 * kSize - shift_px.x, y - 0.5 * kSize - shift_px.y};
      // A whole field of lattice is as thick as it can be.
      double expected = detector.vacuum_level + detector.film_level + detector.particle_level;
      for (const PlaneWave& wave : domain.waves) {
        const double g = length(wave.g_per_nm);
        if (std::max(std::abs(wave.g_per_nm.x), std::abs(wave.g_per_nm.y)) >= 0.5 / px) continue;
        const double mtf = std::pow(detector.mtf_at_nyquist, 4.0 * g * g * px * px);
        expected +=
            wave.amplitude * mtf * std::cos(2.0 * M_PI * (dot(wave.g_per_nm, at) + wave.turns));
      }
      ASSERT_NEAR(image[static_cast<std::size_t>(y * kSize + x)], expected, 1e-5) << x << ", " << y;
    }
  }
}

/// The texture alone, from its image at whole pixels, by a sinc of 64 samples.
double long_sinc(const std::vector<float>& image, int y, double x) {
  const int middle = static_cast<int>(std::floor(x));
  double sum = 0.0;
  double weights = 0.0;
  for (int i = middle - 31; i <= middle + 32; ++i) {
    const double t = x - i;
    const double window = std::cos(M_PI * t / 66.0);
    const double weight =
        (std::abs(t) < 1e-9 ? 1.0 : std::sin(M_PI * t) / (M_PI * t)) * window * window;
    sum += weight * image[static_cast<std::size_t>(y * kSize + i)];
    weights += weight;
  }
  return sum / weights;
}

TEST(Renderer, MovesTheFilmByFractionsFarBelowTheNoise) {
  Scenario scenario = still_scenario(kSize);
  scenario.specimen.edges = {{0.0, -1000.0}};  // no particle in sight
  scenario.detectors.front().film_contrast = 0.1;
  const auto before = expectation(scenario, {0.0, 0.0});
  const auto after = expectation(scenario, {0.43, 0.0});
  for (int y = 0; y < kSize; y += 7) {
    for (int x = 40; x < kSize - 40; x += 3) {
      // 1e-4 of the contrast; the noise of one pixel at 10 electrons is 0.3.
      ASSERT_NEAR(after[static_cast<std::size_t>(y * kSize + x)], long_sinc(before, y, x - 0.43),
                  2e-5);
    }
  }
}

TEST(Renderer, GivesTheSameBitsWithAnyNumberOfThreads) {
  Scenario scenario = still_scenario(kSize);
  scenario.detectors.front().read_noise_adu = 3.0;
  scenario.detectors.front().gain_pattern_percent = 1.0;
  Specimen specimen(scenario, phases(), 1.0);
  const SpecimenState state = specimen.advance({});
  std::vector<std::uint16_t> first(kSize * kSize);
  Renderer(scenario, scenario.detectors.front(), 1).render(state, first);
  for (const int threads : {2, 3}) {
    Renderer sut(scenario, scenario.detectors.front(), threads);
    for (int again = 0; again < 3; ++again) {
      std::vector<std::uint16_t> other(kSize * kSize);
      sut.render(state, other);
      ASSERT_EQ(other, first) << threads << " threads";
    }
  }
}

TEST(Renderer, AnotherSeedIsAnotherFrame) {
  Scenario scenario = still_scenario(kSize);
  Specimen specimen(scenario, phases(), 1.0);
  const SpecimenState state = specimen.advance({});
  std::vector<std::uint16_t> first(kSize * kSize);
  std::vector<std::uint16_t> second(kSize * kSize);
  Renderer(scenario, scenario.detectors.front(), 1).render(state, first);
  scenario.seed += 1;
  Renderer(scenario, scenario.detectors.front(), 1).render(state, second);
  EXPECT_NE(first, second);
}

TEST(Renderer, FramesHaveTheDoseAndTheNoiseOfCounting) {
  Scenario scenario = still_scenario(kSize);
  DetectorModel& detector = scenario.detectors.front();
  scenario.specimen.edges = {{0.0, -1000.0}};
  detector.film_contrast = 0.0;
  detector.film_level = 0.0;
  Specimen specimen(scenario, phases(), 1.0);
  std::vector<std::uint16_t> frame(kSize * kSize);
  Renderer(scenario, detector, 1).render(specimen.advance({}), frame);
  double sum = 0.0;
  double square = 0.0;
  for (const std::uint16_t adu : frame) {
    const double electrons = (adu - detector.dark_adu) / detector.gain_adu_per_e;
    sum += electrons;
    square += (electrons - 10.0) * (electrons - 10.0);
  }
  const double n = kSize * kSize;  // five standard errors
  EXPECT_NEAR(sum / n, 10.0, 5.0 * std::sqrt(10.0 / n));
  EXPECT_NEAR(square / n, 10.0, 5.0 * std::sqrt(210.0 / n));
}

TEST(Renderer, BlankedFrameShowsTheDarkLevelOnly) {
  Scenario scenario = still_scenario(kSize);
  scenario.steps = {
      {.t_s = 0.0, .current_a = {}, .temperature_k = {}, .beam_on = false, .jump_nm = {}}};
  Specimen specimen(scenario, phases(), 1.0);
  std::vector<std::uint16_t> frame(kSize * kSize);
  Renderer(scenario, scenario.detectors.front(), 1).render(specimen.advance({}), frame);
  for (const std::uint16_t adu : frame) ASSERT_EQ(adu, 100);
}

TEST(Renderer, WithoutTheSpecimenTheFieldIsEvenlyLit) {
  Scenario scenario = still_scenario(kSize);
  scenario.detectors.front().vacuum_level = 0.8;
  Specimen specimen(scenario, phases(), 1.0);
  SpecimenState state = specimen.advance({});
  Renderer sut(scenario, scenario.detectors.front(), 1);
  std::vector<float> image(kSize * kSize);
  state.specimen_in = false;
  sut.expect(state, image);
  for (const float level : image) ASSERT_EQ(level, 0.8f);
  state.beam_on = false;
  sut.expect(state, image);
  for (const float level : image) ASSERT_EQ(level, 0.0f);
}

TEST(Renderer, SaturatesAtItsCeiling) {
  Scenario scenario = still_scenario(kSize);
  scenario.detectors.front().dose_e_per_px = 1e5;
  scenario.detectors.front().saturation_adu = 4095.0;
  Specimen specimen(scenario, phases(), 1.0);
  std::vector<std::uint16_t> frame(kSize * kSize);
  Renderer(scenario, scenario.detectors.front(), 1).render(specimen.advance({}), frame);
  for (const std::uint16_t adu : frame) ASSERT_EQ(adu, 4095);
}

TEST(Presence, FollowsTheRimAndTheFront) {
  Scenario scenario = still_scenario(kSize);
  scenario.specimen.edges = {{0.0, 2.0}};
  Specimen specimen(scenario, phases(), 1.0);
  SpecimenState state = specimen.advance({});
  const Domain& domain = state.domains.front();
  EXPECT_EQ(presence(scenario.specimen, state.rim_nm, domain, {2.5, 0.0}), 0.0);  // outside
  EXPECT_EQ(presence(scenario.specimen, state.rim_nm, domain, {1.8, 0.0}), 0.0);  // in the rim
  EXPECT_EQ(presence(scenario.specimen, state.rim_nm, domain, {0.0, 0.0}), 1.0);
}

}  // namespace
}  // namespace latticed::sim
