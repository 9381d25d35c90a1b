// SPDX-License-Identifier: GPL-3.0-or-later
// CPU time of the calling thread, for the cost of a stage. A thread that is descheduled in the
// middle of a stage does not make the stage look dear.
#pragma once

#include <chrono>
#include <ctime>

namespace latticed {

[[nodiscard]] inline std::chrono::nanoseconds thread_cpu_now() noexcept {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

[[nodiscard]] inline std::chrono::nanoseconds steady_now() noexcept {
  return std::chrono::steady_clock::now().time_since_epoch();
}

}  // namespace latticed
