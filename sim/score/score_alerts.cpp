// SPDX-License-Identifier: GPL-3.0-or-later
#include <algorithm>
#include <cmath>
#include <utility>

#include "sim/score/score.hpp"

namespace latticed::sim {
namespace {

/// A frame or two early is the estimator's neighbourhood, not prophecy.
constexpr std::uint64_t kEarly = 2;

/// What the picture itself shows; a set-point by itself shows nothing.
bool should_be_seen(const TrueEvent& event) {
  return event.kind == "jump" || event.kind == "transition_onset" ||
         event.kind == "spacing_change" || event.kind == "amorphisation_onset";
}

bool can_belong(const TrueEvent& event, const MeasuredAlert& alert, std::uint64_t window) {
  return event.frame <= alert.seq + kEarly && event.frame + window >= alert.seq;
}

std::uint64_t apart(std::uint64_t a, std::uint64_t b) { return a > b ? a - b : b - a; }

const MeasuredSpot* spot_of(const Measurements& measurements, std::uint64_t seq, std::int64_t id) {
  const auto frame = measurements.frames.find(seq);
  if (frame == measurements.frames.end()) return nullptr;
  for (const MeasuredSpot& spot : frame->second.spots)
    if (spot.id == id) return &spot;
  return nullptr;
}

/// The true d of the reflection that this spot shows; nothing where none lies near.
std::optional<double> true_d_of(const Truth& truth, std::uint64_t seq, const MeasuredSpot& spot) {
  const auto frame = truth.frames.find(seq);
  if (frame == truth.frames.end()) return std::nullopt;
  std::optional<double> d_nm;
  double nearest = 2.0 / truth.field_nm;  // two bins
  for (const TrueReflection& reflection : frame->second.reflections)
    for (const double sign : {1.0, -1.0}) {
      const double away = std::hypot(sign * reflection.g_per_nm[0] - spot.g_per_nm[0],
                                     sign * reflection.g_per_nm[1] - spot.g_per_nm[1]);
      if (away < nearest) {
        nearest = away;
        d_nm = reflection.d_nm;
      }
    }
  return d_nm;
}

/// A spacing may move long after the event that began it: has the true one, since this spot's first
/// frames, and when did it leave them?
std::optional<TrueEvent> moved_spacing(const Truth& truth, const Measurements& measurements,
                                       const MeasuredAlert& alert) {
  constexpr double kMoved = 1e-4;  // relative: less is below every series' own systematic error
  std::optional<double> at_first;
  std::optional<TrueEvent> moved;
  for (const auto& [seq, frame] : measurements.frames) {
    if (seq > alert.seq) break;
    const MeasuredSpot* spot = spot_of(measurements, seq, alert.spot_id);
    if (!spot) continue;
    const auto d_nm = true_d_of(truth, seq, *spot);
    if (!d_nm) continue;
    if (!at_first) at_first = d_nm;
    const bool is_away = std::abs(*d_nm / *at_first - 1.0) > kMoved;
    if (is_away && !moved) moved = TrueEvent{"spacing_moved", seq};
    if (!is_away) moved.reset();
  }
  return moved;
}

}  // namespace

AlertScore score_alerts(const Truth& truth, const Measurements& measurements,
                        const ScoreLimits& limits) {
  AlertScore score;
  for (const MeasuredAlert& alert : measurements.alerts) {
    std::optional<TrueEvent> best;
    for (const TrueEvent& event : truth.events) {
      if (!can_belong(event, alert, limits.alert_window)) continue;
      if (!best || apart(event.frame, alert.since_seq) < apart(best->frame, alert.since_seq))
        best = event;
    }
    if (alert.spot_id != 0 && alert.rule.find("spacing") != std::string::npos)
      if (auto moved = moved_spacing(truth, measurements, alert)) best = std::move(moved);
    score.raised.push_back({alert, best});
  }
  for (const TrueEvent& event : truth.events) {
    const bool is_seen = std::any_of(
        measurements.alerts.begin(), measurements.alerts.end(),
        [&](const MeasuredAlert& alert) { return can_belong(event, alert, limits.alert_window); });
    if (should_be_seen(event) && !is_seen) score.missed.push_back(event);
  }
  return score;
}

}  // namespace latticed::sim
