// SPDX-License-Identifier: GPL-3.0-or-later
// The streak of a straight edge: a beam stop, a bar of light, a crack put power into all bins of
// the line through the origin along the edge's normal, falling as 1/k^2 and faster where the edge
// is soft. Two parallel edges interfere, so the streak has maxima that look like spots. Along its
// line everything is as bright; beside it nothing is. PeakDetector asks of a spot that it stands
// out of the line it is on, LatticeStage adds a streak's power to the noise of the spots it
// crosses. Stateless; does not allocate.
#pragma once

#include <array>
#include <cstddef>
#include <span>

#include "server/frame/measurements.hpp"
#include "server/signal/analysis_grid.hpp"

namespace latticed::signal {

struct Peak;
struct RingNoise;

class StreakGauge {
 public:
  static constexpr std::size_t kMostSamples = 64;

  struct Level {
    double power = 0.0;       // |F|^2 under the window, in units of its noise: as of a plain bin
    std::size_t samples = 0;  // bins of the line it is from; 0: there is no streak
  };
  /// The frame's own window, or that times Hann's (-1) or one open at the edges (1) along an axis:
  /// the bin's neighbours have sign/4, the bin 1/2.
  struct Window {
    float x = 0.0f, y = 0.0f;
    double noise_ratio = 1.0;  // of noise in it, over that of a plain bin
  };

  /// min_fringes as in DetectConfig. false_alarms: how many maxima a frame one streak may have that
  /// exceed threshold() times its level, on the average.
  StreakGauge(const AnalysisGrid& grid, double min_fringes, double false_alarms);

  /// What there is of a frame: its spectrum and what its rings have anyway; spots known to be no
  /// streak's, which a row has on one line; all maxima, each of which has feet; and spots of
  /// lattices, which are no streak's wherever on the line they are: so two phases' layers lie.
  struct Frame {
    const Spectrum& spectrum;
    const RingNoise& noise;
    std::span<const Peak> spots, maxima, of_lattices{};
  };
  /// The strongest of the streaks that pass within `aside` bins of the place (kx, ky) = `bins`,
  /// from the bins of their lines on either side of it; the place itself and the known spots have
  /// no part. What is not there on the near side, too, or is fainter than half of what the ring
  /// has, is no streak.
  [[nodiscard]] Level near(const Frame& frame, Vector2 bins, double aside) const noexcept;
  [[nodiscard]] Level near(const Frame& frame, Vector2 bins, double aside,
                           const Window& window) const noexcept;
  /// T for a level from so many samples; infinite where they are too few to tell.
  [[nodiscard]] double threshold(std::size_t samples) const noexcept { return threshold_[samples]; }
  /// The probability that a place of a streak that is as uneven as noise has more than t times its
  /// level from so many samples: the mean of exp(-t level) for a true mean of 1, where the level is
  /// twice the r-th smallest of n exponential variables (Renyi 1953).
  [[nodiscard]] static double exceeded(double t, std::size_t samples) noexcept;
  /// The same for one known place of noise (E|F|^2, known) and a streak (a Level, of which the
  /// samples say how well it is known) together: that they give this power or more. `power` and
  /// `noise` are in the unit of streak.power; noise above 0.
  [[nodiscard]] static double false_alarm(double power, double noise, const Level& streak) noexcept;

 private:
  [[nodiscard]] Level through(const Frame& frame, Vector2 bins,
                              const Window& window) const noexcept;
  [[nodiscard]] double mean_at(const Frame& frame, Vector2 bins,
                               const Window& window) const noexcept;
  [[nodiscard]] double power_of(const Spectrum& spectrum, int kx, int ky,
                                const Window& window) const noexcept;
  AnalysisGrid grid_;
  // As ring_at has them: the band, cycles per cell, and rings by the root of the radius.
  double lowest_, highest_, root_lowest_, rings_per_root_;
  std::array<double, kMostSamples + 1> threshold_{};
};

}  // namespace latticed::signal
