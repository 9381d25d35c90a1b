// SPDX-License-Identifier: GPL-3.0-or-later
// When a part of the run has stalled: how long each may take, and the sentence that says which one,
// what it waited for, at which frame, since when and what was allowed. The Pipeline asks.
#pragma once

#include <chrono>
#include <optional>
#include <string_view>

#include "drivers/kit/detector.hpp"
#include "server/acquire/frame_source.hpp"

namespace latticed {

struct StallLimits {
  double min_s = 5.0;     // never less than this for source, worker and track, > 0
  double sink_s = 600.0;  // for sinks, > 0: a person may page through their output
};

/// Deadlines of one detector's run: ten frames of its exposure or period, and never less than what
/// a busy disk or machine may take.
class StallDeadlines {
 public:
  StallDeadlines() = default;
  StallDeadlines(const StallLimits& limits, const DetectorConfiguration& configuration);

  /// Of source, worker and track.
  [[nodiscard]] std::chrono::nanoseconds own() const noexcept { return own_; }
  [[nodiscard]] std::chrono::nanoseconds sink() const noexcept { return sink_; }
  [[nodiscard]] std::chrono::nanoseconds of(Patience patience) const noexcept;

  /// Error timeout when `activity` has lasted longer than it may; `now`: steady clock.
  [[nodiscard]] std::optional<Error> find_stall(std::string_view detector, std::string_view part,
                                                const Activity& activity,
                                                std::chrono::nanoseconds now) const;

 private:
  std::chrono::nanoseconds own_{0}, sink_{0};
  double exposure_s_ = 0.0, frame_period_s_ = 0.0;
};

}  // namespace latticed
