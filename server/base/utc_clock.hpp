// SPDX-License-Identifier: GPL-3.0-or-later
// The time of day, for stamps only: it may be set back. Durations and control use steady_now().
#pragma once

#include <chrono>
#include <cstdint>

namespace latticed {

/// UTC, ns since the Unix epoch.
inline std::int64_t utc_now_ns() noexcept {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

}  // namespace latticed
