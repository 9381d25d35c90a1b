// SPDX-License-Identifier: GPL-3.0-or-later
// Waiting for a word in shared memory to change, with a timeout, across processes.
#pragma once

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <climits>
#include <cstdint>
#include <ctime>

namespace latticed::sim {

using Bell = std::atomic<std::uint32_t>;
static_assert(Bell::is_always_lock_free && sizeof(Bell) == 4);

/// Returns when the bell no longer shows `seen`, or after `timeout`, or for no reason: check again.
inline void wait_for_bell(const Bell& bell, std::uint32_t seen,
                          std::chrono::nanoseconds timeout) noexcept {
  if (timeout.count() <= 0) return;
  timespec limit{};
  limit.tv_sec = static_cast<time_t>(timeout.count() / 1'000'000'000);
  limit.tv_nsec = static_cast<long>(timeout.count() % 1'000'000'000);
  syscall(SYS_futex, &bell, FUTEX_WAIT, seen, &limit, nullptr, 0);
}

inline void ring_bell(Bell& bell) noexcept {
  bell.fetch_add(
      1, std::memory_order_release);  // what was written before is seen by who sees the ring
  syscall(SYS_futex, &bell, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

}  // namespace latticed::sim
