// SPDX-License-Identifier: GPL-3.0-or-later
// A drift tracker fed with rendered frames, and what can be known of a frame's shift at best.
#pragma once

#include <cmath>
#include <numbers>
#include <random>
#include <vector>

#include "server/signal/drift_tracker.hpp"
#include "tests/support/analysed_frame.hpp"
#include "tests/support/synthetic_scene.hpp"

namespace latticed::test {

class DriftRun {
 public:
  explicit DriftRun(const Scene& scene, std::uint64_t seed, signal::DriftConfig config = {})
      : analysis_(scene.width, scene.height), noise_(seed), tracker_(analysis_.fft(), config) {}

  DriftMeasurement operator()(const Scene& scene, Vector2 shift) {
    const Prepared& prepared = analysis_(noise_(expect(scene, shift)));
    return tracker_.track(prepared.spectrum, prepared.peaks.noise,
                          {prepared.peaks.peaks.begin(), prepared.peaks.peaks.size()});
  }
  signal::DriftTracker& tracker() { return tracker_; }

 private:
  FrameAnalysis analysis_;
  ShotNoise noise_;
  signal::DriftTracker tracker_;
};

/// Cramer-Rao bound of a shift per axis in pixels: information = sum of (dI/dx)^2 / I over the
/// frame, shot noise. Lattice and particle are known; a film is known from `memory` frames only, as
/// noisy themselves: what it says counts by M r / (1 + M r), r its power over the noise's,
/// frequency by frequency, M = 2 memory - 1 the frames a running mean is worth. memory = 0: known
/// exactly.
inline Vector2 drift_bound(const Scene& scene, int memory = 0) {
  double xx = 0.0, xy = 0.0, yy = 0.0;
  Scene known = scene;
  if (memory > 0) known.film.reset();
  const auto at = expect(scene), right = expect(known, {0.25, 0}), left = expect(known, {-0.25, 0}),
             down = expect(known, {0, 0.25}), up = expect(known, {0, -0.25});
  for (std::size_t i = 0; i < at.size(); ++i) {
    const double dx = 2.0 * static_cast<double>(right[i] - left[i]);
    const double dy = 2.0 * static_cast<double>(down[i] - up[i]);
    const double v = std::max(static_cast<double>(at[i]), 1e-3);
    xx += dx * dx / v;
    xy += dx * dy / v;
    yy += dy * dy / v;
  }
  if (memory > 0 && scene.film) {
    const double f0 = scene.film->f0(), step = 0.001;
    double norm = 0.0, information = 0.0;
    const auto spectrum = [&](double f) { return std::pow(1.0 + f * f / (f0 * f0), -2.0); };
    for (double f = step; f < 0.45; f += step)
      norm += 2.0 * std::numbers::pi * f * step * spectrum(f);
    for (double f = step; f < 0.45; f += step) {
      const double r = scene.film->rms() * scene.film->rms() * scene.counts * spectrum(f) / norm;
      const double frames = 2.0 * memory - 1.0, turn = 2.0 * std::numbers::pi * f;
      information += 2.0 * std::numbers::pi * f * step * 0.5 * turn * turn * r * frames * r /
                     (1.0 + frames * r);
    }
    xx += information * scene.width * scene.height;
    yy += information * scene.width * scene.height;
  }
  const double det = xx * yy - xy * xy;
  return {std::sqrt(yy / det), std::sqrt(xx / det)};
}

/// A path with steady drift and jitter, from (0, 0).
inline std::vector<Vector2> path(int frames, Vector2 velocity, double jitter, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal(0.0, 1.0);
  std::vector<Vector2> out;
  for (int i = 0; i < frames; ++i)
    out.push_back(
        {velocity.x * i + jitter * normal(random), velocity.y * i + jitter * normal(random)});
  out[0] = {};
  return out;
}

}  // namespace latticed::test
