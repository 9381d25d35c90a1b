// SPDX-License-Identifier: GPL-3.0-or-later
// What drift does to an image that is scanned line by line: while the beam comes down from line to
// line the specimen moves on, so that the lattice is seen sheared and stretched along the slow
// axis, r_true = A^-1 r_seen with A = I + v t e_y^T / (1 - v_y t), v the drift velocity and t the
// time from line to line; reciprocal vectors obey g_true = A^T g_seen. Nothing is resampled. The
// velocity is the slope of the last frames' drifts; that of a sum of frames is given. Used by
// LatticeStage.
#pragma once

#include <cstddef>

#include "server/base/fixed_vector.hpp"
#include "server/frame/measurements.hpp"
#include "server/signal/mean_velocity.hpp"

namespace latticed::signal {

class ScanDistortion {
 public:
  /// line_time_s: 0 = not scanned; then there is no matrix. Both in s, pixels square.
  ScanDistortion(double line_time_s, double frame_period_s)
      : line_time_s_(line_time_s), frame_period_s_(frame_period_s) {}

  [[nodiscard]] bool is_scanned() const noexcept { return line_time_s_ > 0.0; }

  /// One frame's drift, raw px; a lost frame's says nothing and only lets time pass.
  void advance(const DriftMeasurement& drift) noexcept;
  /// `frames` passed without a measurement.
  void skip(std::size_t frames) noexcept;
  void restart() noexcept { places_.clear(); }
  /// What is measured now is a sum of frames with this mean velocity; until the next call of
  /// either.
  void set_velocity(const MeanVelocity& mean) noexcept;

  /// A; the unit matrix while the velocity is not known yet.
  [[nodiscard]] ScanAffine affine() const noexcept;
  /// The frequency that is seen as this one, and back; in any unit.
  [[nodiscard]] Vector2 true_of(Vector2 seen) const noexcept;
  [[nodiscard]] Vector2 seen_of(Vector2 truth) const noexcept;
  /// How well d at this frequency is known, relative, as far as the velocity goes: one standard
  /// deviation. While it is not known: as if the specimen moved a tenth of a pixel a line time.
  [[nodiscard]] double sigma_ratio(Vector2 frequency) const noexcept;

 private:
  /// Frames a parabola is drawn through (a line, while there are fewer than four): its slope at the
  /// last one does not lag behind what accelerates. Fewer are noisier.
  static constexpr std::size_t kFrames = 5;
  struct Place {
    double frame = 0.0;  // 0 = the last, negative = before it
    Vector2 drift_px, variance;
  };
  void find_velocity() noexcept;

  double line_time_s_, frame_period_s_;
  FixedVector<Place, kFrames> places_;
  Vector2 velocity_, sigma_;  // px/s
  bool is_known_ = false;
};

}  // namespace latticed::signal
