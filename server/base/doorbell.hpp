// SPDX-License-Identifier: GPL-3.0-or-later
// A doorbell wakes threads that wait for a condition kept elsewhere. std::atomic::wait has no
// timeout and every wait here needs one, so this is a futex with a counter of rings.
//
//   const auto seen = bell.listen();      // before looking at the condition
//   if (!condition()) bell.wait(seen, timeout);
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace latticed {

class Doorbell {
 public:
  [[nodiscard]] std::uint32_t listen() const noexcept {
    return rings_.load(std::memory_order_seq_cst);
  }

  /// Returns when the bell rang since listen(), at the timeout, or spuriously. Any thread.
  void wait(std::uint32_t seen, std::chrono::nanoseconds timeout) noexcept;

  /// Wakes every waiter. One system call when somebody waits, none otherwise. Any thread.
  void ring() noexcept;

 private:
  std::atomic<std::uint32_t> rings_{0};
  std::atomic<std::uint32_t> waiters_{0};
};

}  // namespace latticed
