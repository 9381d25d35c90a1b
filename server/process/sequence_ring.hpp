// SPDX-License-Identifier: GPL-3.0-or-later
// One detector's frames between source, prepare workers and track, in sequence order. The source
// pushes; a worker claims the next frame (compare-exchange) and marks its cell ready; whoever has
// the turn takes cells in order. There are at least as many cells as frames in the pool, so a push
// never waits: the pool is the bound.
//
// The turn is a flag that one thread at a time has. The worker that made the next cell ready takes
// it when it is free, so that no thread has to wake up for that and the cell's spectrum is still in
// its caches; what may have to wait it leaves to the track thread.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>

#include "server/base/doorbell.hpp"
#include "server/base/edge_counters.hpp"
#include "server/frame/frame.hpp"
#include "server/process/prepared.hpp"

namespace latticed {

class SequenceRing {
 public:
  struct Cell {
    FrameLease frame;
    PreparedLease prepared;               // empty for lost entries and the end
    std::atomic<std::uint64_t> ready{0};  // position + 1 once a worker is done with it
    std::atomic<std::uint64_t> seq{0};    // of the frame, for those who have not claimed it
    std::int64_t pushed_ns = 0;
  };

  static constexpr std::uint64_t kNothing = ~std::uint64_t{0};  // hold_from(): none is held

  SequenceRing(std::size_t cells, Doorbell& work)
      : cells_(std::make_unique<Cell[]>(cells)), size_(cells), work_(work) {}

  /// Source's thread.
  void push(FrameLease frame) noexcept;

  /// Workers. The next unclaimed position, if there is one that is not held.
  [[nodiscard]] std::optional<std::uint64_t> claim() noexcept;
  [[nodiscard]] bool has_work() const noexcept {
    return claimed_.load(std::memory_order_acquire) < pushed_.load(std::memory_order_acquire);
  }
  [[nodiscard]] Cell& at(std::uint64_t position) noexcept { return cells_[position % size_]; }
  [[nodiscard]] const Cell& at(std::uint64_t position) const noexcept {
    return cells_[position % size_];
  }
  void mark_ready(std::uint64_t position) noexcept;
  /// After mark_ready(): `take(cell)` for every cell that is next, unless another thread has the
  /// turn, which then does it. False from `take`: the cell is left to the track thread, which is
  /// called. As with release(), `take` gives the cell back.
  template <class Take>
  void take_turn(const Take& take) noexcept {
    // Whoever finds the turn taken may leave: its holder looks once more after giving it back, and
    // both the mark and the flag are sequentially consistent, so one of the two sees the other.
    while (next()) {
      if (!try_turn()) return;
      bool is_left = false;
      while (Cell* cell = is_left ? nullptr : next()) is_left = !take(*cell);
      give_turn();
      if (is_left) return call_track();
    }
  }

  /// Has the turn: from now on nobody claims a frame from `seq` on. Frames claimed before go on.
  void hold_from(std::uint64_t seq) noexcept { hold_from_.store(seq, std::memory_order_seq_cst); }
  /// Has the turn: frames are claimed again.
  void let_go() noexcept;
  /// The next frame is held, as far as can be told before one is claimed. Any thread.
  [[nodiscard]] bool is_held() const noexcept;
  /// Has the turn: every claimed frame has been taken, and of those that wait none may be claimed
  /// (hold_from(0): nor any that is still to come).
  [[nodiscard]] bool is_drained() const noexcept;

  /// Any thread. False: another has the turn.
  [[nodiscard]] bool try_turn() noexcept {
    return !is_turn_taken_.exchange(true, std::memory_order_seq_cst);
  }
  void give_turn() noexcept { is_turn_taken_.store(false, std::memory_order_seq_cst); }
  /// Has the turn: the next cell in order if it is ready, else null. Who has not: a hint that may
  /// be out of date, but is never null when this thread made the next cell ready.
  [[nodiscard]] Cell* next() noexcept;

  /// Wakes the track thread, which listened before it looked.
  void call_track() noexcept { calls_.ring(); }
  [[nodiscard]] std::uint32_t listen() const noexcept { return calls_.listen(); }
  void wait_for_call(std::uint32_t seen, std::chrono::nanoseconds timeout) noexcept {
    calls_.wait(seen, timeout);
  }

  /// Has the turn. Gives the cell next() returned back. Its leases must have been taken out, and
  /// the frame's be held until then: as long as it is, the pool cannot bring the source around to
  /// this cell.
  void release() noexcept;

  [[nodiscard]] const EdgeCounters& counters() const noexcept { return counters_; }

 private:
  std::unique_ptr<Cell[]> cells_;
  std::size_t size_;
  Doorbell& work_;  // shared by all rings: wakes the workers
  Doorbell calls_;  // wakes the track thread
  alignas(64) std::atomic<std::uint64_t> pushed_{0};
  alignas(64) std::atomic<std::uint64_t> claimed_{0};
  alignas(64) std::atomic<std::uint64_t> taken_{0};
  std::atomic<bool> is_turn_taken_{false};
  std::atomic<std::uint64_t> hold_from_{kNothing};  // rarely written
  EdgeCounters counters_;
};

}  // namespace latticed
