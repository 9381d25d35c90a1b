// SPDX-License-Identifier: GPL-3.0-or-later
// A scenario as it is written: plain values with their defaults, one struct for each table of the
// file. sim/README.md documents every key; read_scenario.cpp checks the ranges.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace latticed::sim {

using Pair = std::array<double, 2>;
using Curve = std::vector<Pair>;  // points (x, y), x ascending; linear between, constant outside

struct DetectorModel {
  std::string name = "camera";
  int width = 512;
  int height = 512;
  double pixel_size_nm = 0.03;
  double exposure_s = 0.0;        // 0 = the frame period; scanned: all rows
  double scan_line_time_s = 0.0;  // from one row to the next; 0 = all rows at once
  double dose_e_per_px = 10.0;
  double vacuum_level = 1.0;      // expected intensity, in units of the dose:
  double film_level = -0.08;      //   added by the support film,
  double film_contrast = 0.03;    //   its texture, one standard deviation,
  double particle_level = -0.25;  // added by the particle where it is thick
  double lattice_scale = 1.0;     // factor on every reflection's amplitude
  double mtf_at_nyquist = 0.6;
  double gain_adu_per_e = 20.0;
  double dark_adu = 100.0;
  double dark_pattern_adu = 2.0;  // one standard deviation over the pixels
  double read_noise_adu = 4.0;
  double gain_pattern_percent = 1.0;  // one standard deviation over the pixels
  int hot_pixels = 20;
  double hot_adu = 4000.0;
  double saturation_adu = 65535.0;
};

struct Edge {
  double normal_deg = 0.0;   // outward normal, from +x towards +y
  double distance_nm = 0.0;  // of the edge from the field's centre along it
};

struct Shell {
  double thickness_nm = 0.0;
  double d_layer_nm = 0.0;
};

/// One reflection of the first phase, with an amplitude of its own instead of the phase table's; or
/// one the table does not have, a superlattice's, with fractions for indices.
struct OwnReflection {
  double h = 0.0;
  double l = 0.0;
  Curve amplitude;  // contrast at full thickness, against state of charge
};

struct StrainStep {
  double normal_deg = 0.0;
  double position_nm = 0.0;
  double strain_percent = 0.0;  // along the normal, beyond the line
  double softness_nm = 0.3;
};

struct Transition {
  std::string to;
  double onset_soc = 0.6;
  double complete_soc = 0.95;
  double front_normal_deg = 0.0;  // the new phase comes from the side this points to
  double front_start_nm = 8.0;
  double front_end_nm = -8.0;
  double front_softness_nm = 0.8;
  Curve d_layer_nm;  // against state of charge; empty = the phase table's
};

struct SpecimenModel {
  bool is_particle = true;  // field = "particle" | "lattice"
  std::string phase = "P2";
  double layer_normal_deg = 30.0;
  std::vector<Edge> edges;
  double edge_softness_nm = 0.5;
  double wedge_nm = 3.0;  // depth at which half the full thickness is reached
  double rim_nm = 0.6;
  double rim_softness_nm = 0.5;
  double rim_texture = 1.0;  // extra film texture in the amorphous rim, in units of the film's
  double d_layer_factor = 1.0;
  Curve d_layer_nm;  // against state of charge; empty = the phase table's
  Curve a_nm;
  std::vector<OwnReflection> reflections;
  std::optional<Pair> fixed_point_nm;  // about which it expands; none = centre of what is seen
  std::optional<Shell> shell;
  std::optional<StrainStep> strain_step;
  std::optional<Transition> transition;
};

struct CellModel {
  double capacity_c = 1e-6;
  double resistance_ohm = 0.0;
  double state_of_charge = 0.0;
  double voltage_limit_v = 4.5;
  Curve voltage_v;  // open circuit, against state of charge
};

struct HeatModel {
  double temperature_k = 293.0;
  double tau_s = 2.0;
  double expansion_c_per_k = 2.5e-5;
  double expansion_a_per_k = 1.2e-5;
  Pair drift_nm_per_k{0.0, 0.0};
  double drift_tau_s = 30.0;
};

struct DriftModel {
  Pair rate_nm_per_s{0.0, 0.0};
  double walk_nm_per_sqrt_s = 0.0;
  Pair vibration_nm{0.0, 0.0};
  double vibration_hz = 0.0;
};

struct DoseModel {
  double threshold_e_per_nm2 = 0.0;
  double rim_nm_per_e_per_nm2 = 0.0;
  double critical_e_per_nm2 = 0.0;  // lattice amplitude falls to 1/e over it; 0 = never
};

struct AirModel {
  double onset_s = 0.0;
  double tau_s = 0.0;  // 0 = no air
  double layer_change_percent = 0.0;
  double rim_nm_per_s = 0.0;
};

/// A change at a time: whatever is set changes, the rest stays.
struct Step {
  double t_s = 0.0;
  std::optional<double> current_a;
  std::optional<double> temperature_k;
  std::optional<bool> beam_on;
  std::optional<Pair> jump_nm;
  // A client's source; no keys of the file. The cell holds what came last, current_a or source_v.
  std::optional<double> source_v = std::nullopt;
  std::optional<double> compliance_v = std::nullopt;  // with current_a
  std::optional<double> compliance_a = std::nullopt;  // with source_v, always
  std::optional<bool> specimen_in = std::nullopt;     // by a client; no key of the file
  bool operator==(const Step&) const = default;
};

enum class FaultKind : std::uint8_t { drop, stall, short_frame, close, exit };

struct Fault {
  std::uint64_t frame = 0;
  FaultKind kind = FaultKind::drop;
  double seconds = 0.0;     // stall
  std::uint64_t count = 1;  // drop, short_frame: so many frames
};

struct Scenario {
  std::string name;
  std::string description;
  std::uint64_t seed = 1;
  std::uint64_t frames = 0;  // 0 = endless
  double frame_period_s = 0.25;
  std::int64_t start_time_unix_s = 0;  // 0 = when the run starts
  std::vector<DetectorModel> detectors;
  SpecimenModel specimen;
  CellModel cell;
  HeatModel heat;
  DriftModel drift;
  DoseModel dose;
  AirModel air;
  std::vector<Step> steps;
  std::vector<Fault> faults;
};

}  // namespace latticed::sim
