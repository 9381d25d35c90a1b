// SPDX-License-Identifier: GPL-3.0-or-later
// How much memory this process could still take without anything being swapped or killed.
#pragma once

#include <cstdint>
#include <limits>
#include <string>

namespace latticed {

/// Of the machine, or of the control group this process is held to if that is less; the largest
/// number where the system does not say.
[[nodiscard]] std::uint64_t free_memory_bytes();

/// "MemAvailable:   123 kB" in the text of /proc/meminfo, in bytes; the largest number without one.
[[nodiscard]] std::uint64_t available_in(const std::string& meminfo);

}  // namespace latticed
