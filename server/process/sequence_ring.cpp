// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/process/sequence_ring.hpp"

#include "server/base/stage_clock.hpp"

namespace latticed {

void SequenceRing::push(FrameLease frame) noexcept {
  const std::uint64_t position = pushed_.load(std::memory_order_relaxed);
  Cell& cell = at(position);
  cell.frame = std::move(frame);
  cell.pushed_ns = steady_now().count();
  counters_.in.fetch_add(1, std::memory_order_relaxed);
  pushed_.store(position + 1, std::memory_order_release);  // publishes the cell to the workers
  counters_.note_level();
  work_.ring();
}

std::optional<std::uint64_t> SequenceRing::claim() noexcept {
  std::uint64_t position = claimed_.load(std::memory_order_relaxed);
  // Acquire on pushed_: the cell was filled before.
  while (position < pushed_.load(std::memory_order_acquire))
    if (claimed_.compare_exchange_weak(position, position + 1, std::memory_order_acq_rel,
                                       std::memory_order_relaxed))
      return position;
  return std::nullopt;
}

void SequenceRing::mark_ready(std::uint64_t position) noexcept {
  at(position).ready.store(position + 1, std::memory_order_release);  // publishes the prepared half
  ready_.ring();
}

SequenceRing::Cell* SequenceRing::next(std::chrono::nanoseconds timeout) noexcept {
  const std::uint64_t position = taken_.load(std::memory_order_relaxed);
  Cell& cell = at(position);
  const auto deadline = steady_now() + timeout;
  while (true) {
    const auto seen = ready_.listen();
    if (cell.ready.load(std::memory_order_acquire) == position + 1) return &cell;
    const auto left = deadline - steady_now();
    if (left.count() <= 0) return nullptr;
    ready_.wait(seen, left);
  }
}

void SequenceRing::release() noexcept {
  const std::uint64_t position = taken_.load(std::memory_order_relaxed);
  counters_.duration.record(steady_now() - std::chrono::nanoseconds(at(position).pushed_ns));
  counters_.out.fetch_add(1, std::memory_order_relaxed);
  taken_.store(position + 1, std::memory_order_release);
}

}  // namespace latticed
