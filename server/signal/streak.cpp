// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/signal/streak.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "server/signal/peak_detect.hpp"

namespace latticed::signal {

namespace {

// A spot's main lobe, and its feet under the frame's taper, of its power under Hann's.
constexpr double kSpotBins = 4.0, kFeetBins = 14.0, kFeet = 0.02;
constexpr double kOwnBins = 3.0;  // of a spot: nearer than this the line shows the spot itself
// The line is looked at as far as half the place's radius, but at least and at most so far.
constexpr double kReach = 0.5, kLeastReach_bins = 14.0, kMostReach_bins = 27.0;
// Along the axes lie the ends that the taper makes of what crosses the field's edges.
constexpr double kAxisBins = 2.0;
constexpr std::size_t kFewestSamples = 6;
constexpr int kHighestOrder = 4;
constexpr double kOrderBins = 0.5;
// Nearer to the origin there is all that varies over the field.
constexpr double kFirst_bins = 2.5;
// A streak's level is what a third of the line does not reach, so that the orders of a row and the
// minima between them leave it alone; twice that, since two edges interfere as cos^2, a third of
// which is below 1/4 and the mean of which is 1/2.
constexpr std::size_t kRankDivisor = 3;
constexpr double kLevelOverRank = 2.0;
// In rings' means: what the stronger of two bins of noise exceeds in a quarter of all places.
constexpr double kNoiseTop = 2.0;
constexpr double kFaintest = 0.5;  // of the ring's mean

double threshold_for(std::size_t samples, double probability) {
  double low = 0.0, high = 1e9;
  for (int i = 0; i < 80; ++i) {
    const double middle = 0.5 * (low + high);
    (StreakGauge::exceeded(middle, samples) > probability ? low : high) = middle;
  }
  return high;
}

// Both are orders of one row of planes, up to the fourth.
bool are_orders(double a, double b) {
  for (int m = 1; m <= kHighestOrder; ++m)
    for (int n = 1; n <= kHighestOrder; ++n)
      if (m != n && std::abs(m * a - n * b) < kOrderBins * std::max(m, n)) return true;
  return false;
}

// A real image's maximum and its Friedel mate: one of the two is what is asked for.
template <typename Test>
bool is_either_of_pair(const Peak& peak, Test is_it) {
  const Vector2 at{static_cast<double>(peak.kx), static_cast<double>(peak.ky)};
  return is_it(at) || is_it(Vector2{-at.x, -at.y});
}

bool is_in_lobe(const Peak& spot, Vector2 at) {
  return is_either_of_pair(
      spot, [&](Vector2 k) { return std::hypot(at.x - k.x, at.y - k.y) < kSpotBins; });
}

// `at` is in the lobe of a known spot that is an order of the row of the place looked at, `own`,
// or of a lattice.
bool is_of_crystal(const StreakGauge::Frame& frame, Vector2 own, Vector2 at) {
  const double radius = std::hypot(own.x, own.y);
  return std::any_of(frame.spots.begin(), frame.spots.end(),
                     [&](const Peak& spot) {
                       return is_in_lobe(spot, at) &&
                              are_orders(radius, std::hypot(spot.kx, spot.ky));
                     }) ||
         std::any_of(frame.of_lattices.begin(), frame.of_lattices.end(),
                     [&](const Peak& spot) { return is_in_lobe(spot, at); });
}

// `at`, of this power, is in the feet of a maximum that is not the one at the place looked at.
bool is_of_feet(std::span<const Peak> maxima, Vector2 own, Vector2 at, double power) {
  return std::any_of(maxima.begin(), maxima.end(), [&](const Peak& peak) {
    return power < kFeet * static_cast<double>(peak.power) &&
           is_either_of_pair(peak, [&](Vector2 k) {
             return std::hypot(own.x - k.x, own.y - k.y) >= kOwnBins &&
                    std::hypot(at.x - k.x, at.y - k.y) < kFeetBins;
           });
  });
}

}  // namespace

StreakGauge::StreakGauge(const AnalysisGrid& grid, double min_fringes, double false_alarms)
    : grid_(grid),
      lowest_(min_fringes / std::min(grid.width, grid.height)),
      highest_(0.5 * grid.band),
      root_lowest_(std::sqrt(lowest_)),
      rings_per_root_(static_cast<double>(kRings) / (std::sqrt(highest_) - root_lowest_)) {
  // A streak is three bins wide and runs from the origin to the band's edge.
  const double bins = 3.0 * 0.5 * grid.band * std::max(grid.width, grid.height);
  const double probability = std::min(0.5, false_alarms / std::max(1.0, bins));
  threshold_.fill(std::numeric_limits<double>::infinity());
  for (std::size_t n = kFewestSamples; n <= kMostSamples; ++n)
    threshold_[n] = threshold_for(n, probability);
}

double StreakGauge::exceeded(double t, std::size_t samples) noexcept {
  double product = 1.0;
  for (std::size_t i = 0; i <= samples / kRankDivisor; ++i) {
    const auto rate = static_cast<double>(samples - i);
    product *= rate / (rate + kLevelOverRank * t);
  }
  return product;
}

double StreakGauge::false_alarm(double power, double noise, const Level& streak) noexcept {
  const double all = noise + streak.power;
  if (streak.samples == 0) return std::exp(-power / all);
  return std::exp(-power / all * (noise / all)) *
         exceeded(power / all * (streak.power / all), streak.samples);
}

double StreakGauge::power_of(const Spectrum& spectrum, int kx, int ky,
                             const Window& window) const noexcept {
  // A bin of the lower half is the conjugate of one of the upper.
  const auto value_of = [&](int x, int y) -> Complex {
    const bool is_mirrored = x < 0;
    if (is_mirrored) x = -x, y = -y;
    if (x >= grid_.kx_count || std::abs(y) > grid_.height / 2) return {};
    const Complex value = spectrum[grid_.at(x, grid_.row_of(y))];
    return is_mirrored ? std::conj(value) : value;
  };
  const auto along_y = [&](int x) {
    if (window.y == 0.0f) return value_of(x, ky);
    return 0.5f * value_of(x, ky) + 0.25f * window.y * (value_of(x, ky - 1) + value_of(x, ky + 1));
  };
  Complex value = along_y(kx);
  if (window.x != 0.0f)
    value = 0.5f * value + 0.25f * window.x * (along_y(kx - 1) + along_y(kx + 1));
  return static_cast<double>(value.real() * value.real() + value.imag() * value.imag()) /
         window.noise_ratio;
}

// E|F|^2 of what is no spot at this radius; below the rings, from the median around the origin.
// Negative: outside the band.
double StreakGauge::mean_at(const Frame& frame, Vector2 bins, const Window& window) const noexcept {
  const double f = std::sqrt(bins.x * bins.x / (static_cast<double>(grid_.width) * grid_.width) +
                             bins.y * bins.y / (static_cast<double>(grid_.height) * grid_.height));
  if (f >= highest_) return -1.0;
  if (f >= lowest_) {
    const double u = (std::sqrt(f) - root_lowest_) * rings_per_root_;
    return static_cast<double>(
        frame.noise.mean_power[std::min(static_cast<std::size_t>(u), kRings - 1)]);
  }
  const double radius = std::sqrt(bins.x * bins.x + bins.y * bins.y);
  constexpr std::size_t kAngles = 16;
  std::array<double, kAngles> power;
  for (std::size_t i = 0; i < kAngles; ++i) {
    const double angle = std::numbers::pi * static_cast<double>(i) / kAngles;
    power[i] = power_of(frame.spectrum, static_cast<int>(std::lround(radius * std::cos(angle))),
                        static_cast<int>(std::lround(radius * std::sin(angle))), window);
  }
  std::nth_element(power.begin(), power.begin() + kAngles / 2, power.end());
  return power[kAngles / 2] / std::numbers::ln2;
}

StreakGauge::Level StreakGauge::through(const Frame& frame, Vector2 bins,
                                        const Window& window) const noexcept {
  const double radius = std::hypot(bins.x, bins.y);
  const bool is_along_x = std::abs(bins.x) >= std::abs(bins.y);
  const double major = is_along_x ? bins.x : bins.y, minor = is_along_x ? bins.y : bins.x;
  const double slope = minor / major, per_step = radius / std::abs(major);
  const int sign = major < 0.0 ? -1 : 1;
  const double reach = std::clamp(kReach * radius, kLeastReach_bins, kMostReach_bins);
  const auto at_radius = [&](double r) {
    return Vector2{bins.x * r / radius, bins.y * r / radius};
  };
  const double own_mean = mean_at(frame, bins, window);
  if (!(own_mean > 0.0)) return {};
  // As it would be at the place, if it fell as 1/k^3: sharp edges do as 1/k^2, soft ones faster.
  // 1/k^4 makes a superlattice's place on the streak of edges 2 px wide snr 1.6, 1/k^2 0.7.
  // Along the axes, where the taper's ends lie: 1/k^6.
  const bool is_on_axis = std::abs(minor) <= kAxisBins;
  std::array<double, kMostSamples> level;
  std::size_t count = 0;
  // What one in `divisor` samples does not reach.
  const auto level_of = [&](std::size_t divisor) {
    const auto rank = static_cast<std::ptrdiff_t>(count / divisor);
    std::nth_element(level.begin(), level.begin() + rank,
                     level.begin() + static_cast<std::ptrdiff_t>(count));
    return kLevelOverRank * level[static_cast<std::size_t>(rank)];
  };
  Level out;
  const auto judge = [&](double power) {
    if (count >= kFewestSamples && power > kFaintest * own_mean && power > out.power)
      out = {power, count};
  };
  const auto raw_at = [&](int step, double mean) {
    // The line passes between two bins; an edge as long as the field is not much wider than one.
    const int at = sign * step, beside = static_cast<int>(std::floor(slope * at));
    const double here = is_along_x ? std::max(power_of(frame.spectrum, at, beside, window),
                                              power_of(frame.spectrum, at, beside + 1, window))
                                   : std::max(power_of(frame.spectrum, beside, at, window),
                                              power_of(frame.spectrum, beside + 1, at, window));
    return here - kNoiseTop * mean;
  };
  const auto add = [&](double r, double excess) {
    if (count == kMostSamples) return;
    const Vector2 place = at_radius(r);
    if (excess <= 0.0) {
      level[count++] = 0.0;
      return;
    }
    if (is_of_crystal(frame, bins, place)) return;
    const double ratio = r / radius, cubed = ratio * ratio * ratio;
    const double fall = is_on_axis ? cubed * cubed : cubed;
    level[count++] = is_of_feet(frame.maxima, bins, place, excess) ? 0.0 : excess * fall;
  };

  // The near side first: where it shows nothing, which is nearly everywhere, that is all.
  const int first = static_cast<int>(std::ceil(std::max(kFirst_bins, radius - reach) / per_step));
  const int own_first = static_cast<int>(std::floor((radius - kOwnBins) / per_step)) + 1;
  std::array<double, kMostSamples> near;
  const int near_end = std::min(own_first, first + static_cast<int>(kMostSamples));
  int bright = 0;
  for (int step = first; step < near_end; ++step) {
    const double mean = mean_at(frame, at_radius(step * per_step), window);
    double& excess = near[static_cast<std::size_t>(step - first)];
    excess = mean < 0.0 ? 0.0 : raw_at(step, mean);
    bright += excess > 0.0 ? 1 : 0;
  }
  const int near_count = near_end - first;
  if (bright == 0 || (near_count >= static_cast<int>(kFewestSamples) && 2 * bright < near_count))
    return {};
  for (int step = first; step < near_end; ++step)
    add(step * per_step, near[static_cast<std::size_t>(step - first)]);
  if (count == 0) return {};
  const auto end = level.begin() + static_cast<std::ptrdiff_t>(count);
  const double near_level = count >= kFewestSamples
                                ? level_of(2)
                                : kLevelOverRank * *std::max_element(level.begin(), end);
  judge(level_of(kRankDivisor));  // a soft edge's streak is soon below the noise
  const int last = static_cast<int>((radius + reach) / per_step);
  for (int step = static_cast<int>(std::ceil((radius + kOwnBins) / per_step)); step <= last;
       ++step) {
    const double mean = mean_at(frame, at_radius(step * per_step), window);
    if (mean < 0.0) break;  // the band's edge
    add(step * per_step, raw_at(step, mean));
  }
  judge(std::min(near_level, level_of(kRankDivisor)));
  return out;
}

StreakGauge::Level StreakGauge::near(const Frame& frame, Vector2 bins, double aside,
                                     const Window& window) const noexcept {
  const double radius = std::hypot(bins.x, bins.y);
  Level out;
  if (!(radius > 0.0)) return out;
  for (const double side : {-aside, 0.0, aside}) {
    const Vector2 place{bins.x - side * bins.y / radius, bins.y + side * bins.x / radius};
    const Level level = through(frame, place, window);
    if (level.power > out.power) out = level;
  }
  return out;
}

StreakGauge::Level StreakGauge::near(const Frame& frame, Vector2 bins,
                                     double aside) const noexcept {
  return near(frame, bins, aside, Window{});
}

}  // namespace latticed::signal
