// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/signal/filling_lattice.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "tests/support/analysed_frame.hpp"
#include "tests/support/synthetic_scene.hpp"

namespace latticed::signal {
namespace {

using test::FrameAnalysis;
using test::Scene;

constexpr int kSide = 256;

struct Found {
  FrameAnalysis analysis{kSide, kSide};
  std::vector<Peak> peaks;
  std::array<FillingReflection, kLabels> reflections{};

  /// A frame of the scene moved by `shift`, moved back by phase ramps as templates are.
  explicit Found(const Scene& scene, Vector2 shift = {}, std::uint64_t seed = 7) {
    test::ShotNoise noise(seed);
    const AnalysisGrid& grid = analysis.grid();
    const Prepared& frame = analysis(noise(expect(scene, shift)));
    peaks.assign(frame.peaks.peaks.begin(), frame.peaks.peaks.end());
    PhaseRamps ramps(grid);
    ramps.set(shift);
    Spectrum mean(grid.spectrum_size());
    for (int kx = 0; kx < grid.kx_count; ++kx)
      for (int row = 0; row < grid.height; ++row)
        mean[grid.at(kx, row)] = frame.spectrum[grid.at(kx, row)] * ramps.x()[kx] * ramps.y()[row];
    const FillingLattice sut(grid, analysis.fft().taper_x(), analysis.fft().taper_y());
    reflections = sut.find({mean, static_cast<double>(frame.peaks.noise.white), shift}, peaks);
  }
  /// How far from a wave of the scene, or its mirror image, bins; 1e9: no reflection there.
  [[nodiscard]] double off(const test::Wave& wave) const {
    double nearest = 1e9;
    for (std::size_t l = 1; l <= std::min(peaks.size(), kShapes - 1); ++l)
      for (const double sign : {1.0, -1.0})
        nearest = std::min(nearest, std::hypot(sign * reflections[l].g.x - wave.f.x,
                                               sign * reflections[l].g.y - wave.f.y) *
                                        kSide);
    return nearest;
  }
};

Scene lattice(double counts, double film = 0.0) {
  Scene scene{.counts = counts};
  scene.lattice = test::layered_lattice();
  if (film > 0.0) scene.film = std::make_shared<test::Film>(kSide, kSide, 3, film);
  return scene;
}

TEST(FillingLattice, IsFoundWithItsFrequency) {
  for (const Vector2 shift : {Vector2{0.0, 0.0}, {17.3, -24.8}, {-60.0, 3.1}}) {
    const Found sut(lattice(100.0), shift);
    ASSERT_GE(sut.peaks.size(), 3u);
    for (std::size_t l = 1; l <= 3; ++l) EXPECT_TRUE(sut.reflections[l].is_filling) << l;
    for (const test::Wave& wave : test::layered_lattice()) EXPECT_LT(sut.off(wave), 0.01);
  }
}

TEST(FillingLattice, IsFoundBesideFilm) {
  const Found sut(lattice(40.0, 0.06));
  ASSERT_GE(sut.peaks.size(), 3u);
  for (std::size_t l = 1; l <= 3; ++l) EXPECT_TRUE(sut.reflections[l].is_filling) << l;
  for (const test::Wave& wave : test::layered_lattice()) EXPECT_LT(sut.off(wave), 0.05);
}

// Column kx = 0 and those before it are mirror images of others.
TEST(FillingLattice, IsFoundBesideTheAxes) {
  for (const Vector2 bins : {Vector2{0.4, 20.3}, {0.4, -20.3}, {20.3, 0.4}, {20.3, -0.4}}) {
    Scene scene{.counts = 100.0};
    scene.lattice = {{{bins.x / kSide, bins.y / kSide}, 0.2, 0.7}};
    const Found sut(scene, {5.0, -9.0});
    ASSERT_GE(sut.peaks.size(), 1u);
    EXPECT_TRUE(sut.reflections[1].is_filling) << bins.x << ", " << bins.y;
    EXPECT_LT(sut.off(scene.lattice[0]), 0.01) << bins.x << ", " << bins.y;
  }
}

// Faint reflections do not show their shape: they go with those that do.
TEST(FillingLattice, HoldsForFaintReflections) {
  Scene scene = lattice(4.0);
  scene.lattice.push_back({{0.21, 0.05}, 0.02, 0.3});
  const Found sut(scene);
  ASSERT_GE(sut.peaks.size(), 3u);
  for (std::size_t l = 1; l <= std::min(sut.peaks.size(), kShapes - 1); ++l)
    EXPECT_TRUE(sut.reflections[l].is_filling) << l;
}

TEST(FillingLattice, IsNoParticle) {
  for (const double radius : {30.0, 60.0}) {
    Scene scene = lattice(100.0);
    scene.radius = radius;
    const Found sut(scene);
    ASSERT_GE(sut.peaks.size(), 3u);
    for (std::size_t l = 1; l <= std::min(sut.peaks.size(), kShapes - 1); ++l)
      EXPECT_FALSE(sut.reflections[l].is_filling) << radius << ", " << l;
  }
}

TEST(WindowPeak, IsTheTransformOfItsTaper) {
  const std::vector<float> x = tukey(64, 0.25), y = tukey(48, 0.25);
  const WindowPeak sut(x, y);
  const auto direct = [](const std::vector<float>& taper, double bins) {
    std::complex<double> sum, all;
    const auto n = static_cast<double>(taper.size());
    for (std::size_t i = 0; i < taper.size(); ++i) {
      const double centred = static_cast<double>(i) - 0.5 * (n - 1.0);
      sum += static_cast<double>(taper[i]) *
             std::polar(1.0, -2.0 * std::numbers::pi * bins * centred / n);
      all += static_cast<double>(taper[i]);
    }
    return (sum / all).real();
  };
  for (const double dx : {0.0, 0.31, -1.7, 3.96})
    for (const double dy : {0.0, -0.58, 2.2})
      EXPECT_NEAR(sut.at(dx, dy), direct(x, dx) * direct(y, dy), 2e-3) << dx << ", " << dy;
  EXPECT_EQ(sut.at(WindowPeak::kReach_bins + 0.1, 0.0), 0.0);
}

}  // namespace
}  // namespace latticed::signal
