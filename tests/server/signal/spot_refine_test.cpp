// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/signal/spot_refine.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/analysed_frame.hpp"
#include "tests/support/synthetic_scene.hpp"

namespace latticed::signal {
namespace {

using test::FrameAnalysis;
using test::Scene;
using test::Wave;

double period(Vector2 f) { return 1.0 / std::hypot(f.x, f.y); }

/// The spot's whole path: detected peak nearest to the truth, then refined.
RefinedSpot refined(SpotRefiner& sut, const Prepared& prepared, const AnalysisGrid& grid,
                    Vector2 truth) {
  const Peak* nearest = nullptr;
  double distance = 3.0;
  for (const Peak& peak : prepared.peaks.peaks) {
    const double d = std::hypot(peak.kx - truth.x * grid.width, peak.ky - truth.y * grid.height);
    if (d < distance) nearest = &peak, distance = d;
  }
  if (!nearest) return {};
  return sut.refine(prepared.spectrum,
                    {static_cast<double>(nearest->kx) / grid.width,
                     static_cast<double>(nearest->ky) / grid.height},
                    static_cast<double>(prepared.peaks.noise.white));
}

// 0.002 % of d at any place between bins: a fifth of the smallest change that matters per hour.
TEST(SpotRefiner, HasNoBinBias) {
  for (int size : {256, 384}) {
    FrameAnalysis analysis(size, size);
    SpotRefiner sut(analysis.fft());
    double worst = 0.0;
    Vector2 at;
    for (const auto& [kx0, ky0] :
         {std::pair{21.0, 9.0}, {9.0, 14.0}, {60.0, -44.0}, {2.0, 30.0}, {18.0, 0.0}})
      for (double u = -0.5; u < 0.5; u += 0.125)
        for (double v = -0.5; v < 0.5; v += 0.125) {
          const Vector2 truth{(kx0 + u) / size, (ky0 + v) / size};
          Scene scene{.width = size, .height = size, .counts = 100.0};
          scene.lattice = {{truth, 0.2, 0.7}};
          const Prepared& prepared = analysis(test::expect(scene));
          const Vector2 start{std::round(kx0 + u) / size, std::round(ky0 + v) / size};
          const RefinedSpot spot = sut.refine(prepared.spectrum, start, 1.0);
          ASSERT_TRUE(spot.is_valid) << kx0 + u << ", " << ky0 + v;
          const double error = std::abs(period(spot.frequency) / period(truth) - 1.0);
          if (error > worst) worst = error, at = truth;
        }
    std::printf("%d: worst bias %.5f %% of d at bin %.3f, %.3f\n", size, 100 * worst, at.x * size,
                at.y * size);
    EXPECT_LT(worst, 2e-5) << size;
  }
}

struct Scatter {
  test::Series z, error;
  double sigma = 0.0;
};

Scatter scatter_of(FrameAnalysis& analysis, Scene scene, int frames, std::uint64_t seed) {
  SpotRefiner sut(analysis.fft());
  test::ShotNoise noise(seed);
  const Vector2 truth = scene.lattice[0].f;
  const auto expectation = test::expect(scene);
  // The noise-free answer is the reference: a crystal's edge and its film may shift it for good.
  const RefinedSpot still = sut.refine(analysis(expectation).spectrum, truth, 1.0);
  EXPECT_TRUE(still.is_valid);
  Scatter out;
  for (int frame = 0; frame < frames; ++frame) {
    const Prepared& prepared = analysis(noise(expectation));
    const RefinedSpot spot = refined(sut, prepared, analysis.grid(), truth);
    if (!spot.is_valid) continue;
    const Vector2 f = spot.frequency;
    const double r = std::hypot(f.x, f.y), ux = f.x / r, uy = f.y / r;
    const double variance =
        ux * ux * spot.var_xx + 2.0 * ux * uy * spot.var_xy + uy * uy * spot.var_yy;
    const double error = r - 1.0 / period(still.frequency);
    out.z.add(error / std::sqrt(variance));
    out.error.add(error * period(truth));  // = -delta d / d
    out.sigma += std::sqrt(variance) * period(truth) / frames;
  }
  return out;
}

constexpr double kPlanes = 1.0 / 26.65;

Scene planes(double counts) {
  Scene scene{.counts = counts};
  scene.lattice = {{{kPlanes * std::cos(0.3), kPlanes * std::sin(0.3)}, 0.2, 0.4}};
  return scene;
}

// algorithms.md A.2: sigma_d/d >= 0.78 (d/L) / (C sqrt(N_e)) for a full field.
TEST(SpotRefiner, IsAsGoodAsItSaysOnAFullField) {
  FrameAnalysis analysis(256, 256);
  for (double counts : {40.0, 2.0}) {
    const Scatter sut = scatter_of(analysis, planes(counts), 300, 131);
    const double bound =
        std::sqrt(6.0) / std::numbers::pi * (26.65 / 256) / (0.2 * std::sqrt(counts * 256 * 256));
    std::printf(
        "full field %.0f e/px: z %.3f, error %.5f %% of d, bound %.5f %%, ratio %.2f, n %d\n",
        counts, sut.z.deviation(), 100 * sut.error.deviation(), 100 * bound,
        sut.error.deviation() / bound, sut.z.count);
    EXPECT_EQ(sut.z.count, 300);
    // 300 frames know a deviation to 4 %.
    EXPECT_GT(sut.z.deviation(), 0.8);
    EXPECT_LT(sut.z.deviation(), 1.25);
    EXPECT_LT(sut.error.deviation(), 1.5 * bound);
    EXPECT_LT(std::abs(sut.error.mean()), 4.0 * sut.error.deviation() / std::sqrt(300.0) + 2e-5);
  }
}

TEST(SpotRefiner, IsAsGoodAsItSaysOnACrystalInAQuarterOfTheField) {
  FrameAnalysis analysis(256, 256);
  for (double counts : {40.0, 2.0}) {
    Scene scene = planes(counts);
    scene.lattice[0].f = {std::cos(0.3) / 12.25, std::sin(0.3) / 12.25};
    scene.radius = 72.0;  // pi 72^2 = 0.25 x 256^2
    scene.centre = {20.0, -15.0};
    const Scatter sut = scatter_of(analysis, scene, 300, 137);
    std::printf("quarter %.0f e/px: z %.3f, error %.4f %% of d, sigma %.4f %%, n %d\n", counts,
                sut.z.deviation(), 100 * sut.error.deviation(), 100 * sut.sigma, sut.z.count);
    EXPECT_GE(sut.z.count, counts < 10 ? 280 : 300);
    EXPECT_GT(sut.z.deviation(), 0.8);
    EXPECT_LT(sut.z.deviation(), 1.25);
  }
}

// With the film as strong as the planes, in the field around the crystal too.
TEST(SpotRefiner, MeasuresACrystalWhereItIs) {
  FrameAnalysis analysis(256, 256);
  SpotRefiner sut(analysis.fft());
  const Vector2 truth{std::cos(0.3) / 12.25, std::sin(0.3) / 12.25};
  for (const Vector2 centre : {Vector2{0, 0}, {50, 40}, {-60, 20}}) {
    Scene scene{.counts = 100.0};
    scene.lattice = {{truth, 0.2, 0.4}};
    scene.radius = 55.0;
    scene.centre = centre;
    const RefinedSpot spot = refined(sut, analysis(test::expect(scene)), analysis.grid(), truth);
    ASSERT_TRUE(spot.is_valid);
    // Only the edge's own step leaks into the spot.
    EXPECT_NEAR(period(spot.frequency) / 12.25, 1.0, 5e-4) << centre.x;
  }
}

TEST(SpotRefiner, KnowsTheMatchedSignalToNoise) {
  FrameAnalysis analysis(256, 256);
  SpotRefiner sut(analysis.fft());
  test::ShotNoise noise(139);
  const auto expectation = test::expect(planes(10.0));
  const Vector2 truth = planes(10.0).lattice[0].f;
  test::Series snr;
  for (int frame = 0; frame < 30; ++frame)
    snr.add(refined(sut, analysis(noise(expectation)), analysis.grid(), truth).snr);
  // A C I0 fringe in N pixels of variance I0, without any window: C sqrt(N I0) / 2 x sqrt 2 /
  // sqrt 2.
  const double ideal = 0.2 / 2.0 * std::sqrt(10.0 * 256 * 256);
  EXPECT_GT(snr.mean(), 0.8 * ideal);
  EXPECT_LT(snr.mean(), 1.05 * ideal);
}

TEST(SpotRefiner, RefusesWhereThereIsNoSpot) {
  FrameAnalysis analysis(256, 256);
  SpotRefiner sut(analysis.fft());
  test::ShotNoise noise(149);
  const Prepared& prepared = analysis(noise(test::expect(planes(40.0))));
  int valid = 0, strong = 0;
  for (int i = 0; i < 100; ++i) {
    const RefinedSpot spot = sut.refine(prepared.spectrum, {0.2 + 0.001 * i, 0.15 - 0.002 * i},
                                        static_cast<double>(prepared.peaks.noise.white));
    valid += spot.is_valid ? 1 : 0;
    strong += spot.is_valid && spot.snr > 6.0 ? 1 : 0;
  }
  std::printf("noise: %d of 100 valid, %d above 6\n", valid, strong);
  EXPECT_LE(strong, 2);
  EXPECT_FALSE(sut.refine(Spectrum(analysis.grid().spectrum_size()), {0.2, 0.1}, 1.0).is_valid);
}

}  // namespace
}  // namespace latticed::signal
