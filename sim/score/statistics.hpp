// SPDX-License-Identifier: GPL-3.0-or-later
// The few statistics a score needs. All of an empty list are 0.
#pragma once

#include <algorithm>
#include <cmath>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace latticed::sim {

[[nodiscard]] inline double rms(std::span<const double> values) {
  double sum = 0.0;
  for (const double v : values) sum += v * v;
  return values.empty() ? 0.0 : std::sqrt(sum / static_cast<double>(values.size()));
}

/// Of values in units of their bounds; none where there are none.
[[nodiscard]] inline std::optional<double> rms_of_any(std::span<const double> values) {
  return values.empty() ? std::nullopt : std::optional(rms(values));
}

[[nodiscard]] inline double median(std::vector<double> values) {
  if (values.empty()) return 0.0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

/// An error in units of its sigma; no sigma is no promise, so any error then is infinite.
[[nodiscard]] inline double in_sigmas(double error, double sigma) {
  return sigma > 0.0 ? error / sigma : HUGE_VAL;
}

/// The value that `part` of the values do not exceed.
[[nodiscard]] inline double quantile(std::vector<double> values, double part) {
  if (values.empty()) return 0.0;
  const auto last = static_cast<double>(values.size() - 1);
  const auto at = values.begin() + static_cast<std::ptrdiff_t>(part * last + 0.5);
  std::nth_element(values.begin(), at, values.end());
  return *at;
}

/// What minimises the sum of |value - it| / sigma. A sigma of 0 or less counts as the smallest
/// other.
[[nodiscard]] inline double weighted_median(const std::vector<double>& values,
                                            const std::vector<double>& sigmas) {
  double smallest = HUGE_VAL;
  for (const double sigma : sigmas)
    if (sigma > 0.0) smallest = std::min(smallest, sigma);
  if (!(smallest < HUGE_VAL)) return median(values);
  std::vector<std::pair<double, double>> list;  // value, weight
  double total = 0.0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    list.emplace_back(values[i], 1.0 / std::max(sigmas[i], smallest));
    total += list.back().second;
  }
  std::sort(list.begin(), list.end());
  double below = 0.0;
  for (const auto& [value, weight] : list)
    if ((below += weight) >= 0.5 * total) return value;
  return 0.0;
}

/// Standard deviation of a normal distribution with this median absolute deviation from 0.
[[nodiscard]] inline double robust_std(std::vector<double> values) {
  for (double& v : values) v = std::abs(v);
  return 1.4826 * median(std::move(values));
}

/// The part of `values` beyond +-limit.
[[nodiscard]] inline double fraction_beyond(std::span<const double> values, double limit) {
  const auto count = std::count_if(values.begin(), values.end(),
                                   [limit](double v) { return !(std::abs(v) <= limit); });
  return values.empty() ? 0.0 : static_cast<double>(count) / static_cast<double>(values.size());
}

}  // namespace latticed::sim
