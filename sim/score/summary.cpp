// SPDX-License-Identifier: GPL-3.0-or-later
#include "sim/score/summary.hpp"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

namespace latticed::sim {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kAxes[] = {"x", "y"};

Json optional_number(const std::optional<double>& value) {
  return value ? Json(*value) : Json(nullptr);
}

/// JSON has no infinity; a sigma of zero makes one.
Json number(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

Json alerts_json(const AlertScore& score) {
  Json out = Json::array();
  for (const auto& raised : score.raised) {
    out.push_back({{"rule", raised.alert.rule},
                   {"seq", raised.alert.seq},
                   {"since_seq", raised.alert.since_seq},
                   {"truth_seq", raised.event ? Json(raised.event->frame) : Json(nullptr)},
                   {"truth_event", raised.event ? Json(raised.event->kind) : Json(nullptr)}});
  }
  return out;
}

Json events_json(const std::vector<TrueEvent>& events) {
  Json out = Json::array();
  for (const TrueEvent& event : events)
    out.push_back({{"event", event.kind}, {"seq", event.frame}});
  return out;
}

Json series_json(const std::vector<SpotSeries>& series) {
  Json out = Json::array();
  for (const SpotSeries& one : series) {
    out.push_back({{"id", one.id},
                   {"samples", one.samples},
                   {"d_true_nm", one.d_true_nm},
                   {"offset_nm", one.offset_nm},
                   {"sigma_d_sys_nm", one.sys_nm},
                   {"z_rms", number(one.z_rms)},
                   {"bound_ratio", optional_number(one.bound_ratio)},
                   {"lattice_bound_ratio", optional_number(one.lattice_bound_ratio)}});
  }
  return out;
}

std::uint64_t total(const std::map<std::string, std::uint64_t>& counts) {
  std::uint64_t sum = 0;
  for (const auto& [reason, count] : counts) sum += count;
  return sum;
}

double locked_fraction(const FrameScore& frames, const DriftScore& drift) {
  const std::uint64_t not_judged = frames.blanked + frames.empty + 1;  // the first
  if (frames.measured <= not_judged) return 0.0;
  return static_cast<double>(drift.locked) / static_cast<double>(frames.measured - not_judged);
}

}  // namespace

std::vector<std::string> reasons_against(const FrameScore& frames, const DriftScore& drift,
                                         const SpotScore& spots, const ScoreLimits& limits) {
  std::vector<std::string> reasons;
  const auto against = [&](bool is_bad, std::string text) {
    if (is_bad) reasons.push_back(std::move(text));
  };
  const auto first = [](const std::vector<std::uint64_t>& list) {
    return list.empty() ? 0 : list.front();
  };
  against(!frames.unlisted.empty(),
          fmt::format("{} frames neither measured nor listed as lost, first {}",
                      frames.unlisted.size(), first(frames.unlisted)));
  against(!frames.unknown.empty(),
          fmt::format("{} frames measured that were never delivered, first {}",
                      frames.unknown.size(), first(frames.unknown)));
  against(!frames.repeated.empty(), fmt::format("{} frames listed more than once, first {}",
                                                frames.repeated.size(), first(frames.repeated)));
  const double locked = locked_fraction(frames, drift);
  against(!(locked >= limits.locked_fraction),
          fmt::format("drift locked in {:.3f} of the frames, limit {}", locked,
                      limits.locked_fraction));
  against(drift.hops > 0,
          fmt::format("{} cell hops while locked, {} frames", drift.hops, drift.hop_frames));
  for (std::size_t axis = 0; axis < 2; ++axis) {
    against(!(drift.z_rms[axis] <= limits.z_rms),
            fmt::format("drift {}: rms error {:.2f} sigma, limit {}", kAxes[axis],
                        drift.z_rms[axis], limits.z_rms));
  }
  against(!(drift.outlier_fraction <= limits.outlier_fraction),
          fmt::format("drift: {:.4f} of the frames beyond {} sigma, limit {}",
                      drift.outlier_fraction, limits.outlier_z, limits.outlier_fraction));
  against(spots.matched + spots.unresolved == 0, "no confirmed spot belongs to a true reflection");
  against(static_cast<double>(spots.outside) >
              limits.outlier_fraction * static_cast<double>(spots.unresolved),
          fmt::format("d: {} of {} spots on several reflections are not between them, limit {}",
                      spots.outside, spots.unresolved, limits.outlier_fraction));
  against(!(spots.z_rms <= limits.z_rms),
          fmt::format("d: rms error {:.2f} sigma, limit {}", spots.z_rms, limits.z_rms));
  against(!(spots.outlier_fraction <= limits.outlier_fraction),
          fmt::format("d: {:.4f} of the spots beyond {} sigma, limit {}", spots.outlier_fraction,
                      limits.outlier_z, limits.outlier_fraction));
  const double offset = spots.offset_sigmas.value_or(0.0);
  against(!(offset <= limits.sys_sigmas),
          fmt::format("d: offset of {:.2f} systematic sigma in 5 % of the spots or more, limit {}",
                      offset, limits.sys_sigmas));
  return reasons;
}

Json summarise(const Truth& truth, const Measurements& measurements, const ScoreLimits& limits) {
  const FrameScore frames = score_frames(truth, measurements, limits);
  const DriftScore drift = score_drift(truth, measurements, limits);
  const SpotScore spots = score_spots(truth, measurements, limits);
  const AlertScore alerts = score_alerts(truth, measurements, limits);
  const std::vector<std::string> reasons = reasons_against(frames, drift, spots, limits);
  return {{"frames", frames.frames},
          {"lost", total(frames.lost)},
          {"drift_rms_px", drift.rms_px},
          {"d_rms_nm", spots.matched > 0 ? Json(spots.rms_nm) : Json(nullptr)},
          {"alerts", alerts_json(alerts)},
          {"verdict", reasons.empty() ? "pass" : "fail"},
          {"reasons", reasons},
          {"scenario", truth.scenario},
          {"measured", frames.measured},
          {"blanked", frames.blanked},
          {"specimen_out", frames.empty},
          {"lost_by_reason", frames.lost},
          {"unlisted_loss", frames.unlisted.size()},
          {"events", events_json(truth.events)},
          {"events_without_alert", events_json(alerts.missed)},
          {"drift",
           {{"frames", drift.frames},
            {"locked_fraction", locked_fraction(frames, drift)},
            {"cell_hops", drift.hops},
            {"hop_frames", drift.hop_frames},
            {"offset_px", drift.offset_px},
            {"z_rms", {number(drift.z_rms[0]), number(drift.z_rms[1])}},
            {"z_robust_std", {number(drift.z_robust[0]), number(drift.z_robust[1])}},
            {"z_random_rms", {number(drift.z_random_rms[0]), number(drift.z_random_rms[1])}},
            {"outlier_fraction", drift.outlier_fraction},
            {"bound_ratio", optional_number(drift.bound_ratio)},
            {"bound_ratio_xy", drift.bound_ratio_xy ? Json(*drift.bound_ratio_xy) : Json(nullptr)},
            {"worst", {{"seq", drift.worst_seq}, {"error_px", drift.worst_px}}}}},
          {"d",
           {{"matched", spots.matched},
            {"unmatched", spots.unmatched},
            {"unresolved", spots.unresolved},
            {"unresolved_outside", spots.outside},
            {"layer_rms_nm", spots.layer_rms_nm},
            {"z_rms", number(spots.z_rms)},
            {"z_robust_std", number(spots.z_robust)},
            {"z_random_rms", number(spots.z_random_rms)},
            {"outlier_fraction", spots.outlier_fraction},
            {"bound_ratio", optional_number(spots.bound_ratio)},
            {"lattice_bound_ratio", optional_number(spots.lattice_bound_ratio)},
            {"offset_ppm", spots.offset_ppm},
            {"offset_sys_sigmas", optional_number(spots.offset_sigmas)},
            {"worst", {{"seq", spots.worst_seq}, {"error_nm", spots.worst_nm}}},
            {"series", series_json(spots.series)}}}};
}

}  // namespace latticed::sim
