// SPDX-License-Identifier: GPL-3.0-or-later
#include "sim/truth/truth_writer.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>

#include "sim/render/view.hpp"

namespace latticed::sim {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kGrid = 48;  // area fractions are sampled on so many points an axis

/// Visible: inside the detector's band, and its coefficient above so many standard deviations of
/// the shot noise of one frame, C sqrt(N/2) with N electrons in the frame.
constexpr double kVisibleSnr = 5.0;

void add_bound(Json& line, const char* key, const std::optional<double>& bound) {
  if (bound) line[key] = *bound;
}

/// Whole where it is whole; a superlattice's are fractions.
Json index_of(double value) {
  const double whole = std::round(value);
  return value == whole ? Json(static_cast<std::int64_t>(whole)) : Json(value);
}

/// One of each Friedel pair: g_x > 0, or g_x = 0 and g_y > 0.
Json reflection_line(const DetectorModel& detector, const Domain& domain, PlaneWave wave,
                     double fraction) {
  if (wave.g_per_nm.x < 0.0 || (wave.g_per_nm.x == 0.0 && wave.g_per_nm.y < 0.0)) {
    wave.g_per_nm = -1.0 * wave.g_per_nm;
    wave.h = -wave.h;
    wave.l = -wave.l;
  }
  const double g = length(wave.g_per_nm);
  const double nyquist = 0.5 / detector.pixel_size_nm;
  const bool in_band = std::abs(wave.g_per_nm.x) < nyquist && std::abs(wave.g_per_nm.y) < nyquist;
  const double amplitude =
      in_band ? std::abs(wave.amplitude * detector.lattice_scale) * mtf_at(detector, g) * fraction
              : 0.0;
  const double electrons = detector.dose_e_per_px * detector.width * detector.height;
  return {{"phase", domain.phase},
          {"domain", domain.name},
          {"hkl", {index_of(wave.h), 0, index_of(wave.l)}},
          {"g_per_nm", {wave.g_per_nm.x, wave.g_per_nm.y}},
          {"d_nm", 1.0 / g},
          {"amplitude", amplitude},
          {"visible", amplitude * std::sqrt(0.5 * electrons) > kVisibleSnr}};
}

Json domain_line(const Domain& domain, double fraction) {
  const Strain strain = strain_of(domain.deformation);
  return {{"name", domain.name},
          {"phase", domain.phase},
          {"fraction", fraction},
          {"d_layer_nm", domain.d_layer_nm},
          {"a_nm", domain.a_nm},
          {"e_xx", strain.xx},
          {"e_yy", strain.yy},
          {"e_xy", strain.xy},
          {"rotation_rad", strain.rotation_rad}};
}

}  // namespace

Result<std::unique_ptr<TruthWriter>> TruthWriter::create(const std::string& path,
                                                         const Scenario& scenario,
                                                         const DetectorModel& detector) {
  std::ofstream out(path, std::ios::trunc);
  if (!out) {
    return Error{ErrorCode::not_found,
                 fmt::format("write truth to {}: {}", path, std::strerror(errno))};
  }
  std::unique_ptr<TruthWriter> writer(new TruthWriter(std::move(out), scenario, detector));
  writer->write_header();
  return writer;
}

TruthWriter::TruthWriter(std::ofstream out, const Scenario& scenario, const DetectorModel& detector)
    : out_(std::move(out)), scenario_(scenario), detector_(detector) {}

void TruthWriter::add_bounds(std::uint64_t every, Renderer& renderer) {
  bounds_every_ = every;
  bounds_ = std::make_unique<Bounds>(detector_, renderer);
}

void TruthWriter::write_header() {
  out_ << Json{{"truth", 1},
               {"scenario", scenario_.name},
               {"seed", scenario_.seed},
               {"detector", detector_.name},
               {"width", detector_.width},
               {"height", detector_.height},
               {"pixel_size_nm", detector_.pixel_size_nm},
               {"frame_period_s", scenario_.frame_period_s},
               {"exposure_s", detector_.exposure_s},
               {"scan_line_time_s", detector_.scan_line_time_s},
               {"dose_e_per_px", detector_.dose_e_per_px},
               {"gain_adu_per_e", detector_.gain_adu_per_e},
               {"dark_adu", detector_.dark_adu},
               {"frames", scenario_.frames}}
              .dump()
       << std::endl;
}

