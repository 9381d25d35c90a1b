// SPDX-License-Identifier: GPL-3.0-or-later
// Which reflections are of a lattice that fills the field. Such a lattice moves under a window that
// rests: a frame that has moved by s is F(k) = a W(k - g) exp(-2 pi i g.s), W the window's
// transform, so all bins about g turn by g, not each by its own k as those of an object in the
// field do. It is known by its shape: a matched filter with the window's own peak.
//
// Used by the drift tracker only. No threads, no allocation after the constructor.
#pragma once

#include <array>
#include <complex>
#include <span>
#include <vector>

#include "server/base/fixed_vector.hpp"
#include "server/signal/drift_match.hpp"
#include "server/signal/peak_detect.hpp"

namespace latticed::signal {

/// The transform of a separable window about its centre, 1 at zero.
class WindowPeak {
 public:
  static constexpr int kReach_bins = 20;
  WindowPeak(const std::vector<float>& taper_x, const std::vector<float>& taper_y);
  /// dx, dy in bins; 0 beyond kReach_bins.
  [[nodiscard]] double at(double dx, double dy) const noexcept {
    return along(x_, dx) * along(y_, dy);
  }

 private:
  static std::vector<double> table_of(const std::vector<float>& taper);
  static double along(const std::vector<double>& table, double bins) noexcept;
  std::vector<double> x_, y_;
};

/// A mean spectrum whose frames were moved back by their shifts, exp(+2 pi i k.s): so their windows
/// lie against the mean of these shifts.
struct MeanSpectrum {
  const Spectrum& bins;
  double noise = 0.0;   // power per bin
  Vector2 shift_cells;  // mean
};

class FillingLattice {
 public:
  FillingLattice(const AnalysisGrid& grid, const std::vector<float>& taper_x,
                 const std::vector<float>& taper_y);

  /// Of these reflections, label l is reflections[l - 1]. A reflection too faint to show a shape
  /// goes with the plain ones. g to what shot noise and film allow, about a hundredth of a bin:
  /// what it is off by is an error of scale of the way between template and frame.
  [[nodiscard]] std::array<FillingReflection, kLabels> find(
      const MeanSpectrum& mean, std::span<const Peak> reflections) const noexcept;
  [[nodiscard]] const WindowPeak& peak() const noexcept { return peak_; }

 private:
  static constexpr int kShapeReach = 4;  // bins about a reflection whose shape is looked at
  struct Bin {
    double kx, ky;
    std::complex<double> value;
  };
  struct Surroundings {
    FixedVector<Bin, (2 * kShapeReach + 1) * (2 * kShapeReach + 1)> bins;
    double power = 0.0;  // of all, noise taken off
  };
  [[nodiscard]] Surroundings surroundings_of(const MeanSpectrum& mean, int kx,
                                             int ky) const noexcept;
  struct Match {
    double power = 0.0;      // of all bins, in a window's peak
    double amplitude = 0.0;  // of its highest
  };
  [[nodiscard]] Match match(const Surroundings& about, Vector2 g_bins) const noexcept;
  [[nodiscard]] Vector2 top_near(Vector2 bin, const Surroundings& about) const noexcept;
  AnalysisGrid grid_;
  WindowPeak peak_;
  double place_variance_;  // of the place in the field, weighted by the window, cells^2
};

}  // namespace latticed::signal
