// SPDX-License-Identifier: GPL-3.0-or-later
// Something that happened during a run and is to be remembered with it: what people remarked, what
// they changed, what was noticed. A row of the recording's `events`.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

#include "drivers/kit/frame_header.hpp"

namespace latticed {

enum class EventKind : std::uint8_t {
  tag,        // a moment someone marked
  span,       // likewise, with an end
  alert,      // a rule was raised or cleared
  command,    // someone asked a device for something
  parameter,  // how frames are measured changed, from frame_first on
  state,      // of the run, the recording, the guard
};
[[nodiscard]] constexpr std::string_view to_string(EventKind kind) noexcept {
  constexpr std::string_view kNames[] = {"tag", "span", "alert", "command", "parameter", "state"};
  return kNames[static_cast<std::size_t>(kind)];
}

enum class EventSeverity : std::uint8_t { info, warning, alarm };
[[nodiscard]] constexpr std::string_view to_string(EventSeverity severity) noexcept {
  constexpr std::string_view kNames[] = {"info", "warning", "alarm"};
  return kNames[static_cast<std::size_t>(severity)];
}

inline constexpr std::uint64_t kNoFrame = std::numeric_limits<std::uint64_t>::max();

struct RecordedEvent {
  std::int64_t time_ns = kUnknownTime;   // UTC, by the frames' clock
  std::uint64_t frame_first = kNoFrame;  // seq; kNoFrame: about no frame
  std::uint64_t frame_last = kNoFrame;   // of a span
  EventKind kind = EventKind::tag;
  EventSeverity severity = EventSeverity::info;
  std::string source;  // who said it, or which rule or part; 64 bytes are kept
  std::string text;    // UTF-8, any length
};

}  // namespace latticed
