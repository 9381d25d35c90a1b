// SPDX-License-Identifier: GPL-3.0-or-later
// What people choose of a recording in the configuration.
#pragma once

#include <cstdint>
#include <string_view>

namespace latticed {

/// How images are stored. Archives are made of finished files.
enum class RecordingProfile : std::uint8_t {
  portable,  // as they are: every program opens them
  compact,   // Blosc with bitshuffle and LZ4: a half to a fifth; readers need its HDF5 plug-in
};
[[nodiscard]] constexpr std::string_view to_string(RecordingProfile profile) noexcept {
  return profile == RecordingProfile::portable ? "portable" : "compact";
}

/// What becomes of frames that come faster than the disk takes them, when the frames that may wait
/// do. A detector that waits for us is made to wait, whatever is chosen.
enum class WhenBehind : std::uint8_t {
  drop,      // they are measured but not recorded; the file lists them, an alert says so
  stop_run,  // the run ends with an error
};

}  // namespace latticed
