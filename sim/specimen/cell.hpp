// SPDX-License-Identifier: GPL-3.0-or-later
// The particle as an electrode: charge counted over its capacity, and the voltage to it.
#pragma once

#include <algorithm>
#include <limits>

#include "sim/specimen/curve.hpp"

namespace latticed::sim {

class Cell {
 public:
  explicit Cell(const CellModel& model) noexcept
      : model_(model), state_of_charge_(model.state_of_charge) {}

  /// A new set-point lifts a cut-off.
  void set_current(double current_a) noexcept {
    current_a_ = current_a;
    is_cut_off_ = false;
  }
  /// The source's own limit; the lower of it and the scenario's ends the current.
  void set_compliance(double compliance_v) noexcept { compliance_v_ = compliance_v; }

  /// Positive current charges: it takes sodium out. Returns whether the voltage limit cut it off.
  bool advance(double dt_s) noexcept {
    state_of_charge_ =
        std::clamp(state_of_charge_ + current_a_ * dt_s / model_.capacity_c, 0.0, 1.0);
    const double limit_v = std::min(model_.voltage_limit_v, compliance_v_);
    if (current_a_ <= 0.0 || (voltage_v() < limit_v && state_of_charge_ < 1.0)) return false;
    current_a_ = 0.0;
    is_cut_off_ = true;
    return true;
  }

  [[nodiscard]] double state_of_charge() const noexcept { return state_of_charge_; }
  [[nodiscard]] double current_a() const noexcept { return current_a_; }
  [[nodiscard]] bool is_cut_off() const noexcept { return is_cut_off_; }
  [[nodiscard]] double voltage_v() const noexcept {
    return value_at(model_.voltage_v, state_of_charge_, 0.0) + current_a_ * model_.resistance_ohm;
  }

 private:
  const CellModel model_;
  double state_of_charge_;
  double current_a_ = 0.0;
  double compliance_v_ = std::numeric_limits<double>::infinity();
  bool is_cut_off_ = false;
};

}  // namespace latticed::sim
