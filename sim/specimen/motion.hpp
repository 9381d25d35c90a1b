// SPDX-License-Identifier: GPL-3.0-or-later
// Where the specimen is while a frame is taken, for detectors that take it row by row.
#pragma once

#include "sim/specimen/geometry.hpp"

namespace latticed::sim {

/// Straight from one mid-exposure to the next, and the vibration on top. A jump falls between
/// frames, so `before` has the frame's own jump in it and `after` none of the next frame's.
struct Motion {
  double middle_s = 0.0;                // of the exposure, in experiment time
  double period_s = 1.0;                // from one mid-exposure to the next
  Vector before_nm, here_nm, after_nm;  // at the last, this and the next one, without vibration
  Vector vibration_nm;
  double vibration_hz = 0.0;

  /// Displacement at time t_s against that at mid-exposure, nm.
  [[nodiscard]] Vector since_middle_nm(double t_s) const noexcept {
    const double periods = (t_s - middle_s) / period_s;
    const Vector step = periods < 0.0 ? here_nm - before_nm : after_nm - here_nm;
    const double swing =
        sin_cos_turns(vibration_hz * t_s).sine - sin_cos_turns(vibration_hz * middle_s).sine;
    return periods * step + swing * vibration_nm;
  }

  /// The constant velocity that fits the motion over `duration_s` about mid-exposure best, in
  /// least squares.
  [[nodiscard]] Vector velocity_nm_per_s(double duration_s) const noexcept {
    constexpr int kSamples = 64;
    Vector sum;
    double weight = 0.0;
    for (int i = 0; i < kSamples; ++i) {
      const double after_s = ((i + 0.5) / kSamples - 0.5) * duration_s;
      sum = sum + after_s * since_middle_nm(middle_s + after_s);
      weight += after_s * after_s;
    }
    return weight > 0.0 ? (1.0 / weight) * sum : Vector{};
  }
};

/// How a frame scanned row by row (down, +y) shows a specimen that moves by `per_row` rows of
/// pixels from one row to the next: r' = A r about its middle. A point at r is met in row y' of
/// r' = r + per_row y', so A = (I - per_row e_y^T)^-1.
[[nodiscard]] constexpr Matrix scan_matrix(Vector per_row) noexcept {
  const double stretched = 1.0 / (1.0 - per_row.y);
  return {1.0, per_row.x * stretched, 0.0, stretched};
}

}  // namespace latticed::sim