void TruthWriter::write(const SpecimenState& state, LossReason lost) {
  if (state.frame == 0) {
    first_shift_nm_ = state.shift_nm;
    first_d_nm_ = state.domains.front().d_layer_nm;
  }
  Json domains = Json::array();
  Json reflections = Json::array();
  Json fractions = Json::object();
  std::optional<FrameBounds> bounds;
  if (bounds_ && state.frame % bounds_every_ == 0) bounds = bounds_->of(state);
  for (std::size_t i = 0; i < state.domains.size(); ++i) {
    const Domain& domain = state.domains[i];
    const double fraction = state.specimen_in ? area_fraction(state, domain) : 0.0;
    fractions[domain.phase] = fractions.value(domain.phase, 0.0) + fraction;
    domains.push_back(domain_line(domain, fraction));
    for (std::size_t k = 0; k < domain.waves.size(); ++k) {
      Json& line =
          reflections.emplace_back(reflection_line(detector_, domain, domain.waves[k], fraction));
      if (!bounds) continue;  // those too faint for one frame may show in a sum of many
      add_bound(line, "bound_d_nm", bounds->waves[i][k].d_nm);
      add_bound(line, "bound_d_lattice_nm", bounds->waves[i][k].d_lattice_nm);
    }
  }
  const Vector drift_px = (1.0 / detector_.pixel_size_nm) * (state.shift_nm - first_shift_nm_);
  Json line{{"frame", state.frame},
            {"t_s", state.t_s},
            {"lost", lost == LossReason::none ? Json(nullptr) : Json(to_string(lost))},
            {"blanked", !state.beam_on},
            {"drift_px", {drift_px.x, drift_px.y}},
            {"jump", state.jumped},
            {"phase_fractions", fractions},
            {"domains", domains},
            {"reflections", reflections},
            {"bias_v", state.bias_v},
            {"current_a", state.current_a},
            {"temperature_k", state.temperature_k},
            {"state_of_charge", state.state_of_charge},
            {"fluence_e_per_nm2", state.fluence_e_per_nm2},
            {"rim_nm", state.rim_nm},
            {"crystallinity", state.crystallinity}};
  if (!state.specimen_in) line["specimen_in"] = false;
  if (detector_.scan_line_time_s > 0.0) add_scan(line, state);
  if (bounds && bounds->drift_px)
    line["bound_drift_px"] = {bounds->drift_px->x, bounds->drift_px->y};
  out_ << line.dump() << '\n';
  for (const Event& what : state.events) event(state.frame, what.kind, what.detail);
  const auto& transition = scenario_.specimen.transition;
  if (state.specimen_in)  // else the picture shows nothing of it yet
    note_changes(state, transition ? fractions.value(transition->to, 0.0) : 0.0);
  out_.flush();
}

/// What the rows of a scanned frame, taken one after the other, made of the specimen.
void TruthWriter::add_scan(Json& line, const SpecimenState& state) const {
  const Vector velocity =
      (1.0 / detector_.pixel_size_nm) *
      state.motion.velocity_nm_per_s(detector_.scan_line_time_s * detector_.height);
  const Matrix a = scan_matrix(detector_.scan_line_time_s * velocity);
  line["drift_velocity_px_per_s"] = {velocity.x, velocity.y};
  line["scan_matrix"] = {{a.xx, a.xy}, {a.yx, a.yy}};
}

void TruthWriter::note_changes(const SpecimenState& state, double product_fraction) {
  if (!transition_told_ && product_fraction > 0.02) {
    transition_told_ = true;
    event(state.frame, "transition_onset",
          fmt::format("{} to {}, 2 % of the area", scenario_.specimen.phase,
                      scenario_.specimen.transition->to));
  }
  const double change = state.domains.front().d_layer_nm / first_d_nm_ - 1.0;
  if (!spacing_told_ && std::abs(change) > 0.001) {
    spacing_told_ = true;
    event(state.frame, "spacing_change",
          fmt::format("layer spacing {:+.2f} % against frame 0", 100.0 * change));
  }
}

void TruthWriter::event(std::uint64_t frame, const std::string& kind, const std::string& detail) {
  out_ << Json{{"event", kind}, {"frame", frame}, {"detail", detail}}.dump() << '\n';
}

double TruthWriter::area_fraction(const SpecimenState& state, const Domain& domain) const {
  const double px = detector_.pixel_size_nm;
  double sum = 0.0;
  for (int j = 0; j < kGrid; ++j) {
    for (int i = 0; i < kGrid; ++i) {
      const Vector pixel{(i + 0.5) * detector_.width / kGrid - 0.5 * detector_.width,
                         (j + 0.5) * detector_.height / kGrid - 0.5 * detector_.height};
      sum += presence(scenario_.specimen, state.rim_nm, domain, px * pixel - state.shift_nm);
    }
  }
  return sum / (kGrid * kGrid);
}

}  // namespace latticed::sim
