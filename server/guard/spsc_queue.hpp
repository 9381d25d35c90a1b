// SPDX-License-Identifier: GPL-3.0-or-later
// Hand-over between two threads of the guard, without locks, waiting or allocation: a bounded
// queue, and a box that keeps only the latest. One giver, one taker each; plain values only.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace latticed {

template <class T, std::size_t N>
class SpscQueue {
  static_assert(std::is_trivially_copyable_v<T> && (N & (N - 1)) == 0);

 public:
  /// Giver. False: full.
  bool push(const T& value) noexcept {
    const std::size_t tail = tail_.load(std::memory_order_relaxed);  // only the giver writes it
    if (tail - head_.load(std::memory_order_acquire) == N) return false;
    cells_[tail % N] = value;
    tail_.store(tail + 1, std::memory_order_release);  // the value before the count
    return true;
  }
  /// Taker. False: empty.
  bool pop(T& value) noexcept {
    const std::size_t head = head_.load(std::memory_order_relaxed);  // only the taker writes it
    if (tail_.load(std::memory_order_acquire) == head) return false;
    value = cells_[head % N];
    head_.store(head + 1, std::memory_order_release);  // read before the cell is free
    return true;
  }

 private:
  std::array<T, N> cells_{};
  alignas(64) std::atomic<std::size_t> head_{0};
  alignas(64) std::atomic<std::size_t> tail_{0};
};

/// Three cells: the giver's, the taker's, and the one in between that they swap with.
template <class T>
class LatestBox {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  /// Giver. What was not taken is gone.
  void put(const T& value) noexcept {
    cells_[giver_] = value;
    giver_ = between_.exchange(giver_ | kNew, std::memory_order_acq_rel) & kCell;
  }
  /// Taker. False: nothing new.
  bool take(T& value) noexcept {
    if ((between_.load(std::memory_order_relaxed) & kNew) == 0) return false;
    taker_ = between_.exchange(taker_, std::memory_order_acq_rel) & kCell;
    value = cells_[taker_];
    return true;
  }

 private:
  static constexpr std::uint32_t kNew = 4, kCell = 3;
  std::array<T, 3> cells_{};
  std::uint32_t giver_ = 0, taker_ = 1;
  alignas(64) std::atomic<std::uint32_t> between_{2};
};

}  // namespace latticed
