// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/signal/reflection_mean.hpp"

#include <algorithm>
#include <cmath>
#include <complex>
#include <numbers>

#include "server/base/fixed_vector.hpp"
#include "server/signal/drift_leak.hpp"

namespace latticed::signal {

namespace {

constexpr float kPlain = 0.1f;  // of the strongest one's power: higher orders would wrap
constexpr double kMostScatter = 0.1 * 0.1;  // cycles^2
constexpr double kLeastScatter = 1e-4;      // a fit to few phases knows its own scatter badly
constexpr double kCollinear = 0.02;         // of the product of the axes' information

struct Phase {
  Vector2 g;
  double cycles = 0.0, weight = 0.0;
};

// Of the coefficient, by all that lies within a bin of it.
Phase phase_of(const Peak& peak, const AnalysisGrid& grid, const Spectrum& frame,
               const Spectrum& mean, Vector2 near_cells) {
  std::complex<double> cross{};
  for (int dx = -1; dx <= 1; ++dx)
    for (int dy = -1; dy <= 1; ++dy)
      cross += std::complex<double>(hann_bin(grid, frame, peak.kx + dx, peak.ky + dy) *
                                    std::conj(hann_bin(grid, mean, peak.kx + dx, peak.ky + dy)));
  const Vector2 g{static_cast<double>(peak.kx) / grid.width,
                  static_cast<double>(peak.ky) / grid.height};
  const double cycles = -std::arg(cross) / (2.0 * std::numbers::pi);
  const double whole = std::round(g.x * near_cells.x + g.y * near_cells.y - cycles);
  return {g, cycles + whole, std::abs(cross)};
}

}  // namespace

std::optional<MeanMotion> mean_motion(const AnalysisGrid& grid, const Spectrum& frame,
                                      const Spectrum& mean, std::span<const Peak> reflections,
                                      Vector2 near_cells) {
  FixedVector<Phase, kLabels> phases;
  for (const Peak& peak : reflections)
    if (peak.power >= kPlain * reflections[0].power)
      phases.push_back(phase_of(peak, grid, frame, mean, near_cells));
  double axx = 0, axy = 0, ayy = 0, bx = 0, by = 0;
  for (const Phase& p : phases) {
    axx += p.weight * p.g.x * p.g.x;
    axy += p.weight * p.g.x * p.g.y;
    ayy += p.weight * p.g.y * p.g.y;
    bx += p.weight * p.g.x * p.cycles;
    by += p.weight * p.g.y * p.cycles;
  }
  const double det = axx * ayy - axy * axy;
  if (phases.size() < 2 || det < kCollinear * axx * ayy) return {};  // one axis is free
  const Vector2 s{(ayy * bx - axy * by) / det, (axx * by - axy * bx) / det};
  double misfit = 0.0, weights = 0.0;
  for (const Phase& p : phases) {
    const double residual = p.g.x * s.x + p.g.y * s.y - p.cycles;
    misfit += p.weight * residual * residual;
    weights += p.weight;
  }
  const double variance = misfit / weights;  // cycles^2 of one phase
  if (variance > kMostScatter) return {};
  const double per_phase = std::max(variance, kLeastScatter) * weights /
                           std::max(1.0, static_cast<double>(phases.size()) - 2.0);
  return MeanMotion{s, {per_phase * ayy / det, -per_phase * axy / det, per_phase * axx / det}};
}

}  // namespace latticed::signal
