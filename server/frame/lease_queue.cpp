// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/frame/lease_queue.hpp"

#include <algorithm>

#include "server/base/stage_clock.hpp"

namespace latticed {

LeaseQueue::LeaseQueue(std::size_t depth, LossPolicy policy, std::shared_ptr<Doorbell> filled)
    : depth_(policy == LossPolicy::latest_only ? 1 : std::max<std::size_t>(depth, 1)),
      policy_(policy),
      cells_(std::make_unique<Cell[]>(depth_)),
      filled_(filled ? std::move(filled) : std::make_shared<Doorbell>()) {}

LeaseQueue::~LeaseQueue() {
  while (Slot<Frame>* slot = pop().slot) FrameLease::adopt(slot).reset();
}

LeaseQueue::Taken LeaseQueue::pop() noexcept {
  std::uint64_t head = head_.load(std::memory_order_acquire);
  while (true) {
    // Acquire on tail_: the cell's content was written before tail_ moved past it.
    if (head == tail_.load(std::memory_order_acquire)) return {};
    const Cell& cell = cells_[head % depth_];
    const Taken taken{cell.slot.load(std::memory_order_relaxed),
                      cell.offered_ns.load(std::memory_order_relaxed)};
    // The giver refills a cell only after head_ moved past it: if head_ is still ours, so is the
    // content just read. Release: our reads of the cell happen before its refill.
    if (head_.compare_exchange_weak(head, head + 1, std::memory_order_acq_rel,
                                    std::memory_order_acquire))
      return taken;
  }
}

std::chrono::nanoseconds LeaseQueue::oldest_since() const noexcept {
  while (true) {
    const std::uint64_t head = head_.load(std::memory_order_acquire);
    if (head == tail_.load(std::memory_order_acquire)) return {};
    const auto since = cells_[head % depth_].offered_ns.load(std::memory_order_acquire);
    // As in pop(): while head_ has not moved, the cell was not refilled.
    if (head == head_.load(std::memory_order_relaxed)) return std::chrono::nanoseconds(since);
  }
}

void LeaseQueue::end() noexcept {
  has_ended_.store(true, std::memory_order_release);  // after the last offer's tail_
  filled_->ring();
}

bool LeaseQueue::is_over() const noexcept {
  if (is_abandoned_.load(std::memory_order_acquire)) return true;
  // Acquire: whoever sees the end sees every frame offered before it.
  return has_ended_.load(std::memory_order_acquire) &&
         head_.load(std::memory_order_acquire) == tail_.load(std::memory_order_acquire);
}

void LeaseQueue::abandon() noexcept {
  is_abandoned_.store(true, std::memory_order_release);
  filled_->ring();
  emptied_.ring();
}

bool LeaseQueue::offer(FrameLease frame, std::chrono::nanoseconds timeout) noexcept {
  counters_.in.fetch_add(1, std::memory_order_relaxed);
  const auto deadline = steady_now() + timeout;
  const std::uint64_t tail = tail_.load(std::memory_order_relaxed);
  while (true) {
    const auto seen = emptied_.listen();
    if (is_abandoned_.load(std::memory_order_acquire)) {
      counters_.dropped_newest.fetch_add(1, std::memory_order_relaxed);
      return false;
    }
    if (tail - head_.load(std::memory_order_acquire) < depth_) break;
    if (policy_ == LossPolicy::drop_oldest || policy_ == LossPolicy::latest_only) {
      if (Slot<Frame>* slot = pop().slot) {
        FrameLease::adopt(slot).reset();
        counters_.dropped_oldest.fetch_add(1, std::memory_order_relaxed);
      }
      continue;
    }
    const auto left = deadline - steady_now();
    if (policy_ != LossPolicy::block || left.count() <= 0) {
      counters_.dropped_newest.fetch_add(1, std::memory_order_relaxed);
      return policy_ == LossPolicy::drop_newest;
    }
    emptied_.wait(seen, left);
  }
  Cell& cell = cells_[tail % depth_];
  // Release: who reads this time also sees that head_ had moved past the cell (oldest_since()).
  cell.offered_ns.store(steady_now().count(), std::memory_order_release);
  cell.slot.store(frame.release(), std::memory_order_relaxed);
  tail_.store(tail + 1, std::memory_order_release);  // publishes the cell
  counters_.note_level();
  filled_->ring();
  return true;
}

FrameLease LeaseQueue::take(std::chrono::nanoseconds timeout) noexcept {
  const auto deadline = steady_now() + timeout;
  while (true) {
    const auto seen = filled_->listen();
    if (is_over()) return {};
    const Taken taken = pop();
    if (taken.slot) {
      counters_.out.fetch_add(1, std::memory_order_relaxed);
      counters_.duration.record(steady_now() - std::chrono::nanoseconds(taken.offered_ns));
      emptied_.ring();
      return FrameLease::adopt(taken.slot);
    }
    const auto left = deadline - steady_now();
    if (left.count() <= 0) return {};
    filled_->wait(seen, left);
  }
}

}  // namespace latticed
