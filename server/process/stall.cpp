// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/process/stall.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace latticed {

namespace {

std::chrono::nanoseconds nanoseconds_of(double seconds) {
  constexpr double kLongest_s = 1e9;  // thirty years
  return std::chrono::nanoseconds(static_cast<std::int64_t>(std::min(seconds, kLongest_s) * 1e9));
}

}  // namespace

StallDeadlines::StallDeadlines(const StallLimits& limits,
                               const DetectorConfiguration& configuration)
    : exposure_s_(configuration.exposure_s), frame_period_s_(configuration.frame_period_s) {
  const double frame_s = std::max(exposure_s_, frame_period_s_);
  own_ = nanoseconds_of(std::max(limits.min_s, 10.0 * frame_s));
  sink_ = nanoseconds_of(std::max(limits.sink_s, 10.0 * frame_s));
}

std::chrono::nanoseconds StallDeadlines::of(Patience patience) const noexcept {
  switch (patience) {
    case Patience::own:
      return own_;
    case Patience::sink:
      return sink_;
    case Patience::behind_sinks:
      return sink_ + own_;
  }
  return own_;
}

std::optional<Error> StallDeadlines::find_stall(std::string_view detector, std::string_view part,
                                                const Activity& activity,
                                                std::chrono::nanoseconds now) const {
  const std::int64_t since = activity.since_ns.load(std::memory_order_acquire);
  if (since == 0) return std::nullopt;
  const auto deadline = of(activity.patience.load(std::memory_order_relaxed));
  const auto waited = now - std::chrono::nanoseconds(since);
  if (waited <= deadline) return std::nullopt;
  const auto seconds = [](std::chrono::nanoseconds t) {
    return std::chrono::duration<double>(t).count();
  };
  return Error{ErrorCode::timeout,
               fmt::format("detector {}: {} {} (frame {}) since {:.3g} s, deadline {:.3g} s "
                           "from exposure {:.3g} s and period {:.3g} s",
                           detector, part, activity.what.load(std::memory_order_relaxed),
                           activity.seq.load(std::memory_order_relaxed), seconds(waited),
                           seconds(deadline), exposure_s_, frame_period_s_)};
}

}  // namespace latticed
