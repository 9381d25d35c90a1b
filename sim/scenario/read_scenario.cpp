// SPDX-License-Identifier: GPL-3.0-or-later
#include "sim/scenario/read_scenario.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "drivers/toml/table_reader.hpp"

namespace latticed::sim {
namespace {

constexpr Range kSocRange{0.0, 1.0};
constexpr Range kAngle{-360.0, 360.0};
constexpr Range kTemperature{1.0, 2000.0};

void read_detector(TableReader& in, DetectorModel& out) {
  std::int64_t width = out.width;
  std::int64_t height = out.height;
  std::int64_t hot = out.hot_pixels;
  in.text("name", out.name);
  in.integer("width", width, {32, 8192});
  in.integer("height", height, {32, 8192});
  out.width = static_cast<int>(width);
  out.height = static_cast<int>(height);
  in.number("pixel_size_nm", out.pixel_size_nm, {0.001, 10.0});
  in.number("exposure_s", out.exposure_s, kNotNegative);
  in.number("scan_line_time_s", out.scan_line_time_s, kNotNegative);
  in.number("dose_e_per_px", out.dose_e_per_px, {0.0, 1e6});
  in.number("vacuum_level", out.vacuum_level, {0.0, 10.0});
  in.number("film_level", out.film_level, {-10.0, 10.0});
  in.number("film_contrast", out.film_contrast, {0.0, 1.0});
  in.number("particle_level", out.particle_level, {-10.0, 10.0});
  in.number("lattice_scale", out.lattice_scale, {-10.0, 10.0});
  in.number("mtf_at_nyquist", out.mtf_at_nyquist, {0.05, 1.0});
  in.number("gain_adu_per_e", out.gain_adu_per_e, {0.01, 60000.0});
  in.number("dark_adu", out.dark_adu, {0.0, 60000.0});
  in.number("dark_pattern_adu", out.dark_pattern_adu, {0.0, 1000.0});
  in.number("read_noise_adu", out.read_noise_adu, {0.0, 10000.0});
  in.number("gain_pattern_percent", out.gain_pattern_percent, {0.0, 20.0});
  in.integer("hot_pixels", hot, {0, 100000});
  out.hot_pixels = static_cast<int>(hot);
  in.number("hot_adu", out.hot_adu, {0.0, 65535.0});
  in.number("saturation_adu", out.saturation_adu, {1.0, 65535.0});
  in.finish();
}

void read_transition(TableReader& in, Transition& out) {
  in.require("to");
  in.text("to", out.to);
  in.number("onset_soc", out.onset_soc, kSocRange);
  in.number("complete_soc", out.complete_soc, kSocRange);
  if (out.complete_soc <= out.onset_soc) {
    in.mistake("complete_soc",
               fmt::format("{} must be above onset_soc {}", out.complete_soc, out.onset_soc));
  }
  in.number("front_normal_deg", out.front_normal_deg, kAngle);
  in.number("front_start_nm", out.front_start_nm);
  in.number("front_end_nm", out.front_end_nm);
  in.number("front_softness_nm", out.front_softness_nm, kPositive);
  in.curve("d_layer_nm", out.d_layer_nm);
  in.finish();
}

class ScenarioReader {
 public:
  explicit ScenarioReader(TableReader& root) : root_(root) {}

  Scenario read() {
    read_top();
    read_detectors();
    read_specimen();
    read_models();
    read_steps();
    read_faults();
    root_.finish();
    return std::move(out_);
  }

 private:
  void read_top() {
    std::int64_t seed = 1;
    std::int64_t frames = 0;
    root_.require("name");
    root_.text("name", out_.name);
    root_.text("description", out_.description);
    root_.integer("seed", seed, kNotNegative);
    root_.integer("frames", frames, {0, 1e9});
    root_.number("frame_period_s", out_.frame_period_s, {1e-6, 3600.0});
    root_.integer("start_time_unix_s", out_.start_time_unix_s, {0, 9e9});
    out_.seed = static_cast<std::uint64_t>(seed);
    out_.frames = static_cast<std::uint64_t>(frames);
  }

