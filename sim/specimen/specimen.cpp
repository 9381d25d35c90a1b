// SPDX-License-Identifier: GPL-3.0-or-later
#include "sim/specimen/specimen.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "sim/specimen/curve.hpp"
#include "sim/specimen/shape.hpp"

namespace latticed::sim {

Specimen::Specimen(const Scenario& scenario, const PhaseTable& phases, double fluence_per_frame)
    : scenario_(scenario),
      phase_(find_phase(phases, scenario.specimen.phase)),
      axes_(orientation(scenario.specimen.layer_normal_deg)),
      fluence_per_frame_(fluence_per_frame),
      cell_(scenario.cell, scenario.frame_period_s),
      heat_(scenario.heat, scenario.frame_period_s),
      drift_(scenario.drift, scenario.seed, scenario.frame_period_s),
      damage_(scenario.dose, scenario.air, scenario.specimen.rim_nm) {
  const auto& fixed = scenario.specimen.fixed_point_nm;
  fixed_point_nm_ = fixed ? Vector{(*fixed)[0], (*fixed)[1]}
                          : crystal_centre(scenario.specimen, scenario.detectors.front());
  if (scenario.specimen.transition) {
    product_ = find_phase(phases, scenario.specimen.transition->to);
  }
}

bool has_come(const Step& step, double frame_begin_s, double frame_period_s) noexcept {
  return step.t_s <= frame_begin_s + 1e-9 * frame_period_s;
}

std::uint64_t first_frame_of(const Step& step, double frame_period_s) noexcept {
  const double near = std::max(0.0, std::floor(step.t_s / frame_period_s) - 1.0);
  auto frame = static_cast<std::uint64_t>(near);
  while (!has_come(step, static_cast<double>(frame) * frame_period_s, frame_period_s)) ++frame;
  return frame;
}

const SpecimenState& Specimen::advance(std::span<const Step> commands) {
  state_.frame = next_frame_++;
  state_.t_s = static_cast<double>(state_.frame) * scenario_.frame_period_s;
  state_.jumped = false;
  state_.events.clear();
  if (state_.frame > 0) let_time_pass();
  while (next_step_ < scenario_.steps.size() &&
         has_come(scenario_.steps[next_step_], state_.t_s, scenario_.frame_period_s)) {
    apply(scenario_.steps[next_step_++], "step");
  }
  for (const Step& command : commands) apply(command, "command");
  describe();
  return state_;
}

void Specimen::let_time_pass() {
  const double dt_s = scenario_.frame_period_s;
  if (cell_.advance()) {
    state_.events.push_back(
        {"voltage_limit", fmt::format("current off at {:.3f} V", cell_.voltage_v())});
  }
  heat_drift_before_nm_ = heat_.drift_nm();
  heat_.advance();
  drift_.advance(state_.frame);
  damage_.advance(beam_on_ && specimen_in_ ? fluence_per_frame_ : 0.0, dt_s);
  if (!damage_told_ && damage_.has_begun()) {
    damage_told_ = true;
    state_.events.push_back(
        {"amorphisation_onset", fmt::format("rim {:.2f} nm, crystallinity {:.3f}", damage_.rim_nm(),
                                            damage_.crystallinity())});
  }
}

void Specimen::apply(const Step& step, const char* kind) {
  if (step.current_a) {
    cell_.set_current(*step.current_a);
    state_.events.push_back({kind, fmt::format("current_a {:g}", *step.current_a)});
  }
  if (step.compliance_v) {
    cell_.set_compliance(*step.compliance_v);
    if (std::isfinite(*step.compliance_v))
      state_.events.push_back({kind, fmt::format("compliance_v {:g}", *step.compliance_v)});
  }
  if (step.source_v && step.compliance_a) {
    cell_.set_voltage(*step.source_v, *step.compliance_a);
    state_.events.push_back({kind, fmt::format("source_v {:g}", *step.source_v)});
    state_.events.push_back({kind, fmt::format("compliance_a {:g}", *step.compliance_a)});
  }
  if (step.temperature_k) {
    heat_.set_temperature(*step.temperature_k);
    state_.events.push_back({kind, fmt::format("temperature_k {:g}", *step.temperature_k)});
  }
  if (step.beam_on) {
    beam_on_ = *step.beam_on;
    state_.events.push_back({kind, beam_on_ ? "beam on" : "beam blank"});
  }
  if (step.specimen_in) {
    specimen_in_ = *step.specimen_in;
    state_.events.push_back({kind, specimen_in_ ? "specimen in" : "specimen out"});
  }
  if (step.jump_nm) {
    drift_.jump(*step.jump_nm);
    state_.jumped = true;
    state_.events.push_back(
        {"jump", fmt::format("by {:g}, {:g} nm", (*step.jump_nm)[0], (*step.jump_nm)[1])});
  }
}

void Specimen::describe() {
  const double middle_s = 0.5 * scenario_.detectors.front().exposure_s;
  state_.shift_nm = drift_.at(state_.t_s + middle_s) + heat_.drift_nm();
  // The support goes on as it went: its drift changes little from frame to frame.
  const Vector heat_step_nm = heat_.drift_nm() - heat_drift_before_nm_;
  state_.motion = drift_.motion(state_.t_s + middle_s);
  state_.motion.before_nm = state_.motion.before_nm - heat_step_nm;
  state_.motion.after_nm = state_.motion.after_nm + heat_step_nm;
  state_.bias_v = cell_.voltage_v();
  state_.current_a = cell_.current_a();
  state_.is_held_back = cell_.is_held_back();
  state_.temperature_k = heat_.temperature_k();
  state_.state_of_charge = cell_.state_of_charge();
  state_.fluence_e_per_nm2 = damage_.fluence_e_per_nm2();
  state_.rim_nm = damage_.rim_nm();
  state_.crystallinity = damage_.crystallinity();
  state_.beam_on = beam_on_;
  state_.specimen_in = specimen_in_;
  state_.transition = 0.0;
  if (const auto& transition = scenario_.specimen.transition) {
    state_.transition = std::clamp((state_.state_of_charge - transition->onset_soc) /
                                       (transition->complete_soc - transition->onset_soc),
                                   0.0, 1.0);
  }
  state_.domains = build_domains();
}

/// The reference lattice, deformed to what heat and air make of the wanted one, about the fixed
/// point.
Domain Specimen::domain_of(const Phase& phase, Axes reference, Axes wanted) const {
  Domain domain;
  domain.name = phase.name;
  domain.phase = phase.name;
  domain.d_layer_nm = wanted.d_layer_nm * heat_.c_factor() * damage_.layer_factor();
  domain.a_nm = wanted.a_nm * heat_.a_factor();
  domain.deformation = stretch(axes_.layer_normal, domain.d_layer_nm / reference.d_layer_nm,
                               domain.a_nm / reference.a_nm);
  domain.waves =
      waves_of(phase, reference.a_nm, reference.d_layer_nm, axes_, lattice_origin(scenario_.seed));
  deform(domain.waves, domain.deformation, fixed_point_nm_);
  for (PlaneWave& wave : domain.waves) wave.amplitude *= damage_.crystallinity();
  return domain;
}

/// The first phase with the amplitudes the scenario has for it.
Phase Specimen::phase_at(double state_of_charge) const {
  Phase phase = *phase_;
  for (const OwnReflection& own : scenario_.specimen.reflections) {
    const double amplitude = value_at(own.amplitude, state_of_charge, 0.0);
    const auto known =
        std::find_if(phase.reflections.begin(), phase.reflections.end(),
                     [&own](const Reflection& one) { return one.h == own.h && one.l == own.l; });
    if (known != phase.reflections.end()) {
      known->amplitude = amplitude;
    } else {
      phase.reflections.push_back({own.h, own.l, amplitude});
    }
  }
  return phase;
}

std::vector<Domain> Specimen::build_domains() const {
  const SpecimenModel& model = scenario_.specimen;
  const auto axes_at = [&](double soc) {
    return Axes{value_at(model.a_nm, soc, phase_->a_nm),
                value_at(model.d_layer_nm, soc, phase_->d_layer_nm()) * model.d_layer_factor};
  };
  std::vector<Domain> domains;
  domains.push_back(domain_of(phase_at(cell_.state_of_charge()),
                              axes_at(scenario_.cell.state_of_charge),
                              axes_at(cell_.state_of_charge())));
  if (model.shell) split_by_shell(domains);
  if (model.strain_step) split_by_strain(domains);
  if (state_.transition > 0.0) split_by_transition(domains);
  return domains;
}

void Specimen::split_by_shell(std::vector<Domain>& domains) const {
  const Shell& shell = *scenario_.specimen.shell;
  const Edge& edge = scenario_.specimen.edges.front();
  const Vector normal = direction(edge.normal_deg);
  Limit limit{Limit::Of::depth, normal, shell.thickness_nm, 0.5, 1.0};
  Domain outside = domains.front();
  outside.name += "-shell";
  // Same relative change as the core, coherent with it where the border passes nearest the centre.
  const double core_nm = value_at(scenario_.specimen.d_layer_nm, scenario_.cell.state_of_charge,
                                  phase_->d_layer_nm()) *
                         scenario_.specimen.d_layer_factor;
  const Matrix f = stretch(axes_.layer_normal, shell.d_layer_nm / core_nm, 1.0);
  deform(outside.waves, f, (edge.distance_nm - shell.thickness_nm) * normal);
  outside.d_layer_nm *= shell.d_layer_nm / core_nm;
  domains.front().limits.push_back(limit);
  limit.sign = -1.0;
  outside.limits.push_back(limit);
  domains.push_back(std::move(outside));
}

void Specimen::split_by_strain(std::vector<Domain>& domains) const {
  const StrainStep& step = *scenario_.specimen.strain_step;
  const Vector normal = direction(step.normal_deg);
  const Matrix f = stretch(normal, 1.0 + 0.01 * step.strain_percent, 1.0);
  Limit limit{Limit::Of::axis, normal, step.position_nm, step.softness_nm, -1.0};
  const std::size_t count = domains.size();
  for (std::size_t i = 0; i < count; ++i) {
    Domain beyond = domains[i];
    beyond.name += "-strained";
    deform(beyond.waves, f, step.position_nm * normal);
    beyond.deformation = f * beyond.deformation;
    limit.sign = -1.0;
    domains[i].limits.push_back(limit);
    limit.sign = 1.0;
    beyond.limits.push_back(limit);
    domains.push_back(std::move(beyond));
  }
}

void Specimen::split_by_transition(std::vector<Domain>& domains) const {
  const Transition& transition = *scenario_.specimen.transition;
  const Vector normal = direction(transition.front_normal_deg);
  const double front_nm = transition.front_start_nm +
                          state_.transition * (transition.front_end_nm - transition.front_start_nm);
  Limit limit{Limit::Of::axis, normal, front_nm, transition.front_softness_nm, -1.0};
  for (Domain& domain : domains) domain.limits.push_back(limit);
  limit.sign = 1.0;
  const auto axes_at = [&](double soc) {
    return Axes{product_->a_nm, value_at(transition.d_layer_nm, soc, product_->d_layer_nm())};
  };
  Domain product =
      domain_of(*product_, axes_at(transition.onset_soc), axes_at(state_.state_of_charge));
  product.limits.push_back(limit);
  domains.push_back(std::move(product));
}

}  // namespace latticed::sim
