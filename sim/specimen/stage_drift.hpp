// SPDX-License-Identifier: GPL-3.0-or-later
// How the stage moves by itself: a constant rate, a random walk, jumps and vibration.
#pragma once

#include <cstdint>

#include "sim/random/counter_random.hpp"
#include "sim/specimen/curve.hpp"
#include "sim/specimen/geometry.hpp"

namespace latticed::sim {

class StageDrift {
 public:
  StageDrift(const DriftModel& model, std::uint64_t seed, double dt_s) noexcept
      : model_(model), seed_(seed), dt_s_(dt_s) {}

  void advance(std::uint64_t frame) noexcept {
    RandomStream random(seed_, Purpose::drift, frame);
    Vector walk;
    random.normal_pair(walk.x, walk.y);
    const double step_nm = model_.walk_nm_per_sqrt_s * std::sqrt(dt_s_);
    offset_nm_ = offset_nm_ + step_nm * walk +
                 dt_s_ * Vector{model_.rate_nm_per_s[0], model_.rate_nm_per_s[1]};
  }

  void jump(Pair by_nm) noexcept { offset_nm_ = offset_nm_ + Vector{by_nm[0], by_nm[1]}; }

  [[nodiscard]] Vector at(double t_s) const noexcept {
    const double swing = sin_cos_turns(model_.vibration_hz * t_s).sine;
    return offset_nm_ + swing * Vector{model_.vibration_nm[0], model_.vibration_nm[1]};
  }

 private:
  const DriftModel model_;
  std::uint64_t seed_;
  double dt_s_;
  Vector offset_nm_;
};

}  // namespace latticed::sim
