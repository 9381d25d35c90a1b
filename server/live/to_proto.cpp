// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/live/to_proto.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <optional>
#include <set>
#include <variant>

#include "server/base/stage_clock.hpp"

namespace latticed {

namespace {

void fill(v1::Vector2& out, const Vector2& vector) {
  out.set_x(vector.x);
  out.set_y(vector.y);
}

v1::DriftState to_proto(DriftState state) {
  switch (state) {
    case DriftState::locked:
      return v1::DRIFT_STATE_LOCKED;
    case DriftState::weak:
      return v1::DRIFT_STATE_WEAK;
    case DriftState::lost:
      break;
  }
  return v1::DRIFT_STATE_LOST;
}

void fill(v1::Spot& out, const Spot& spot) {
  out.set_id(spot.id);
  fill(*out.mutable_g_per_nm(), spot.g_per_nm);
  out.set_d_nm(spot.d_nm);
  out.set_sigma_d_nm(spot.sigma_d_nm);
  out.set_sigma_d_sys_nm(spot.sigma_d_sys_nm);
  out.set_snr(spot.snr);
  out.set_amplitude(spot.amplitude);
  out.set_phase_rad(spot.phase_rad);
  out.set_age_frames(spot.age_frames);
  out.set_confirmed(spot.is_confirmed);
  out.set_harmonic_order(spot.harmonic_order);
  out.set_harmonic_of(spot.harmonic_of);
  if (spot.harmonic_order > 1) {
    out.set_harmonic_ratio(spot.harmonic_ratio);
    out.set_sigma_harmonic_ratio(spot.sigma_harmonic_ratio);
  }
  out.set_sigma_amplitude(spot.sigma_amplitude);
  out.set_overlapped(spot.is_overlapped);
  out.set_lattice_id(spot.lattice);
  out.set_h(spot.h);
  out.set_k(spot.k);
  if (std::isfinite(spot.d_lattice_nm)) {
    out.set_d_lattice_nm(spot.d_lattice_nm);
    out.set_sigma_d_lattice_nm(spot.sigma_d_lattice_nm);
  }
  out.set_d_track_nm(spot.d_track_nm);
  out.set_sigma_d_track_nm(spot.sigma_d_track_nm);
}

void fill(v1::Lattice& out, const Lattice& lattice) {
  out.set_id(lattice.id);
  out.set_a_nm(lattice.a_nm);
  out.set_b_nm(lattice.b_nm);
  out.set_gamma_deg(lattice.gamma_deg);
  out.set_sigma_a_nm(lattice.sigma_a_nm);
  out.set_sigma_b_nm(lattice.sigma_b_nm);
  out.set_sigma_gamma_deg(lattice.sigma_gamma_deg);
  out.set_sigma_a_sys_nm(lattice.sigma_a_sys_nm);
  out.set_sigma_b_sys_nm(lattice.sigma_b_sys_nm);
  fill(*out.mutable_g1_per_nm(), lattice.g1_per_nm);
  fill(*out.mutable_g2_per_nm(), lattice.g2_per_nm);
  out.set_spots(lattice.spots);
  out.set_age_frames(lattice.age_frames);
  out.set_confirmed(lattice.is_confirmed);
}

void fill(v1::SuperlatticeSpot& out, const SuperlatticeSpot& spot) {
  out.set_lattice_id(spot.lattice);
  out.set_h(spot.index.x);
  out.set_k(spot.index.y);
  fill(*out.mutable_g_per_nm(), spot.g_per_nm);
  out.set_snr(spot.snr);
  out.set_amplitude(spot.amplitude);
  out.set_sigma_amplitude(spot.sigma_amplitude);
  out.set_false_alarm(spot.false_alarm);
}

void fill(v1::ScanAffine& out, const ScanAffine& affine) {
  out.set_xx(affine.xx);
  out.set_xy(affine.xy);
  out.set_yx(affine.yx);
  out.set_yy(affine.yy);
}

void fill(v1::SumMeasurement& out, const SumMeasurement& sum) {
  out.set_frames_added(sum.frames_added);
  out.set_frames_left_out(sum.frames_left_out);
  out.set_first_seq(sum.first_seq);
  out.set_last_seq(sum.last_seq);
  out.set_effective_seq(sum.effective_seq);
  if (sum.effective_time_ns) out.set_effective_time_ns(*sum.effective_time_ns);
  fill(*out.mutable_drift_px(), sum.drift_px);
  out.set_mean_counts(sum.mean_counts);
  for (const Spot& spot : sum.spots) fill(*out.add_spots(), spot);
  if (sum.crystallinity) out.set_crystallinity(*sum.crystallinity);
  if (sum.lattice) fill(*out.mutable_lattice(), *sum.lattice);
  if (sum.scan_affine) fill(*out.mutable_scan_affine(), *sum.scan_affine);
}

void fill(v1::AlertChange& out, const AlertEvent& event, const AlertRule& rule) {
  out.set_rule(rule.name);
  out.set_raised(event.is_raised);
  out.set_value(event.value);
  out.set_sigma(event.sigma);
  out.set_unit(std::string(unit_of(rule.quantity)));
  out.set_since_seq(event.since_seq);
  out.set_spot_id(event.spot_id);
  out.set_of(std::string(to_string(rule.of)));
}

void fill(v1::Edge& out, const DurationSummary& duration) {
  out.set_duration_p50_s(1e-3 * duration.p50_ms);
  out.set_duration_p99_s(1e-3 * duration.p99_ms);
  out.set_duration_max_s(1e-3 * duration.max_ms);
}

std::optional<Quantity> quantity_of(const std::string& name) {
  for (std::size_t i = 0; i < kQuantities; ++i)
    if (name == to_string(static_cast<Quantity>(i))) return static_cast<Quantity>(i);
  return std::nullopt;
}

bool is_name(const std::string& name) {
  return !name.empty() && name.find_first_not_of(
                              "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") ==
                              std::string::npos;
}

std::string mistake_in_limits(const v1::Rule& rule) {
  const bool has_limit = rule.has_above() || rule.has_below();
  if (rule.kind() == "limit" && !has_limit)
    return "kind \"limit\" without a limit (expected above, below, or both)";
  if (rule.kind() == "change" && has_limit)
    return "above and below have no meaning for kind \"change\" (expected kind \"limit\")";
  if (rule.has_above() && !std::isfinite(rule.above())) return "above is not finite";
  if (rule.has_below() && !std::isfinite(rule.below())) return "below is not finite";
  if (rule.has_above() && rule.has_below() && rule.below() > rule.above())
    return fmt::format("below {} (expected at most above, {})", rule.below(), rule.above());
  if (!std::isfinite(rule.hysteresis()) || rule.hysteresis() < 0.0)
    return fmt::format("hysteresis {} (expected 0 or more)", rule.hysteresis());
  if (rule.dwell_frames() < 0)
    return fmt::format("dwell_frames {} (expected 1 or more, or 0 for 1)", rule.dwell_frames());
  return {};
}

std::string mistake_in(const v1::Rule& rule) {
  if (!is_name(rule.name())) return "name (expected letters, digits, _ and -)";
  const auto quantity = quantity_of(rule.quantity());
  if (!quantity) return fmt::format("quantity \"{}\" is not known", rule.quantity());
  if (rule.kind() != "limit" && rule.kind() != "change")
    return fmt::format("kind \"{}\" (expected limit or change)", rule.kind());
  if (!rule.of().empty() && rule.of() != "frame" && rule.of() != "sum")
    return fmt::format("of \"{}\" (expected frame or sum)", rule.of());
  if (rule.of() == "sum" && !is_of_sums(*quantity))
    return fmt::format("of \"sum\" has no meaning for quantity {}", rule.quantity());
  if (auto mistake = mistake_in_limits(rule); !mistake.empty()) return mistake;
  if (!std::isfinite(rule.false_alarms_per_hour()) || rule.false_alarms_per_hour() < 0.0)
    return fmt::format("false_alarms_per_hour {} (expected more than 0, or 0 for the default)",
                       rule.false_alarms_per_hour());
  const bool has_range = rule.d_min_nm() != 0.0 || rule.has_d_max_nm();
  if (has_range && !is_per_spot(*quantity))
    return fmt::format("d_min_nm and d_max_nm have no meaning for quantity {}", rule.quantity());
  if (!std::isfinite(rule.d_min_nm()) || rule.d_min_nm() < 0.0)
    return fmt::format("d_min_nm {} (expected 0 or more)", rule.d_min_nm());
  if (rule.has_d_max_nm() && !(rule.d_max_nm() > rule.d_min_nm()))
    return fmt::format("d_max_nm {} (expected above d_min_nm, {})", rule.d_max_nm(),
                       rule.d_min_nm());
  return {};
}

AlertRule rule_of(const v1::Rule& rule) {
  AlertRule out;
  out.name = rule.name();
  out.quantity = quantity_of(rule.quantity()).value_or(Quantity::spot_d_nm);
  out.of = rule.of() == "sum" ? RuleOf::sum : RuleOf::frame;
  out.kind = rule.kind() == "limit" ? RuleKind::limit : RuleKind::change;
  if (rule.has_above()) out.above = rule.above();
  if (rule.has_below()) out.below = rule.below();
  out.hysteresis = rule.hysteresis();
  out.dwell_frames = std::max(1, rule.dwell_frames());
  if (rule.false_alarms_per_hour() > 0.0) out.false_alarms_per_hour = rule.false_alarms_per_hour();
  out.d_min_nm = rule.d_min_nm();
  if (rule.has_d_max_nm()) out.d_max_nm = rule.d_max_nm();
  return out;
}

}  // namespace

v1::PixelType to_proto(PixelType type) {
  constexpr std::array kTypes{v1::PIXEL_TYPE_U8,  v1::PIXEL_TYPE_I8,  v1::PIXEL_TYPE_U16,
                              v1::PIXEL_TYPE_I16, v1::PIXEL_TYPE_U32, v1::PIXEL_TYPE_I32,
                              v1::PIXEL_TYPE_F32};
  return kTypes[static_cast<std::size_t>(type)];
}

v1::HolderState to_proto(const std::string& holder, const HolderState& state) {
  v1::HolderState out;
  out.set_holder(holder);
  if (std::isfinite(state.bias_v)) out.set_bias_v(state.bias_v);
  if (std::isfinite(state.current_a)) out.set_current_a(state.current_a);
  if (std::isfinite(state.temperature_k)) out.set_temperature_k(state.temperature_k);
  out.set_age_s(state.age_s);
  out.set_provisional(state.is_provisional);
  out.set_output_on(state.is_output_on);
  return out;
}

v1::HolderSample to_proto(const HolderSample& sample) {
  v1::HolderSample out;
  out.set_time_ns(sample.time_ns);
  if (std::isfinite(sample.bias_v)) out.set_bias_v(sample.bias_v);
  if (std::isfinite(sample.current_a)) out.set_current_a(sample.current_a);
  if (std::isfinite(sample.temperature_k)) out.set_temperature_k(sample.temperature_k);
  out.set_output_on(sample.is_output_on);
  out.set_heater_on(sample.is_heater_on);
  out.set_in_compliance(sample.is_in_compliance);
  return out;
}

v1::Rule to_proto(const AlertRule& rule) {
  v1::Rule out;
  out.set_name(rule.name);
  out.set_quantity(std::string(to_string(rule.quantity)));
  out.set_of(std::string(to_string(rule.of)));
  out.set_kind(rule.kind == RuleKind::limit ? "limit" : "change");
  if (std::isfinite(rule.above)) out.set_above(rule.above);
  if (std::isfinite(rule.below)) out.set_below(rule.below);
  out.set_hysteresis(rule.hysteresis);
  out.set_dwell_frames(rule.dwell_frames);
  out.set_false_alarms_per_hour(rule.false_alarms_per_hour);
  out.set_d_min_nm(rule.d_min_nm);
  if (std::isfinite(rule.d_max_nm)) out.set_d_max_nm(rule.d_max_nm);
  return out;
}

Result<std::vector<AlertRule>> from_proto(std::span<const v1::Rule* const> rules) {
  std::vector<AlertRule> out;
  std::set<std::string> names;
  for (const v1::Rule* rule : rules) {
    std::string mistake = mistake_in(*rule);
    if (mistake.empty() && !names.insert(rule->name()).second)
      mistake = "the name is used twice (expected a name of its own)";
    if (!mistake.empty())
      return Error{ErrorCode::invalid_argument,
                   fmt::format("rule {} \"{}\": {}", out.size() + 1, rule->name(), mistake)};
    out.push_back(rule_of(*rule));
  }
  return out;
}

std::string words_of(const AppliedChange& applied) {
  const std::string name(name_of(applied.change));
  if (const auto* rules = std::get_if<SetRules>(&applied.change)) {
    std::string names;
    for (const AlertRule& rule : rules->rules) names += (names.empty() ? "" : ", ") + rule.name;
    return fmt::format("{}: {}", name, names.empty() ? "none" : names);
  }
  if (const auto* spot = std::get_if<WatchSpot>(&applied.change))
    return fmt::format("{}: spot {} at ({:.6g}, {:.6g})", name, applied.spot_id, spot->g_per_nm.x,
                       spot->g_per_nm.y);
  if (std::holds_alternative<ForgetSpot>(applied.change))
    return fmt::format("{}: spot {}", name, applied.spot_id);
  if (std::holds_alternative<SetRegion>(applied.change)) {
    const signal::AnalysisGrid& grid = applied.grid;
    return fmt::format("{}: {} x {} at ({}, {}), bin {}", name, grid.width * grid.bin,
                       grid.height * grid.bin, grid.x0, grid.y0, grid.bin);
  }
  return name;
}

void fill(v1::Measurement& out, const Frame& frame, const RunInfo& run,
          std::span<const std::uint64_t> alert_ids) {
  const Measurements& m = frame.measurements;
  out.set_seq(frame.seq);
  if (frame.header.time_ns != kUnknownTime) out.set_time_ns(frame.header.time_ns);
  out.set_exposure_s(frame.header.exposure_s);
  out.set_quality(std::string(to_string(m.quality)));
  out.set_mean_counts(m.mean_counts);
  fill(*out.mutable_drift_px(), m.drift.drift_px);
  fill(*out.mutable_sigma_drift_px(), m.drift.sigma_drift_px);
  fill(*out.mutable_sigma_drift_sys_px(), m.drift.sigma_drift_sys_px);
  out.set_drift_state(to_proto(m.drift.state));
  out.set_cell_ambiguous(m.drift.is_cell_ambiguous);
  for (const Spot& spot : m.spots) fill(*out.add_spots(), spot);
  if (const Lattice* main = m.main_lattice()) fill(*out.mutable_lattice(), *main);
  for (const Lattice& lattice : m.lattices) fill(*out.add_lattices(), lattice);
  for (const SuperlatticeSpot& spot : m.superlattice) fill(*out.add_superlattice(), spot);
  if (m.scan_affine) fill(*out.mutable_scan_affine(), *m.scan_affine);
  if (m.crystallinity) out.set_crystallinity(*m.crystallinity);
  if (m.sum) fill(*out.mutable_sum(), *m.sum);
  for (std::size_t i = 0; i < m.alerts.size(); ++i) {
    v1::AlertChange& change = *out.add_alerts();
    fill(change, m.alerts[i], run.rules[m.alerts[i].rule]);
    if (i < alert_ids.size()) change.set_id(alert_ids[i]);
  }
  if (frame.change) out.add_changes(words_of(*frame.change));
  out.set_latency_s(std::chrono::duration<double>(steady_now() - frame.filled_at).count());
}

void fill(v1::LostFrames& out, const Frame& lost) {
  out.set_seq(lost.seq);
  out.set_count(lost.header.lost_count);
  out.set_reason(std::string(to_string(lost.header.loss)));
}

void fill(v1::RunBegins& out, const RunInfo& run) {
  out.set_frame_period_s(run.frame_period_s);
  out.set_pixel_size_nm(run.pixel_size_nm);
  out.set_width(run.configuration.geometry.width);
  out.set_height(run.configuration.geometry.height);
  out.set_bin(run.grid.bin);
  out.set_pixel_size_sigma_ratio(run.pixel_size_sigma_ratio);
}

void fill(v1::FrameHeader& out, const Frame& frame, const RunInfo& run) {
  out.set_detector(run.detector.name);
  out.set_seq(frame.seq);
  out.set_hardware_sequence(frame.header.hardware_sequence);
  if (frame.header.time_ns != kUnknownTime) out.set_time_ns(frame.header.time_ns);
  out.set_exposure_s(frame.header.exposure_s);
  out.set_width(frame.geometry.width);
  out.set_height(frame.geometry.height);
  out.set_pixel_type(to_proto(frame.geometry.type));
  out.set_pixel_size_nm(run.pixel_size_nm);
  fill(*out.mutable_drift_px(), frame.measurements.drift.drift_px);
  fill(*out.mutable_sigma_drift_px(), frame.measurements.drift.sigma_drift_px);
  out.set_blanked((frame.header.flags & kFrameBlanked) != 0);
}

void fill(v1::Alert& out, const AlertEvent& event, const Frame& frame, const RunInfo& run) {
  const AlertRule& rule = run.rules[event.rule];
  out.set_epoch(frame.epoch);
  out.set_rule(rule.name);
  out.set_quantity(std::string(to_string(rule.quantity)));
  out.set_value(event.value);
  out.set_sigma(event.sigma);
  out.set_unit(std::string(unit_of(rule.quantity)));
  out.set_raised_seq(frame.seq);
  if (frame.header.time_ns != kUnknownTime) out.set_raised_ns(frame.header.time_ns);
  out.set_since_seq(event.since_seq);
  out.set_spot_id(event.spot_id);
  out.set_of(std::string(to_string(rule.of)));
  out.set_active(true);
}

void fill(v1::Edge& out, const EventQueue::Counters& counters) {
  out.set_in(counters.in);
  out.set_out(counters.out);
  out.set_dropped(counters.dropped);
  if (counters.missed > 0) (*out.mutable_lost())["missed_by_the_publisher"] = counters.missed;
  out.set_level(counters.level);
  out.set_level_max(counters.level_max);
  out.set_oldest_age_s(counters.oldest_age_s);
  fill(out, counters.duration);
}

void fill(v1::Edge& out, const EdgeCounters& counters) {
  out.set_in(counters.in.load());
  out.set_out(counters.out.load());
  out.set_dropped(counters.dropped());
  for (std::size_t r = 1; r < kLossReasons; ++r)
    if (const auto lost = counters.lost[r].load())
      (*out.mutable_lost())[std::string(to_string(static_cast<LossReason>(r)))] = lost;
  out.set_level(counters.level());
  out.set_level_max(counters.level_max.load());
  fill(out, counters.duration.summary());
}

}  // namespace latticed
