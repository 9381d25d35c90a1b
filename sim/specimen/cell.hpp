// SPDX-License-Identifier: GPL-3.0-or-later
// The particle as an electrode, and the source at it, which holds a current or a voltage: charge
// counted over its capacity, and the voltage to it.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include "sim/specimen/curve.hpp"

namespace latticed::sim {

/// A held voltage V drives i = (V - OCV) / R, within the compliance, and q += i dt each frame (q:
/// state of charge times capacity Q). With s the slope of OCV against q / Q, V - OCV shrinks in a
/// frame by the factor 1 - s dt / (R Q). From 0 to 1 it decays without passing V; below 0 the
/// current changes sign from frame to frame, below -1 ever more. So R is at least
///   s_max dt / Q: then the factor is never negative, whatever compliance and period;
///   20 mV / compliance: the current leaves its limit 20 mV from V, as that of a source with an
///   output resistance, not only where a frame can no longer resolve it.
class Cell {
 public:
  Cell(const CellModel& model, double period_s) noexcept
      : model_(model), period_s_(period_s), state_of_charge_(model.state_of_charge) {}

  /// A new set-point lifts a cut-off.
  void set_current(double current_a) noexcept {
    holds_voltage_ = false;
    current_a_ = current_a;
    is_cut_off_ = false;
  }
  void set_voltage(double source_v, double compliance_a) noexcept {
    holds_voltage_ = true;
    source_v_ = source_v;
    compliance_a_ = compliance_a;
    resistance_ohm_ = std::max({model_.resistance_ohm, kKnee_v / compliance_a,
                                steepest(model_.voltage_v) * period_s_ / model_.capacity_c});
    is_cut_off_ = false;
  }
  /// The limit of a source that holds a current; the lower of it and the scenario's ends the
  /// current.
  void set_compliance(double compliance_v) noexcept { compliance_v_ = compliance_v; }

  /// Positive current charges: it takes sodium out. Returns whether the voltage limit cut it off.
  bool advance() noexcept {
    state_of_charge_ =
        std::clamp(state_of_charge_ + current_a() * period_s_ / model_.capacity_c, 0.0, 1.0);
    if (is_cut_off_ || !is_beyond_limit()) return false;
    current_a_ = 0.0;
    is_cut_off_ = true;
    return true;
  }

  [[nodiscard]] double state_of_charge() const noexcept { return state_of_charge_; }
  [[nodiscard]] double current_a() const noexcept {
    if (!holds_voltage_) return current_a_;
    if (is_cut_off_ || is_at_its_end()) return 0.0;
    return std::clamp((source_v_ - open_circuit_v()) / resistance_ohm_, -compliance_a_,
                      compliance_a_);
  }
  /// Cut off, or at its compliance current.
  [[nodiscard]] bool is_held_back() const noexcept {
    return is_cut_off_ || (holds_voltage_ && std::abs(current_a()) >= compliance_a_);
  }
  [[nodiscard]] double voltage_v() const noexcept {
    if (!holds_voltage_) return open_circuit_v() + current_a_ * model_.resistance_ohm;
    if (is_cut_off_) return open_circuit_v();
    return is_held_back() ? open_circuit_v() + current_a() * resistance_ohm_ : source_v_;
  }

 private:
  static constexpr double kKnee_v = 0.02;

  [[nodiscard]] static double steepest(const Curve& curve) noexcept {
    double slope = 0.0;
    for (std::size_t i = 1; i < curve.size(); ++i)
      slope = std::max(slope,
                       std::abs((curve[i][1] - curve[i - 1][1]) / (curve[i][0] - curve[i - 1][0])));
    return slope;
  }
  [[nodiscard]] double open_circuit_v() const noexcept {
    return value_at(model_.voltage_v, state_of_charge_, 0.0);
  }
  /// Nothing more to take out, or to put in: it follows the voltage without a current.
  [[nodiscard]] bool is_at_its_end() const noexcept {
    return source_v_ > open_circuit_v() ? state_of_charge_ >= 1.0 : state_of_charge_ <= 0.0;
  }
  /// Only charging ends there. A held voltage may be the limit itself, and full is no cut-off.
  [[nodiscard]] bool is_beyond_limit() const noexcept {
    if (holds_voltage_) return source_v_ > open_circuit_v() && voltage_v() > model_.voltage_limit_v;
    if (current_a_ <= 0.0) return false;
    return voltage_v() >= std::min(model_.voltage_limit_v, compliance_v_) ||
           state_of_charge_ >= 1.0;
  }

  const CellModel model_;
  const double period_s_;
  double state_of_charge_;
  bool holds_voltage_ = false;
  double current_a_ = 0.0;
  double compliance_v_ = std::numeric_limits<double>::infinity();
  double source_v_ = 0.0, compliance_a_ = 0.0, resistance_ohm_ = 0.0;
  bool is_cut_off_ = false;
};

}  // namespace latticed::sim
