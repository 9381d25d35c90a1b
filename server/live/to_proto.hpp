// SPDX-License-Identifier: GPL-3.0-or-later
// What we know as what clients are told, and their rules as ours. The only file of this folder that
// sees both. NaN and unknown become a field that is not set.
#pragma once

#include <latticed/v1/acquisition.pb.h>
#include <latticed/v1/alerts.pb.h>
#include <latticed/v1/frame.pb.h>
#include <latticed/v1/holder.pb.h>
#include <latticed/v1/measurements.pb.h>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "server/holder/holder_log.hpp"
#include "server/live/event_queue.hpp"
#include "server/process/sink.hpp"
#include "server/process/track_change.hpp"

namespace latticed {

v1::PixelType to_proto(PixelType type);
v1::HolderState to_proto(const std::string& holder, const HolderState& state);
v1::HolderSample to_proto(const HolderSample& sample);
v1::Rule to_proto(const AlertRule& rule);

/// All of a client's rules. Error invalid_argument names the rule, the field and what was expected.
Result<std::vector<AlertRule>> from_proto(std::span<const v1::Rule* const> rules);

/// "set_rules: spacing_change, drift_lost", "set_region: 512 x 512 at (64, 32), bin 1", ...
std::string words_of(const AppliedChange& change);

/// `alert_ids`: of its alert events, in their order; 0 where there is none. Not the holders.
void fill(v1::Measurement& out, const Frame& frame, const RunInfo& run,
          std::span<const std::uint64_t> alert_ids);
void fill(v1::LostFrames& out, const Frame& lost);
void fill(v1::RunBegins& out, const RunInfo& run);
/// Not stamp, counter and holders.
void fill(v1::FrameHeader& out, const Frame& frame, const RunInfo& run);
/// An alarm as it is when this event raises it: without its number and the holders.
void fill(v1::Alert& out, const AlertEvent& event, const Frame& frame, const RunInfo& run);
void fill(v1::Edge& out, const EventQueue::Counters& counters);
void fill(v1::Edge& out, const EdgeCounters& counters);

}  // namespace latticed
