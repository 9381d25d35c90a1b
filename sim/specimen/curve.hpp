// SPDX-License-Identifier: GPL-3.0-or-later
// Piecewise linear curves of the scenario.
#pragma once

#include "sim/scenario/scenario.hpp"

namespace latticed::sim {

/// Linear between the points, constant outside them; `otherwise` when there are none.
[[nodiscard]] inline double value_at(const Curve& curve, double x, double otherwise) noexcept {
  if (curve.empty()) return otherwise;
  if (x <= curve.front()[0]) return curve.front()[1];
  for (std::size_t i = 1; i < curve.size(); ++i) {
    if (x > curve[i][0]) continue;
    const double part = (x - curve[i - 1][0]) / (curve[i][0] - curve[i - 1][0]);
    return curve[i - 1][1] + part * (curve[i][1] - curve[i - 1][1]);
  }
  return curve.back()[1];
}

}  // namespace latticed::sim
