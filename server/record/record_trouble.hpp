// SPDX-License-Identifier: GPL-3.0-or-later
// What goes wrong with a recording, as the people at the microscope must be told.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "server/record/recorded_event.hpp"

namespace latticed {

enum class RecordTroubleKind : std::uint8_t {
  behind,         // frames are measured but not recorded: the disk is too slow
  moved,          // the recording goes on in another directory
  ended,          // it ended, and the run goes on without it
  nearly_full,    // minutes are left
  clock_stepped,  // the system's clock was set: times before and after do not compare
};
[[nodiscard]] constexpr std::string_view to_string(RecordTroubleKind kind) noexcept {
  constexpr std::string_view kNames[] = {"recording_behind", "recording_moved", "recording_ended",
                                         "recording_nearly_full", "clock_stepped"};
  return kNames[static_cast<std::size_t>(kind)];
}

struct RecordTrouble {
  RecordTroubleKind kind = RecordTroubleKind::behind;
  bool is_over = false;          // it was said before, and is so no more
  std::uint64_t seq = kNoFrame;  // the last frame before
  double value = 0.0;            // frames not recorded, minutes left, seconds of the step
  std::string text;              // for people
};

}  // namespace latticed
