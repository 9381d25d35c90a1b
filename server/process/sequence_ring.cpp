// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/process/sequence_ring.hpp"

#include "server/base/stage_clock.hpp"

namespace latticed {

void SequenceRing::push(FrameLease frame) noexcept {
  const std::uint64_t position = pushed_.load(std::memory_order_relaxed);
  Cell& cell = at(position);
  cell.seq.store(frame->seq, std::memory_order_relaxed);
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
  while (position < pushed_.load(std::memory_order_acquire)) {
    // If the cell is another's meanwhile, claimed_ has moved, and the exchange fails.
    if (at(position).seq.load(std::memory_order_relaxed) >=
        hold_from_.load(std::memory_order_seq_cst))
      return std::nullopt;
    if (claimed_.compare_exchange_weak(position, position + 1, std::memory_order_acq_rel,
                                       std::memory_order_relaxed))
      return position;
  }
  return std::nullopt;
}

bool SequenceRing::is_held() const noexcept {
  const std::uint64_t held = hold_from_.load(std::memory_order_seq_cst);
  if (held == kNothing) return false;
  const std::uint64_t position = claimed_.load(std::memory_order_acquire);
  return held == 0 || (position < pushed_.load(std::memory_order_acquire) &&
                       at(position).seq.load(std::memory_order_relaxed) >= held);
}

bool SequenceRing::is_drained() const noexcept {
  return claimed_.load(std::memory_order_acquire) == taken_.load(std::memory_order_relaxed) &&
         is_held();
}

void SequenceRing::let_go() noexcept {
  // Release (and more): who sees it sees what was changed while frames were held.
  hold_from_.store(kNothing, std::memory_order_seq_cst);
  work_.ring();
}

void SequenceRing::mark_ready(std::uint64_t position) noexcept {
  at(position).ready.store(position + 1, std::memory_order_seq_cst);  // publishes the prepared half
}

SequenceRing::Cell* SequenceRing::next() noexcept {
  const std::uint64_t position = taken_.load(std::memory_order_acquire);
  Cell& cell = at(position);
  return cell.ready.load(std::memory_order_seq_cst) == position + 1 ? &cell : nullptr;
}

void SequenceRing::release() noexcept {
  const std::uint64_t position = taken_.load(std::memory_order_relaxed);
  counters_.duration.record(steady_now() - std::chrono::nanoseconds(at(position).pushed_ns));
  counters_.out.fetch_add(1, std::memory_order_relaxed);
  taken_.store(position + 1, std::memory_order_release);
}

}  // namespace latticed
