// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/signal/peak_detect.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <random>

#include "tests/support/analysed_frame.hpp"
#include "tests/support/synthetic_scene.hpp"

namespace latticed::signal {
namespace {

using test::AnalysisOptions;
using test::FrameAnalysis;
using test::Scene;
using test::Wave;

AnalysisOptions with_alarms(double per_frame) {
  AnalysisOptions options;
  options.detect.false_alarms_per_frame = per_frame;
  return options;
}

int alarms_on(FrameAnalysis& sut, const std::vector<float>& expectation, int frames,
              std::uint64_t seed) {
  test::ShotNoise noise(seed);
  int alarms = 0;
  for (int frame = 0; frame < frames; ++frame)
    alarms += static_cast<int>(sut(noise(expectation)).peaks.peaks.size());
  return alarms;
}

// A factor of three either way: maxima under the Hann window are fewer than bins.
TEST(PeakDetector, AlarmsFalselyAtTheConfiguredRateOnShotNoise) {
  FrameAnalysis sut(256, 256, with_alarms(0.3));
  for (double counts : {10.0, 0.5}) {
    const int alarms =
        alarms_on(sut, std::vector<float>(256 * 256, static_cast<float>(counts)), 300, 71);
    std::printf("%.1f e/px: %d false alarms in 300 frames, 90 wanted\n", counts, alarms);
    EXPECT_GT(alarms, 30);
    EXPECT_LT(alarms, 270);
  }
}

/// A field of noise whose power falls with the frequency, as an amorphous film's does: f0 at half.
std::vector<float> film_field(const AnalysisGrid& grid, double rms, double f0,
                              std::mt19937_64& random) {
  SurfaceIfft to_surface(grid);
  const auto width = static_cast<std::size_t>(grid.width),
             height = static_cast<std::size_t>(grid.height);
  AlignedBuffer<Complex> half((width / 2 + 1) * height);
  std::normal_distribution<float> normal;
  for (std::size_t kx = 0; kx <= width / 2; ++kx)
    for (std::size_t row = 0; row < height; ++row) {
      const double f =
          std::hypot(static_cast<double>(kx) / grid.width,
                     static_cast<double>(grid.signed_ky(static_cast<int>(row))) / grid.height);
      const auto level = static_cast<float>(1.0 / (1.0 + f * f / (f0 * f0)));
      half[kx * height + row] = {level * normal(random), level * normal(random)};
    }
  AlignedBuffer<float> surface(width * height);
  to_surface.execute(half.data(), surface.data());
  test::Series series;
  for (float value : surface.span()) series.add(static_cast<double>(value));
  std::vector<float> out;
  for (float value : surface.span())
    out.push_back(static_cast<float>(rms / series.deviation()) * value);
  return out;
}

TEST(PeakDetector, AlarmsFalselyAtTheConfiguredRateOnAFilm) {
  FrameAnalysis sut(256, 256, with_alarms(0.3));
  const AnalysisGrid whole = make_grid({256, 256, PixelType::f32}, 1, {}, 1.0).value();
  std::mt19937_64 random(73);
  test::ShotNoise noise(79);
  int alarms = 0;
  constexpr int kFrames = 200;
  for (int frame = 0; frame < kFrames; ++frame) {
    // A new film every frame: one film's speckle would be one draw of luck.
    std::vector<float> image = film_field(whole, 3.0, 0.06, random);
    for (float& pixel : image) pixel = std::max(pixel + 20.0f, 0.0f);
    alarms += static_cast<int>(sut(noise(image)).peaks.peaks.size());
  }
  std::printf("film: %d false alarms in %d frames, 60 wanted\n", alarms, kFrames);
  EXPECT_GT(alarms, 20);
  EXPECT_LT(alarms, 180);
}

// The default rate, one in a thousand frames, on small frames, whose rings have few bins.
TEST(PeakDetector, AlarmsFalselyAtTheDefaultRateOnSmallFrames) {
  const struct {
    int width, height, frames;
  } cases[] = {{32, 48, 10000}, {64, 64, 5000}, {128, 128, 3000}};
  for (const auto& c : cases) {
    FrameAnalysis sut(c.width, c.height);
    std::mt19937_64 random(83);
    std::vector<float> image(static_cast<std::size_t>(c.width * c.height));
    int alarms = 0;
    for (int frame = 0; frame < c.frames; ++frame) {
      // Sums of four bytes: near enough to normal in pixels, normal in the spectrum.
      for (float& pixel : image) {
        const std::uint64_t bits = random();
        pixel = static_cast<float>((bits & 255u) + (bits >> 8 & 255u) + (bits >> 16 & 255u) +
                                   (bits >> 24 & 255u));
      }
      alarms += static_cast<int>(sut(image).peaks.peaks.size());
    }
    std::printf("%d x %d: %d false alarms in %d frames, %.0f wanted\n", c.width, c.height, alarms,
                c.frames, 1e-3 * c.frames);
    EXPECT_LE(alarms, 3e-3 * c.frames) << c.width;
  }
}

TEST(PeakDetector, SetsItsThresholdByTheLevelsOwnDoubt) {
  // A level known for sure: exp(-T) = p.
  EXPECT_NEAR(PeakDetector::threshold(100000, 1e-8), -std::log(1e-8), 0.01);
  EXPECT_GT(PeakDetector::threshold(160, 1e-8), 19.0);
  EXPECT_GT(PeakDetector::threshold(9, 1e-8), 60.0);
  // Against draws: power of one bin over the median of 33 others.
  const double t = PeakDetector::threshold(33, 0.01);
  std::mt19937_64 random(5);
  std::exponential_distribution<double> power;
  int above = 0;
  std::vector<double> others(33);
  for (int i = 0; i < 100000; ++i) {
    for (double& other : others) other = power(random);
    std::nth_element(others.begin(), others.begin() + 16, others.end());
    above += power(random) > t * others[16] / std::numbers::ln2 ? 1 : 0;
  }
  EXPECT_NEAR(above, 1000, 130);  // four standard errors
}

/// Full-field fringes of the given frequencies in bins.
std::vector<float> fringes(const AnalysisGrid& grid, std::vector<std::pair<double, double>> bins,
                           double counts, double contrast) {
  Scene scene{.width = grid.width, .height = grid.height, .counts = counts};
  double phase = 0.3;
  for (const auto& [kx, ky] : bins)
    scene.lattice.push_back({{kx / grid.width, ky / grid.height}, contrast, phase += 0.9});
  return test::expect(scene);
}

TEST(PeakDetector, FindsASpotOnceWhereverItLiesBetweenBins) {
  FrameAnalysis sut(256, 192);
  test::ShotNoise noise(89);
  for (double u = 0.0; u < 1.0; u += 0.125)
    for (double v = 0.0; v < 1.0; v += 0.25) {
      const double kx = 20.0 + u, ky = -31.0 + v;
      const auto& peaks = sut(noise(fringes(sut.grid(), {{kx, ky}}, 10.0, 0.1))).peaks.peaks;
      ASSERT_EQ(peaks.size(), 1u) << kx << " " << ky;
      EXPECT_NEAR(peaks[0].kx, kx, 0.75);  // noise may choose the further of two bins
      EXPECT_NEAR(peaks[0].ky, ky, 0.75);
    }
}

TEST(PeakDetector, SaysHowFarASpotStandsOut) {
  FrameAnalysis sut(256, 256);
  test::ShotNoise noise(97);
  // Under the Hann window a fringe has N C I0 / 2 x sum(w h), the noise I0 x sum(w^2 h^2).
  const TaperMoments& moments = sut.fft().moments();
  double coherent = 1.0;
  for (const auto* taper : {&sut.fft().taper_x(), &sut.fft().taper_y()}) {
    double sum = 0.0;
    for (std::size_t i = 0; i < taper->size(); ++i)
      sum += static_cast<double>((*taper)[i]) *
             (0.5 - 0.5 * std::cos(2.0 * std::numbers::pi * static_cast<double>(i) / 256.0));
    coherent *= sum;
  }
  const double expected = 0.5 * 0.1 * 10.0 * coherent /
                          std::sqrt(10.0 * moments.sum_squares * moments.hann_noise_ratio);
  test::Series snr;
  for (int frame = 0; frame < 50; ++frame)
    snr.add(static_cast<double>(
        sut(noise(fringes(sut.grid(), {{40.0, 33.0}}, 10.0, 0.1))).peaks.peaks[0].snr));
  EXPECT_NEAR(snr.mean(), expected, 0.04 * expected);  // the ring's level is known to 11 % in power
}

TEST(PeakDetector, ListsNoSideLobesOfAStrongSpot) {
  FrameAnalysis sut(256, 256);
  test::ShotNoise noise(101);
  for (double u : {0.0, 0.25, 0.5})
    for (double v : {0.0, 0.3, 0.5}) {
      const auto& peaks =
          sut(noise(fringes(sut.grid(), {{30.0 + u, 41.0 + v}}, 1000.0, 0.5))).peaks.peaks;
      EXPECT_EQ(peaks.size(), 1u) << u << " " << v;
    }
}

TEST(PeakDetector, KeepsAFaintSpotBesideAStrongOne) {
  FrameAnalysis sut(256, 256);
  test::ShotNoise noise(103);
  Scene scene{.counts = 40.0};
  scene.lattice = {{{40.0 / 256, 20.0 / 256}, 0.3, 0.0}, {{50.0 / 256, 20.0 / 256}, 0.05, 1.0}};
  EXPECT_EQ(sut(noise(test::expect(scene))).peaks.peaks.size(), 2u);
}

// The spectrum's left half is not stored: spots at its border meet their own mates there.
TEST(PeakDetector, ListsAFriedelPairOnce) {
  FrameAnalysis sut(256, 256);
  test::ShotNoise noise(107);
  for (double kx : {0.0, 0.3, 0.5, 0.7, 1.0, 1.4, 2.0, 3.0})
    for (double ky : {-40.0, -25.4, 33.3, 60.0}) {
      const auto& peaks = sut(noise(fringes(sut.grid(), {{kx, ky}}, 40.0, 0.2))).peaks.peaks;
      ASSERT_EQ(peaks.size(), 1u) << kx << ", " << ky;
      const bool is_here = std::hypot(peaks[0].kx - kx, peaks[0].ky - ky) < 1.0;
      const bool is_mate = std::hypot(peaks[0].kx + kx, peaks[0].ky + ky) < 1.0;
      EXPECT_TRUE(is_here || is_mate)
          << kx << ", " << ky << ": " << peaks[0].kx << ", " << peaks[0].ky;
      EXPECT_GE(peaks[0].kx, 0);
    }
}

TEST(PeakDetector, ListsAllSpotsOfALatticeStrongestFirst) {
  FrameAnalysis sut(256, 256);
  test::ShotNoise noise(109);
  Scene scene{.counts = 40.0};
  scene.lattice = test::layered_lattice();
  const auto& peaks = sut(noise(test::expect(scene))).peaks.peaks;
  ASSERT_EQ(peaks.size(), 3u);
  EXPECT_NEAR(peaks[0].kx, 256 * scene.lattice[0].f.x, 0.6);
  EXPECT_NEAR(peaks[0].ky, 256 * scene.lattice[0].f.y, 0.6);
  EXPECT_GE(peaks[0].power, peaks[1].power);
  EXPECT_GE(peaks[1].power, peaks[2].power);
}

TEST(PeakDetector, LooksOnlyInsideTheBand) {
  AnalysisOptions options;
  options.detect.min_fringes = 8.0;
  FrameAnalysis sut(256, 256, options);
  test::ShotNoise noise(113);
  const auto count = [&](double kx, double ky) {
    return sut(noise(fringes(sut.grid(), {{kx, ky}}, 40.0, 0.2))).peaks.peaks.size();
  };
  EXPECT_EQ(count(4.0, 3.0), 0u);  // five fringes across the field
  EXPECT_EQ(count(9.0, 6.0), 1u);
  EXPECT_EQ(count(95.0, 20.0), 1u);
  EXPECT_EQ(count(20.0, 110.0), 0u);  // beyond 0.8 of Nyquist
}

TEST(PeakDetector, MeasuresWhiteNoiseAndTheBandsPower) {
  FrameAnalysis sut(256, 256);
  test::ShotNoise noise(127);
  test::Series white, power;
  for (int frame = 0; frame < 40; ++frame) {
    const auto& peaks = sut(noise(std::vector<float>(256 * 256, 25.0f))).peaks;
    const double level = 25.0 * sut.fft().moments().sum_squares;
    white.add(static_cast<double>(peaks.noise.white) / level);
    const auto bins = std::accumulate(peaks.ring_bins.begin(), peaks.ring_bins.end(), 0u);
    power.add(std::accumulate(peaks.ring_power.begin(), peaks.ring_power.end(), 0.0) /
              (level * bins));
  }
  EXPECT_NEAR(white.mean(), 1.0, 0.03);
  EXPECT_NEAR(power.mean(), 1.0, 0.01);
}

}  // namespace
}  // namespace latticed::signal
