// SPDX-License-Identifier: GPL-3.0-or-later
// The few statistics a score needs. All of an empty list are 0.
#pragma once

#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

namespace latticed::sim {

[[nodiscard]] inline double rms(std::span<const double> values) {
  double sum = 0.0;
  for (const double v : values) sum += v * v;
  return values.empty() ? 0.0 : std::sqrt(sum / static_cast<double>(values.size()));
}

[[nodiscard]] inline double median(std::vector<double> values) {
  if (values.empty()) return 0.0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

/// Standard deviation of a normal distribution with this median absolute deviation from 0.
[[nodiscard]] inline double robust_std(std::vector<double> values) {
  for (double& v : values) v = std::abs(v);
  return 1.4826 * median(std::move(values));
}

/// An error in units of its sigma; without a sigma it is infinitely many.
[[nodiscard]] inline double in_sigmas(double error, double sigma) {
  return sigma > 0.0 ? error / sigma : HUGE_VAL;
}

/// The part of `values` beyond +-limit.
[[nodiscard]] inline double fraction_beyond(std::span<const double> values, double limit) {
  const auto count = std::count_if(values.begin(), values.end(),
                                   [limit](double v) { return !(std::abs(v) <= limit); });
  return values.empty() ? 0.0 : static_cast<double>(count) / static_cast<double>(values.size());
}

}  // namespace latticed::sim
