// SPDX-License-Identifier: GPL-3.0-or-later
// The heater: first-order approach to its set-point, and the slower drift of the support after it.
#pragma once

#include "sim/specimen/curve.hpp"
#include "sim/specimen/geometry.hpp"

namespace latticed::sim {

class Heat {
 public:
  Heat(const HeatModel& model, double dt_s) noexcept
      : model_(model),
        temperature_k_(model.temperature_k),
        setpoint_k_(model.temperature_k),
        keep_temperature_(exponential(-dt_s / model.tau_s)),
        keep_drift_(exponential(-dt_s / model.drift_tau_s)) {}

  void set_temperature(double temperature_k) noexcept { setpoint_k_ = temperature_k; }

  void advance() noexcept {
    temperature_k_ = setpoint_k_ + keep_temperature_ * (temperature_k_ - setpoint_k_);
    const Vector target = rise_k() * Vector{model_.drift_nm_per_k[0], model_.drift_nm_per_k[1]};
    drift_nm_ = target + keep_drift_ * (drift_nm_ - target);
  }

  [[nodiscard]] double temperature_k() const noexcept { return temperature_k_; }
  [[nodiscard]] Vector drift_nm() const noexcept { return drift_nm_; }
  [[nodiscard]] double c_factor() const noexcept {
    return 1.0 + model_.expansion_c_per_k * rise_k();
  }
  [[nodiscard]] double a_factor() const noexcept {
    return 1.0 + model_.expansion_a_per_k * rise_k();
  }

 private:
  [[nodiscard]] double rise_k() const noexcept { return temperature_k_ - model_.temperature_k; }

  const HeatModel model_;
  double temperature_k_;
  double setpoint_k_;
  double keep_temperature_;
  double keep_drift_;
  Vector drift_nm_;
};

}  // namespace latticed::sim
