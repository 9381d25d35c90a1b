// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/base/doorbell.hpp"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <climits>
#include <ctime>

namespace latticed {

static_assert(sizeof(std::atomic<std::uint32_t>) == sizeof(std::uint32_t));

void Doorbell::wait(std::uint32_t seen, std::chrono::nanoseconds timeout) noexcept {
  if (timeout.count() <= 0) return;
  // Announced before the kernel compares rings_ with seen: a ring() in between either changes
  // rings_ (the futex returns at once) or sees the waiter (and wakes it). Both need seq_cst.
  waiters_.fetch_add(1, std::memory_order_seq_cst);
  const timespec relative{static_cast<time_t>(timeout.count() / 1'000'000'000),
                          static_cast<long>(timeout.count() % 1'000'000'000)};
  syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(&rings_), FUTEX_WAIT_PRIVATE, seen, &relative,
          nullptr, 0);
  waiters_.fetch_sub(1, std::memory_order_seq_cst);
}

void Doorbell::ring() noexcept {
  rings_.fetch_add(1, std::memory_order_seq_cst);
  if (waiters_.load(std::memory_order_seq_cst) == 0) return;
  syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(&rings_), FUTEX_WAKE_PRIVATE, INT_MAX,
          nullptr, nullptr, 0);
}

}  // namespace latticed
