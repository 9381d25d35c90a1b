// SPDX-License-Identifier: GPL-3.0-or-later
#include <algorithm>

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
