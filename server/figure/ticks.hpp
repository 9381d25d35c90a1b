// SPDX-License-Identifier: GPL-3.0-or-later
// Round numbers for axes and scale bars: 1, 2 or 5 times a power of ten.
#pragma once

#include <string>
#include <vector>

namespace latticed {

/// The largest round number that is not above `value` (> 0).
[[nodiscard]] double round_down_125(double value) noexcept;

struct Ticks {
  std::vector<double> values;
  double step = 1.0;
  int exponent = 0;  // labels are of value / 10^exponent; 0 unless numbers are very large or small

  [[nodiscard]] std::string label(double value) const;
};

/// About `wanted` ticks inside [low, high]; a range that is none gives none.
[[nodiscard]] Ticks nice_ticks(double low, double high, int wanted);

}  // namespace latticed
