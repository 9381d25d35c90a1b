// SPDX-License-Identifier: GPL-3.0-or-later
#include <algorithm>
#include <array>
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

/// The true reflection that this g belongs to, the nearest; nothing where none is visible near it.
const TrueReflection* reflection_at(const Truth& truth, const TrueFrame& frame,
                                    const std::array<double, 2>& g_per_nm) {
  const TrueReflection* found = nullptr;
  double nearest = 2.0 / truth.field_nm;  // two bins
  for (const TrueReflection& reflection : frame.reflections)
    for (const double sign : {1.0, -1.0}) {
      const double away = std::hypot(sign * reflection.g_per_nm[0] - g_per_nm[0],
                                     sign * reflection.g_per_nm[1] - g_per_nm[1]);
      if (away < nearest) {
        nearest = away;
        found = &reflection;
      }
    }
  return found;
}

std::optional<double> true_d_of(const Truth& truth, std::uint64_t seq, const MeasuredSpot& spot) {
  const auto frame = truth.frames.find(seq);
  if (frame == truth.frames.end()) return std::nullopt;
  const TrueReflection* const reflection = reflection_at(truth, frame->second, spot.g_per_nm);
  return reflection ? std::optional(reflection->d_nm) : std::nullopt;
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

/// A front takes long to cross the field, so a reflection may go long after the event that began
/// it. One that still has half the amplitude it had has not gone: who does not see it has lost it.
/// When did the true one fall below half of the most it had while the spot was seen, for good?
std::optional<TrueEvent> faded_reflection(const Truth& truth, const Measurements& measurements,
                                          const MeasuredAlert& alert) {
  constexpr double kFaded = 0.5;
  const MeasuredSpot* last_seen = nullptr;
  double most = 0.0;
  std::optional<TrueEvent> faded;
  for (const auto& [seq, frame] : truth.frames) {
    if (seq > alert.seq) break;
    if (const MeasuredSpot* spot = spot_of(measurements, seq, alert.spot_id)) last_seen = spot;
    if (!last_seen || !frame.shows_specimen()) continue;
    const TrueReflection* reflection = reflection_at(truth, frame, last_seen->g_per_nm);
    const double amplitude = reflection ? reflection->amplitude : 0.0;  // faint ones are not listed
    most = std::max(most, amplitude);
    if (amplitude >= kFaded * most)
      faded.reset();
    else if (!faded)
      faded = TrueEvent{"reflection_faded", seq};
  }
  return faded;
}

/// Damage is slow. As in the truth's own "amorphisation_onset", a lattice a twentieth weaker
/// counts, or a rim 0.1 nm thicker; here it is than in the run's first frame, and from when on for
/// good.
std::optional<TrueEvent> moved_crystallinity(const Truth& truth, const MeasuredAlert& alert) {
  constexpr double kWeaker = 0.05, kThicker_nm = 0.1;
  if (truth.frames.empty()) return std::nullopt;
  const TrueCourse& first = truth.frames.begin()->second.course;
  std::optional<TrueEvent> moved;
  for (const auto& [seq, frame] : truth.frames) {
    if (seq > alert.seq) break;
    const TrueCourse& now = frame.course;
    const bool is_away =
        std::abs(now.crystallinity - first.crystallinity) > kWeaker * first.crystallinity ||
        std::abs(now.rim_nm - first.rim_nm) > kThicker_nm;
    if (!is_away)
      moved.reset();
    else if (!moved)
      moved = TrueEvent{"crystallinity_moved", seq};
  }
  return moved;
}

/// What the truth of the quantity itself says, which may move long after what began it.
std::optional<TrueEvent> own_truth(const Truth& truth, const Measurements& measurements,
                                   const MeasuredAlert& alert) {
  const auto is_about = [&](const char* what) {
    return alert.rule.find(what) != std::string::npos;
  };
  if (is_about("crystallinity")) return moved_crystallinity(truth, alert);
  if (alert.spot_id == 0) return std::nullopt;
  if (is_about("spacing")) return moved_spacing(truth, measurements, alert);
  if (is_about("presence")) return faded_reflection(truth, measurements, alert);
  return std::nullopt;
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
    if (auto moved = own_truth(truth, measurements, alert)) best = std::move(moved);
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