  /// A scanned frame is exposed from its first row to its last, and no longer.
  static void check_scan(TableReader& in, DetectorModel& model) {
    if (model.scan_line_time_s == 0.0) return;
    const double all_rows_s = model.scan_line_time_s * model.height;
    if (model.exposure_s == 0.0) model.exposure_s = all_rows_s;
    if (std::abs(model.exposure_s - all_rows_s) > 1e-6 * all_rows_s) {
      in.mistake("exposure_s",
                 fmt::format("{} must be {}, scan_line_time_s x height, or be left out",
                             model.exposure_s, all_rows_s));
    }
  }

  void read_detectors() {
    for (TableReader& in : root_.tables("detector")) {
      DetectorModel model;
      read_detector(in, model);
      check_scan(in, model);
      if (model.exposure_s == 0.0) model.exposure_s = out_.frame_period_s;
      if (model.exposure_s > out_.frame_period_s) {
        in.mistake("exposure_s", fmt::format("{} must not be above frame_period_s {}",
                                             model.exposure_s, out_.frame_period_s));
      }
      for (const DetectorModel& other : out_.detectors) {
        if (other.name == model.name) {
          in.mistake("name", fmt::format("\"{}\" is used twice", model.name));
        }
      }
      out_.detectors.push_back(model);
    }
    if (out_.detectors.empty()) root_.mistake("detector", "at least one [[detector]] is needed");
  }

  void read_specimen() {
    root_.require("specimen");
    auto table = root_.table("specimen");
    if (!table) return;
    SpecimenModel& out = out_.specimen;
    TableReader& in = *table;
    std::size_t field = 0;
    in.choice("field", field, {"particle", "lattice"});
    out.is_particle = field == 0;
    in.text("phase", out.phase);
    in.number("layer_normal_deg", out.layer_normal_deg, kAngle);
    std::vector<Pair> edges;
    in.pairs("edges", edges);
    for (const Pair& edge : edges) out.edges.push_back({edge[0], edge[1]});
    if (out.is_particle && edges.empty()) in.mistake("edges", "a particle needs at least one edge");
    in.number("edge_softness_nm", out.edge_softness_nm, kPositive);
    in.number("wedge_nm", out.wedge_nm, kPositive);
    in.number("rim_nm", out.rim_nm, kNotNegative);
    in.number("rim_softness_nm", out.rim_softness_nm, kPositive);
    in.number("rim_texture", out.rim_texture, {0.0, 20.0});
    in.number("d_layer_factor", out.d_layer_factor, {0.5, 2.0});
    in.curve("d_layer_nm", out.d_layer_nm);
    in.curve("a_nm", out.a_nm);
    Pair fixed_point{};
    if (in.pair("fixed_point_nm", fixed_point)) out.fixed_point_nm = fixed_point;
    for (TableReader& one : in.tables("reflection")) read_reflection(one, out);
    read_parts(in, out);
    in.finish();
  }

  static void read_reflection(TableReader& in, SpecimenModel& out) {
    OwnReflection& own = out.reflections.emplace_back();
    for (const char* key : {"h", "l", "amplitude"}) in.require(key);
    in.number("h", own.h, {-20.0, 20.0});
    in.number("l", own.l, {-40.0, 40.0});
    in.curve("amplitude", own.amplitude);
    if (own.h == 0.0 && own.l == 0.0) in.mistake("h", "h and l must not both be 0");
    in.finish();
  }

  void read_parts(TableReader& in, SpecimenModel& out) {
    if (auto part = in.table("shell")) {
      Shell& shell = out.shell.emplace();
      part->require("thickness_nm");
      part->require("d_layer_nm");
      part->number("thickness_nm", shell.thickness_nm, kPositive);
      part->number("d_layer_nm", shell.d_layer_nm, {0.2, 2.0});
      part->finish();
      if (!out.is_particle) in.mistake("shell", "needs field = \"particle\"");
    }
    if (auto part = in.table("strain_step")) {
      StrainStep& step = out.strain_step.emplace();
      part->number("normal_deg", step.normal_deg, kAngle);
      part->number("position_nm", step.position_nm);
      part->require("strain_percent");
      part->number("strain_percent", step.strain_percent, {-20.0, 20.0});
      part->number("softness_nm", step.softness_nm, kPositive);
      part->finish();
    }
    if (auto part = in.table("transition")) {
      read_transition(*part, out.transition.emplace());
    }
  }

