// SPDX-License-Identifier: GPL-3.0-or-later
// How the stage moves by itself: a constant rate, a random walk, jumps and vibration.
#pragma once

#include <cstdint>

#include "sim/random/counter_random.hpp"
#include "sim/specimen/curve.hpp"
#include "sim/specimen/geometry.hpp"
#include "sim/specimen/motion.hpp"

namespace latticed::sim {

class StageDrift {
 public:
  StageDrift(const DriftModel& model, std::uint64_t seed, double dt_s) noexcept
      : model_(model), seed_(seed), dt_s_(dt_s) {
    before_nm_ = -1.0 * rate_step_nm() - walk_nm(0);
  }

  void advance(std::uint64_t frame) noexcept {
    frame_ = frame;
    before_nm_ = offset_nm_;
    offset_nm_ = offset_nm_ + walk_nm(frame) + rate_step_nm();
  }

  void jump(Pair by_nm) noexcept {
    const Vector by{by_nm[0], by_nm[1]};
    before_nm_ = before_nm_ + by;
    offset_nm_ = offset_nm_ + by;
  }

  [[nodiscard]] Vector at(double t_s) const noexcept {
    const double swing = sin_cos_turns(model_.vibration_hz * t_s).sine;
    return offset_nm_ + swing * Vector{model_.vibration_nm[0], model_.vibration_nm[1]};
  }

  /// The way through the frame whose mid-exposure is at middle_s.
  [[nodiscard]] Motion motion(double middle_s) const noexcept {
    return {middle_s,
            dt_s_,
            before_nm_,
            offset_nm_,
            offset_nm_ + walk_nm(frame_ + 1) + rate_step_nm(),
            {model_.vibration_nm[0], model_.vibration_nm[1]},
            model_.vibration_hz};
  }

 private:
  /// Of one frame: the same whenever it is asked for.
  [[nodiscard]] Vector walk_nm(std::uint64_t frame) const noexcept {
    RandomStream random(seed_, Purpose::drift, frame);
    Vector walk;
    random.normal_pair(walk.x, walk.y);
    return model_.walk_nm_per_sqrt_s * std::sqrt(dt_s_) * walk;
  }
  [[nodiscard]] Vector rate_step_nm() const noexcept {
    return dt_s_ * Vector{model_.rate_nm_per_s[0], model_.rate_nm_per_s[1]};
  }

  const DriftModel model_;
  std::uint64_t seed_;
  double dt_s_;
  std::uint64_t frame_ = 0;
  Vector before_nm_;  // where it was a frame ago, with this frame's jump
  Vector offset_nm_;
};

}  // namespace latticed::sim
