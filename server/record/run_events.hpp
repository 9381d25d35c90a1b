// SPDX-License-Identifier: GPL-3.0-or-later
// What the pipeline itself has to say in a recording's `events`: alerts, and every change of how
// frames are measured, whole enough to be repeated. The texts are JSON.
#pragma once

#include "server/process/sink.hpp"
#include "server/process/track_change.hpp"
#include "server/record/recorded_event.hpp"

namespace latticed::record {

/// An alert raised or cleared in `frame`.
[[nodiscard]] RecordedEvent event_of(const AlertEvent& alert, const Frame& frame,
                                     const RuleBook& rules);
/// What holds from `frame` on; frame.change is set.
[[nodiscard]] RecordedEvent event_of_change(const Frame& frame);
/// The rules a run begins with, as a change at its first frame.
[[nodiscard]] RecordedEvent event_of_first_rules(const RunInfo& run, std::int64_t started_ns);

}  // namespace latticed::record
