// SPDX-License-Identifier: GPL-3.0-or-later
// Pool<T>: a fixed number of slots made before the run and lent as counted leases. The last lease
// returns its slot; nothing is allocated while frames flow. At rest free() + leased() == size().
//
// T needs `void recycle() noexcept`, called when the last lease is gone: it gives back what the
// slot itself holds (leases on other pools).
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

#include "server/base/doorbell.hpp"
#include "server/base/stage_clock.hpp"

namespace latticed {

template <class T>
class Pool;

template <class T>
struct Slot {
  T value;
  std::atomic<std::uint32_t> leases{0};
  std::atomic<std::uint32_t> next{0};  // free list: index + 1 of the next free slot, 0 = none
  Pool<T>* pool = nullptr;
  std::uint32_t index = 0;
};

/// A share of a slot. Copies add a share, the last one gives the slot back. Any thread may hold,
/// copy and drop its own lease; one lease object belongs to one thread.
template <class T>
class Lease {
 public:
  Lease() = default;
  Lease(const Lease& other) noexcept : slot_(other.slot_) {
    // Relaxed: the copier holds a share, so the slot cannot go away meanwhile.
    if (slot_) slot_->leases.fetch_add(1, std::memory_order_relaxed);
  }
  Lease(Lease&& other) noexcept : slot_(std::exchange(other.slot_, nullptr)) {}
  Lease& operator=(Lease other) noexcept {
    std::swap(slot_, other.slot_);
    return *this;
  }
  ~Lease() { reset(); }

  void reset() noexcept {
    if (Slot<T>* slot = std::exchange(slot_, nullptr)) {
      // Release: our writes happen before whoever gets the slot next; acquire: theirs before reuse.
      if (slot->leases.fetch_sub(1, std::memory_order_acq_rel) == 1) slot->pool->give_back(slot);
    }
  }

  explicit operator bool() const noexcept { return slot_ != nullptr; }
  T& operator*() const noexcept { return slot_->value; }
  T* operator->() const noexcept { return &slot_->value; }
  bool operator==(const Lease& other) const noexcept { return slot_ == other.slot_; }

  /// For queues that carry the share as a plain pointer; adopt() takes it back.
  [[nodiscard]] Slot<T>* release() noexcept { return std::exchange(slot_, nullptr); }
  static Lease adopt(Slot<T>* slot) noexcept {
    Lease lease;
    lease.slot_ = slot;
    return lease;
  }

 private:
  Slot<T>* slot_ = nullptr;
};

template <class T>
class Pool {
 public:
  /// `make(slot)` runs once per slot, before any is lent: allocate and touch memory there.
  Pool(std::size_t size, const std::function<void(T&)>& make)
      : slots_(std::make_unique<Slot<T>[]>(size)), size_(size) {
    for (std::size_t i = size; i-- > 0;) {
      slots_[i].pool = this;
      slots_[i].index = static_cast<std::uint32_t>(i);
      make(slots_[i].value);
      push_free(&slots_[i]);
    }
  }
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  /// A free slot, or an empty lease when all are lent. Never waits. Any thread.
  [[nodiscard]] Lease<T> try_acquire() noexcept {
    std::uint64_t head = head_.load(std::memory_order_acquire);
    while (true) {
      const auto index_plus_1 = static_cast<std::uint32_t>(head);
      if (index_plus_1 == 0) return {};
      Slot<T>& slot = slots_[index_plus_1 - 1];
      // The upper half counts changes, so a slot that left and came back meanwhile (ABA) is
      // noticed.
      const std::uint64_t next =
          ((head >> 32) + 1) << 32 | slot.next.load(std::memory_order_relaxed);
      if (head_.compare_exchange_weak(head, next, std::memory_order_acq_rel,
                                      std::memory_order_acquire)) {
        slot.leases.store(1, std::memory_order_relaxed);
        note_taken();
        return Lease<T>::adopt(&slot);
      }
    }
  }

  /// Waits for a free slot, at most `timeout`; then an empty lease.
  [[nodiscard]] Lease<T> acquire(std::chrono::nanoseconds timeout) noexcept {
    const auto deadline = steady_now() + timeout;
    while (true) {
      const auto seen = returned_.listen();
      if (Lease<T> lease = try_acquire()) return lease;
      const auto left = deadline - steady_now();
      if (left.count() <= 0) return {};
      returned_.wait(seen, left);
    }
  }

  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] std::size_t leased() const noexcept {
    return leased_.load(std::memory_order_acquire);
  }
  [[nodiscard]] std::size_t leased_max() const noexcept {
    return leased_max_.load(std::memory_order_relaxed);
  }
  /// Counted by walking the free list; only meaningful while nobody takes or returns slots.
  [[nodiscard]] std::size_t count_free() const noexcept {
    std::size_t count = 0;
    auto at = static_cast<std::uint32_t>(head_.load(std::memory_order_acquire));
    while (at != 0 && count <= size_) {
      ++count;
      at = slots_[at - 1].next.load(std::memory_order_relaxed);
    }
    return count;
  }

 private:
  friend class Lease<T>;

  void give_back(Slot<T>* slot) noexcept {
    slot->value.recycle();
    leased_.fetch_sub(1, std::memory_order_acq_rel);
    push_free(slot);
    returned_.ring();
  }

  void push_free(Slot<T>* slot) noexcept {
    std::uint64_t head = head_.load(std::memory_order_relaxed);
    while (true) {
      slot->next.store(static_cast<std::uint32_t>(head), std::memory_order_relaxed);
      const std::uint64_t next = ((head >> 32) + 1) << 32 | (slot->index + 1);
      if (head_.compare_exchange_weak(head, next, std::memory_order_acq_rel,
                                      std::memory_order_relaxed))
        return;
    }
  }

  void note_taken() noexcept {
    const auto now = leased_.fetch_add(1, std::memory_order_acq_rel) + 1;
    auto seen = leased_max_.load(std::memory_order_relaxed);
    while (now > seen && !leased_max_.compare_exchange_weak(seen, now, std::memory_order_relaxed)) {
    }
  }

  std::unique_ptr<Slot<T>[]> slots_;
  std::size_t size_;
  std::atomic<std::uint64_t> head_{0};
  std::atomic<std::size_t> leased_{0}, leased_max_{0};
  Doorbell returned_;
};

}  // namespace latticed
