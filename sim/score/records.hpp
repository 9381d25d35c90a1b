// SPDX-License-Identifier: GPL-3.0-or-later
// What a score compares: the truth's lines and the measurements' lines (design.md section 5), read.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "drivers/kit/result.hpp"

namespace latticed::sim {

struct TrueReflection {
  std::array<double, 2> g_per_nm{};
  double d_nm = 0.0;
  double amplitude = 0.0;
  bool is_layer = false;  // 00l
  // Least random error of a frame; none where the truth has no bounds (sim-world --bounds).
  std::optional<double> bound_d_nm = std::nullopt;
  std::optional<double> bound_d_lattice_nm = std::nullopt;
};

/// What was done to the specimen and what became of it, for figures.
struct TrueCourse {
  double t_s = 0.0;
  double bias_v = 0.0;
  double current_a = 0.0;
  double temperature_k = 0.0;
  double fluence_e_per_nm2 = 0.0;
  double crystallinity = 0.0;
  double rim_nm = 0.0;                            // amorphous
  std::map<std::string, double> phase_fractions;  // of the field's area
  std::map<std::string, double> d_layer_nm;       // by domain
};

struct TrueFrame {
  std::array<double, 2> drift_px{};
  std::optional<std::array<double, 2>> bound_drift_px;
  double d_layer_nm = 0.0;  // of the first domain
  std::string lost;         // empty = delivered
  bool blanked = false;
  bool specimen_in = true;
  /// Else there is nothing to measure in it, and nothing that was is judged.
  [[nodiscard]] bool shows_specimen() const noexcept { return !blanked && specimen_in; }
  std::vector<TrueReflection> reflections;  // the visible ones
  TrueCourse course;
};

struct TrueEvent {
  std::string kind;
  std::uint64_t frame = 0;
};

struct Truth {
  std::string scenario;
  double pixel_size_nm = 0.0;
  double field_nm = 0.0;  // the shorter side
  std::map<std::uint64_t, TrueFrame> frames;
  std::vector<TrueEvent> events;
};

struct MeasuredSpot {
  std::int64_t id = 0;
  std::array<double, 2> g_per_nm{};
  double d_nm = 0.0;
  double sigma_d_nm = 0.0;
  std::optional<double> sigma_d_sys_nm;
  bool confirmed = false;
};

struct MeasuredAlert {
  std::string rule;
  std::uint64_t seq = 0;
  std::uint64_t since_seq = 0;
  std::int64_t spot_id = 0;  // 0 = not about a spot
};

struct MeasuredFrame {
  std::string lost;  // empty = measured
  std::array<double, 2> drift_px{};
  std::array<double, 2> sigma_drift_px{};
  std::array<double, 2> sigma_drift_sys_px{};  // 0 where it is not given
  std::string drift_state;
  bool cell_ambiguous = false;
  std::vector<MeasuredSpot> spots;
  std::optional<double> crystallinity;
  std::map<std::string, double> phase_fractions;  // those that have one
};

struct Measurements {
  std::map<std::uint64_t, MeasuredFrame> frames;
  std::vector<MeasuredAlert> alerts;    // raised, in order
  std::vector<std::uint64_t> repeated;  // seq that came more than once
};

/// A frame without bounds of its own has those of the last one before it that had.
Result<Truth> read_truth(const std::string& path);
Result<Measurements> read_measurements(const std::string& path);

}  // namespace latticed::sim
