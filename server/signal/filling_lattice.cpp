// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/signal/filling_lattice.hpp"

#include <algorithm>
#include <cmath>
#include <complex>
#include <numbers>

namespace latticed::signal {

namespace {

constexpr double kTwoPi = 2.0 * std::numbers::pi;
constexpr int kStepsPerBin = 32;  // linear between: within 1e-3 of the peak
// Of the power about a reflection, in the window's peak. A crystal that fills the field has 0.95
// and more, the simulator's particle 0.74 (0.83 where the field cuts it).
constexpr double kSameShape = 0.9;
constexpr double kPlainShape = 30.0;  // standard deviations of noise: that is told to 3 %

// Of the place along an axis, weighted by the window's square, cells^2.
double place_variance(const std::vector<float>& taper) {
  double sum = 0.0, second = 0.0;
  for (std::size_t i = 0; i < taper.size(); ++i) {
    const double x = static_cast<double>(i) - 0.5 * (static_cast<double>(taper.size()) - 1.0);
    const double weight = static_cast<double>(taper[i]) * static_cast<double>(taper[i]);
    sum += weight;
    second += weight * x * x;
  }
  return second / sum;
}

}  // namespace

WindowPeak::WindowPeak(const std::vector<float>& taper_x, const std::vector<float>& taper_y)
    : x_(table_of(taper_x)), y_(table_of(taper_y)) {}

std::vector<double> WindowPeak::table_of(const std::vector<float>& taper) {
  double sum = 0.0;
  for (const float weight : taper) sum += static_cast<double>(weight);
  const auto n = static_cast<double>(taper.size());
  std::vector<double> out;
  for (int step = 0; step <= kReach_bins * kStepsPerBin; ++step) {
    const double per_cell = kTwoPi * step / (kStepsPerBin * n);
    double value = 0.0;
    for (std::size_t i = 0; i < taper.size(); ++i)
      value += static_cast<double>(taper[i]) *
               std::cos(per_cell * (static_cast<double>(i) - 0.5 * (n - 1.0)));
    out.push_back(value / sum);
  }
  return out;
}

double WindowPeak::along(const std::vector<double>& table, double bins) noexcept {
  const double at = std::abs(bins) * kStepsPerBin;
  const auto i = static_cast<std::size_t>(at);
  if (i + 1 >= table.size()) return 0.0;
  const double part = at - static_cast<double>(i);
  return (1.0 - part) * table[i] + part * table[i + 1];
}

FillingLattice::FillingLattice(const AnalysisGrid& grid, const std::vector<float>& taper_x,
                               const std::vector<float>& taper_y)
    : grid_(grid),
      peak_(taper_x, taper_y),
      place_variance_(std::min(place_variance(taper_x), place_variance(taper_y))) {}

// The bins about (kx, ky), turned so that a filling reflection is real but for one phase.
FillingLattice::Surroundings FillingLattice::surroundings_of(const MeanSpectrum& mean, int kx0,
                                                             int ky0) const noexcept {
  // The window's transform is real about its centre.
  const double px = kTwoPi / grid_.width * (0.5 * (grid_.width - 1) - mean.shift_cells.x),
               py = kTwoPi / grid_.height * (0.5 * (grid_.height - 1) - mean.shift_cells.y);
  Surroundings out;
  for (int kx = kx0 - kShapeReach; kx <= kx0 + kShapeReach; ++kx)
    for (int ky = ky0 - kShapeReach; ky <= ky0 + kShapeReach; ++ky) {
      if (std::abs(kx) >= grid_.kx_count || std::abs(ky) > grid_.height / 2) continue;
      // Those before kx = 0 are mirror images, and of column 0 only one half is kept up to date.
      const bool is_mirror = kx < 0 || (kx == 0 && ky < 0);
      const Complex stored = mean.bins[grid_.at(std::abs(kx), grid_.row_of(is_mirror ? -ky : ky))];
      const std::complex<double> value(is_mirror ? std::conj(stored) : stored);
      out.bins.push_back({static_cast<double>(kx), static_cast<double>(ky),
                          value * std::polar(1.0, px * kx + py * ky)});
      out.power += std::norm(value) - mean.noise;
    }
  return out;
}

// The part of their power that is a window's peak about g.
FillingLattice::Match FillingLattice::match(const Surroundings& about, Vector2 g) const noexcept {
  std::complex<double> both;
  double weights = 0.0;
  for (const Bin& bin : about.bins) {
    const double peak = peak_.at(bin.kx - g.x, bin.ky - g.y);
    weights += peak * peak;
    both += peak * bin.value;
  }
  weights = std::max(weights, 1e-300);
  return {std::norm(both) / weights, std::abs(both) / weights};
}

// Where the matched power is highest: a detected peak may be more than half a bin from it. First
// the best of nine, then tops of parabolas through three points per axis, finer and finer.
Vector2 FillingLattice::top_near(Vector2 bin, const Surroundings& about) const noexcept {
  Vector2 g = bin;
  double highest = 0.0;
  for (const double dx : {-0.5, 0.0, 0.5})
    for (const double dy : {-0.5, 0.0, 0.5}) {
      const double power = match(about, {bin.x + dx, bin.y + dy}).power;
      if (power > highest) g = {bin.x + dx, bin.y + dy}, highest = power;
    }
  for (const double step : {0.3, 0.1, 0.03}) {
    const double here = match(about, g).power;
    const auto way = [&](Vector2 axis) {
      const double before = match(about, {g.x - step * axis.x, g.y - step * axis.y}).power;
      const double after = match(about, {g.x + step * axis.x, g.y + step * axis.y}).power;
      const double bend = before - 2.0 * here + after;
      return bend < 0.0 ? std::clamp(0.5 * step * (before - after) / bend, -step, step) : 0.0;
    };
    g = {g.x + way({1.0, 0.0}), g.y + way({0.0, 1.0})};
  }
  return g;
}

std::array<FillingReflection, kLabels> FillingLattice::find(
    const MeanSpectrum& mean, std::span<const Peak> reflections) const noexcept {
  std::array<FillingReflection, kLabels> out{};
  std::array<bool, kLabels> is_faint{};
  double matched = 0.0, all = 0.0;
  const std::size_t count = std::min(reflections.size(), kShapes - 1);
  for (std::size_t l = 1; l <= count; ++l) {
    const Peak& peak = reflections[l - 1];
    const Surroundings about = surroundings_of(mean, peak.kx, peak.ky);
    const Vector2 g = top_near({static_cast<double>(peak.kx), static_cast<double>(peak.ky)}, about);
    const Match found = match(about, g);
    const double power = found.power - mean.noise;
    const double scatter = std::sqrt(static_cast<double>(about.bins.size())) * mean.noise;
    // What is beside the peak lies under it as well, and moves its frequency as noise does (Rife
    // and Boorstyn 1974: 1 / (2 SNR) rad^2 of phase, spread over the field).
    const double beside =
        std::max(about.power - power, 0.0) / static_cast<double>(about.bins.size()) + mean.noise;
    const double phase_variance = 0.5 * beside / std::max(found.power, 1e-300);
    is_faint[l] = about.power < kPlainShape * scatter;
    out[l] = {!is_faint[l] && power > kSameShape * about.power,
              {g.x / grid_.width, g.y / grid_.height},
              found.amplitude * found.amplitude,
              phase_variance / (kTwoPi * kTwoPi * place_variance_)};
    if (is_faint[l]) continue;
    matched += power;
    all += about.power;
  }
  for (std::size_t l = 1; l <= count; ++l)
    if (is_faint[l]) out[l].is_filling = matched > kSameShape * all;
  return out;
}

}  // namespace latticed::signal