  void read_models() {
    if (auto in = root_.table("cell")) {
      in->number("capacity_c", out_.cell.capacity_c, kPositive);
      in->number("resistance_ohm", out_.cell.resistance_ohm, kNotNegative);
      in->number("state_of_charge", out_.cell.state_of_charge, kSocRange);
      in->number("voltage_limit_v", out_.cell.voltage_limit_v, {0.0, 10.0});
      in->curve("voltage_v", out_.cell.voltage_v);
      in->finish();
    }
    if (auto in = root_.table("heat")) {
      in->number("temperature_k", out_.heat.temperature_k, kTemperature);
      in->number("tau_s", out_.heat.tau_s, kPositive);
      in->number("expansion_c_per_k", out_.heat.expansion_c_per_k, {-1e-3, 1e-3});
      in->number("expansion_a_per_k", out_.heat.expansion_a_per_k, {-1e-3, 1e-3});
      in->pair("drift_nm_per_k", out_.heat.drift_nm_per_k);
      in->number("drift_tau_s", out_.heat.drift_tau_s, kPositive);
      in->finish();
    }
    if (auto in = root_.table("drift")) {
      in->pair("rate_nm_per_s", out_.drift.rate_nm_per_s);
      in->number("walk_nm_per_sqrt_s", out_.drift.walk_nm_per_sqrt_s, kNotNegative);
      in->pair("vibration_nm", out_.drift.vibration_nm);
      in->number("vibration_hz", out_.drift.vibration_hz, kNotNegative);
      in->finish();
    }
    if (auto in = root_.table("dose")) {
      in->number("threshold_e_per_nm2", out_.dose.threshold_e_per_nm2, kNotNegative);
      in->number("rim_nm_per_e_per_nm2", out_.dose.rim_nm_per_e_per_nm2, kNotNegative);
      in->number("critical_e_per_nm2", out_.dose.critical_e_per_nm2, kNotNegative);
      in->finish();
    }
    if (auto in = root_.table("air")) {
      in->number("onset_s", out_.air.onset_s, kNotNegative);
      in->number("tau_s", out_.air.tau_s, kPositive);
      in->number("layer_change_percent", out_.air.layer_change_percent, {-50.0, 50.0});
      in->number("rim_nm_per_s", out_.air.rim_nm_per_s, kNotNegative);
      in->finish();
    }
  }

  void read_steps() {
    for (TableReader& in : root_.tables("step")) {
      Step step;
      in.require("t_s");
      in.number("t_s", step.t_s, kNotNegative);
      double value = 0.0;
      if (in.number("current_a", value, {-1.0, 1.0})) step.current_a = value;
      if (in.number("temperature_k", value, kTemperature)) step.temperature_k = value;
      std::size_t beam = 0;
      if (in.choice("beam", beam, {"on", "blank"})) step.beam_on = beam == 0;
      Pair jump{};
      if (in.pair("jump_nm", jump)) step.jump_nm = jump;
      in.finish();
      out_.steps.push_back(step);
    }
    std::stable_sort(out_.steps.begin(), out_.steps.end(),
                     [](const Step& a, const Step& b) { return a.t_s < b.t_s; });
  }

  void read_faults() {
    for (TableReader& in : root_.tables("fault")) {
      Fault fault;
      std::int64_t frame = 0;
      std::int64_t count = 1;
      std::size_t kind = 0;
      in.require("frame");
      in.require("kind");
      in.integer("frame", frame, {0, 1e9});
      in.integer("count", count, {1, 1e9});
      in.choice("kind", kind, {"drop", "stall", "short", "close", "exit"});
      in.number("seconds", fault.seconds, {0.0, 600.0});
      in.finish();
      fault.frame = static_cast<std::uint64_t>(frame);
      fault.count = static_cast<std::uint64_t>(count);
      fault.kind = static_cast<FaultKind>(kind);
      out_.faults.push_back(fault);
    }
  }

  TableReader& root_;
  Scenario out_;
};

}  // namespace

Result<Scenario> parse_scenario(std::string_view text, const std::string& file) {
  Scenario scenario;
  const auto read = [&](TableReader& root) { scenario = ScenarioReader(root).read(); };
  if (auto ok = read_toml(text, file, read); !ok) return ok.error();
  return scenario;
}

Result<Scenario> read_scenario(const std::string& path) {
  Scenario scenario;
  const auto read = [&](TableReader& root) { scenario = ScenarioReader(root).read(); };
  if (auto ok = read_toml_file(path, "scenario", read); !ok) return ok.error();
  return scenario;
}

}  // namespace latticed::sim
