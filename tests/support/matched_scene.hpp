// SPDX-License-Identifier: GPL-3.0-or-later
// A template of one scene, free of noise, the list of bins chosen from it, and frames with noise
// matched against it: what the parts of the drift tracker are given, without a tracker.
#pragma once

#include <algorithm>
#include <memory>

#include "server/signal/drift_bins.hpp"
#include "server/signal/match_fit.hpp"
#include "server/signal/running_template.hpp"
#include "tests/support/analysed_frame.hpp"
#include "tests/support/synthetic_scene.hpp"

namespace latticed::test {

inline Scene particle_on_film(double counts, std::uint64_t film = 3) {
  Scene scene{.counts = counts};
  scene.lattice = layered_lattice();
  scene.radius = 75.0;
  scene.centre = {10.0, -8.0};
  scene.film = std::make_shared<Film>(256, 256, film, 0.08);
  return scene;
}

struct MatchedScene {
  static constexpr std::size_t kBlocks = 4096;
  static constexpr int kMemory = 32;

  explicit MatchedScene(const Scene& scene)
      : analysis(scene.width, scene.height),
        bins(analysis.grid(), kBlocks),
        list(analysis.grid(), kBlocks),
        mean(analysis.grid(), kMemory),
        ramps(analysis.grid()),
        window(analysis.fft().taper_x(), analysis.fft().taper_y()) {
    const Prepared& clean = analysis(expect(scene));
    mean.begin(clean.spectrum, 0.0);
    const Prepared& noisy = analysis(noise(expect(scene)));
    white = static_cast<double>(noisy.peaks.noise.white);
    bins.choose(mean.mean(), {white / kMemory, white, &noisy.peaks.noise}, false,
                {noisy.peaks.peaks.begin(), noisy.peaks.peaks.size()});
    list.choose(bins.blocks(), bins.label_begin(), mean.mean(), {}, {});
    std::array<double, signal::kLabels> frame_noise;
    frame_noise.fill(white);
    list.weigh({}, frame_noise);
  }

  [[nodiscard]] signal::FitNoise fit_noise() const { return {{}, white}; }
  const signal::Spectrum& frame(const Scene& scene, Vector2 shift = {}) {
    return analysis(noise(expect(scene, shift))).spectrum;
  }
  signal::MatchResult match(const Scene& scene, Vector2 shift = {}, Vector2 start = {}) {
    list.load(frame(scene, shift));
    return signal::maximise(list, ~0u, start, 2.0, window, {}, ramps);
  }

  FrameAnalysis analysis;
  ShotNoise noise{17};
  signal::DriftBins bins;
  signal::MatchList list;
  signal::RunningTemplate mean;
  signal::PhaseRamps ramps;
  signal::WindowOverlap window;
  double white = 0.0;
};

}  // namespace latticed::test
