// SPDX-License-Identifier: GPL-3.0-or-later
// A bounded queue of frame leases at an edge: one giver, one taker, and a loss policy. Its depth is
// how many frames may wait; one more is in the taker's hands. For drop_oldest the giver itself
// takes the oldest out, so head_ can be moved by both sides; a compare-exchange decides who got it.
// The end is a word beside the frames: it needs no room, pushes no frame out and is never dropped.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>

#include "server/base/doorbell.hpp"
#include "server/base/edge_counters.hpp"
#include "server/frame/frame.hpp"

namespace latticed {

class LeaseQueue {
 public:
  /// `filled` rings when there is something to take; null = a bell of its own. A taker that looks
  /// after several queues has one for all.
  LeaseQueue(std::size_t depth, LossPolicy policy, std::shared_ptr<Doorbell> filled = nullptr);
  ~LeaseQueue();

  /// Giver's thread. With policy block it waits up to `timeout` for room. False: refused (block
  /// timed out, stop_run and full, or abandoned); with the other policies what had to go is
  /// counted.
  bool offer(FrameLease frame, std::chrono::nanoseconds timeout) noexcept;
  /// Giver's thread: offer() may have to wait now.
  [[nodiscard]] bool would_wait() const noexcept {
    return policy_ == LossPolicy::block &&
           tail_.load(std::memory_order_relaxed) - head_.load(std::memory_order_acquire) >= depth_;
  }
  /// Giver's thread: no frame comes after this.
  void end() noexcept;

  /// Taker's thread. The oldest waiting frame; empty after `timeout` or when is_over().
  [[nodiscard]] FrameLease take(std::chrono::nanoseconds timeout) noexcept;
  /// Taker's thread: nothing waits and nothing will come.
  [[nodiscard]] bool is_over() const noexcept;

  /// Any thread: both sides return at once from now on; frames that wait stay with the queue.
  void abandon() noexcept;

  /// Since when the oldest waiting frame has waited, steady clock; 0 = nothing waits. Any thread.
  [[nodiscard]] std::chrono::nanoseconds oldest_since() const noexcept;

  [[nodiscard]] LossPolicy policy() const noexcept { return policy_; }
  [[nodiscard]] std::size_t depth() const noexcept { return depth_; }
  [[nodiscard]] const EdgeCounters& counters() const noexcept { return counters_; }

 private:
  struct Cell {
    std::atomic<Slot<Frame>*> slot{nullptr};
    std::atomic<std::int64_t> offered_ns{0};
  };
  struct Taken {
    Slot<Frame>* slot = nullptr;
    std::int64_t offered_ns = 0;
  };
  Taken pop() noexcept;
  const std::size_t depth_;
  const LossPolicy policy_;
  std::unique_ptr<Cell[]> cells_;
  alignas(64) std::atomic<std::uint64_t> head_{0};  // next to take: giver (evicting) or taker
  alignas(64) std::atomic<std::uint64_t> tail_{0};  // next to fill: giver only
  std::atomic<bool> has_ended_{false}, is_abandoned_{false};
  std::shared_ptr<Doorbell> filled_;
  Doorbell emptied_;
  EdgeCounters counters_;
};

}  // namespace latticed
