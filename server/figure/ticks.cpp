// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/figure/ticks.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace latticed {

double round_down_125(double value) noexcept {
  const double decade = std::pow(10.0, std::floor(std::log10(value) + 1e-9));
  const double mantissa = value / decade;
  const double round = mantissa < 2.0 - 1e-9 ? 1.0 : mantissa < 5.0 - 1e-9 ? 2.0 : 5.0;
  return round * decade;
}

std::string Ticks::label(double value) const {
  const double scaled_step = step / std::pow(10.0, exponent);
  const int decimals =
      std::clamp(static_cast<int>(-std::floor(std::log10(scaled_step) + 1e-9)), 0, 12);
  double scaled = value / std::pow(10.0, exponent);
  if (std::abs(scaled) < scaled_step * 1e-6) scaled = 0.0;  // not "-0"
  char text[64];
  std::snprintf(text, sizeof(text), "%.*f", decimals, scaled);
  return text;
}

Ticks nice_ticks(double low, double high, int wanted) {
  Ticks ticks;
  if (!std::isfinite(low) || !std::isfinite(high) || !(high > low) || wanted < 1) return ticks;
  const double raw = (high - low) / wanted;
  ticks.step = round_down_125(raw);
  const double next_up = round_down_125(ticks.step * 2.5);
  const bool shows_two = std::floor(high / next_up + 1e-9) > std::ceil(low / next_up - 1e-9);
  if (raw / ticks.step > 1.5 && (shows_two || wanted < 2)) ticks.step = next_up;  // it is nearer
  const double first = std::ceil(low / ticks.step - 1e-9);
  const double last = std::floor(high / ticks.step + 1e-9);
  if (!(last - first < 1000.0)) return ticks;
  for (double n = first; n <= last; ++n) ticks.values.push_back(n * ticks.step);
  const double largest = std::max(std::abs(low), std::abs(high));
  if (largest >= 1e5 || largest < 1e-3) {
    ticks.exponent = static_cast<int>(std::floor(std::log10(largest) + 1e-9));
  }
  return ticks;
}

}  // namespace latticed
