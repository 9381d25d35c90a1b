// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/live/alert_sink.hpp"

#include <utility>
#include <vector>

#include "server/live/to_proto.hpp"

namespace latticed {

Result<void> AlertSink::begin(const RunInfo& run) {
  run_ = run;
  return {};
}

void AlertSink::consume(const FrameLease& frame) {
  std::vector<AlertBook::Change> changes;
  for (const AlertEvent& event : frame->measurements.alerts) {
    AlertBook::Change& change = changes.emplace_back();
    change.is_raised = event.is_raised;
    fill(change.alert, event, *frame, run_);
    for (const auto& log : parts_.holders())
      if (const auto state = log->at(frame->header.time_ns))
        *change.alert.add_holders() = to_proto(log->name(), *state);
  }
  const std::uint64_t last =
      frame->seq +
      (frame->has_pixels() ? 0 : std::max<std::uint64_t>(frame->header.lost_count, 1) - 1);
  parts_.book->note(parts_.detector, frame->epoch, last, std::move(changes));
}

Result<void> AlertSink::finish() {
  parts_.book->end_run(parts_.detector, run_.epoch);
  return {};
}

}  // namespace latticed
