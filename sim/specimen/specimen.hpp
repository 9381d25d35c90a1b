// SPDX-License-Identifier: GPL-3.0-or-later
// The specimen as a function of the frame number: physics only, no pixels and no threads. Whoever
// owns one steps it from frame 0 on; the same scenario and the same commands give the same states.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "sim/scenario/scenario.hpp"
#include "sim/specimen/cell.hpp"
#include "sim/specimen/damage.hpp"
#include "sim/specimen/domain.hpp"
#include "sim/specimen/heat.hpp"
#include "sim/specimen/stage_drift.hpp"

namespace latticed::sim {

/// Something that happened at this frame: "step", "jump", "voltage_limit", ...
struct Event {
  std::string kind;
  std::string detail;
};

/// Everything that holds at mid-exposure of one frame.
struct SpecimenState {
  std::uint64_t frame = 0;
  double t_s = 0.0;  // the frame's beginning in experiment time
  Vector shift_nm;   // specimen against the stage's zero; +x = moved right
  Motion motion;     // about it while the frame is taken
  double bias_v = 0.0;
  double current_a = 0.0;
  double temperature_k = 0.0;
  double state_of_charge = 0.0;
  double fluence_e_per_nm2 = 0.0;
  double rim_nm = 0.0;
  double crystallinity = 1.0;
  double transition = 0.0;  // 0 = not begun, 1 = complete
  bool beam_on = true;
  bool specimen_in = true;  // false: out of the beam, the field is empty
  bool jumped = false;
  bool is_held_back = false;  // a limit ended the current, or keeps it from what the source holds
  std::vector<Domain> domains;
  std::vector<Event> events;
};

/// A step takes effect at the first frame that does not begin before it.
[[nodiscard]] bool has_come(const Step& step, double frame_begin_s, double frame_period_s) noexcept;
[[nodiscard]] std::uint64_t first_frame_of(const Step& step, double frame_period_s) noexcept;

class Specimen {
 public:
  /// Both must outlive the specimen, and the table must have the scenario's phases.
  /// `fluence_per_frame` in e/nm^2 while the beam is on.
  Specimen(const Scenario& scenario, const PhaseTable& phases, double fluence_per_frame);

  /// On to the next frame (the first call: to frame 0), with the set-points that take effect at it.
  const SpecimenState& advance(std::span<const Step> commands);

  /// An event of the present frame that is not the specimen's own.
  void note(Event event) { state_.events.push_back(std::move(event)); }

  [[nodiscard]] const SpecimenState& state() const noexcept { return state_; }

 private:
  struct Axes {
    double a_nm = 0.0;
    double d_layer_nm = 0.0;
  };
  void let_time_pass();
  void apply(const Step& step, const char* kind);
  void describe();
  std::vector<Domain> build_domains() const;
  Domain domain_of(const Phase& phase, Axes reference, Axes wanted) const;
  [[nodiscard]] Phase phase_at(double state_of_charge) const;
  void split_by_transition(std::vector<Domain>& domains) const;
  void split_by_strain(std::vector<Domain>& domains) const;
  void split_by_shell(std::vector<Domain>& domains) const;

  const Scenario& scenario_;
  const Phase* phase_;
  const Phase* product_ = nullptr;
  Orientation axes_;
  Vector fixed_point_nm_;
  double fluence_per_frame_;
  Cell cell_;
  Heat heat_;
  StageDrift drift_;
  Damage damage_;
  Vector heat_drift_before_nm_;
  std::uint64_t next_frame_ = 0;
  std::size_t next_step_ = 0;
  bool beam_on_ = true;
  bool specimen_in_ = true;
  bool damage_told_ = false;
  SpecimenState state_;
};

}  // namespace latticed::sim
