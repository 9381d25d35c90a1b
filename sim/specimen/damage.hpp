// SPDX-License-Identifier: GPL-3.0-or-later
// What beam and humid air do to the crystal: the amorphous rim grows inward, the lattice fades, and
// in air the layers swell.
#pragma once

#include <algorithm>

#include "sim/random/elementary.hpp"
#include "sim/scenario/scenario.hpp"

namespace latticed::sim {

class Damage {
 public:
  Damage(const DoseModel& dose, const AirModel& air, double rim_nm) noexcept
      : dose_(dose), air_(air), first_rim_nm_(rim_nm) {}

  void advance(double fluence_e_per_nm2, double dt_s) noexcept {
    fluence_e_per_nm2_ += fluence_e_per_nm2;
    t_s_ += dt_s;
  }

  [[nodiscard]] double fluence_e_per_nm2() const noexcept { return fluence_e_per_nm2_; }
  [[nodiscard]] double rim_nm() const noexcept {
    return first_rim_nm_ + dose_.rim_nm_per_e_per_nm2 * harmful() + air_.rim_nm_per_s * in_air_s();
  }
  [[nodiscard]] double crystallinity() const noexcept {
    if (dose_.critical_e_per_nm2 == 0.0) return 1.0;
    return exponential(-std::min(500.0, harmful() / dose_.critical_e_per_nm2));
  }
  [[nodiscard]] double layer_factor() const noexcept {
    if (air_.tau_s == 0.0) return 1.0;
    const double taken_up = 1.0 - exponential(-std::min(500.0, in_air_s() / air_.tau_s));
    return 1.0 + 0.01 * air_.layer_change_percent * taken_up;
  }
  [[nodiscard]] bool has_begun() const noexcept {
    return rim_nm() > first_rim_nm_ + 0.1 || crystallinity() < 0.95;
  }

 private:
  [[nodiscard]] double harmful() const noexcept {
    return std::max(0.0, fluence_e_per_nm2_ - dose_.threshold_e_per_nm2);
  }
  [[nodiscard]] double in_air_s() const noexcept {
    return air_.tau_s == 0.0 ? 0.0 : std::max(0.0, t_s_ - air_.onset_s);
  }

  const DoseModel dose_;
  const AirModel air_;
  double first_rim_nm_;
  double fluence_e_per_nm2_ = 0.0;
  double t_s_ = 0.0;
};

}  // namespace latticed::sim
