// SPDX-License-Identifier: GPL-3.0-or-later
// One detector's frames between source, prepare workers and track, in sequence order. The source
// pushes; a worker claims the next frame (compare-exchange) and marks its cell ready; the track
// thread takes cells in order. There are at least as many cells as frames in the pool, so a push
// never waits: the pool is the bound.
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

  /// Track's thread: from now on nobody claims a frame from `seq` on. Frames claimed before go on.
  void hold_from(std::uint64_t seq) noexcept { hold_from_.store(seq, std::memory_order_seq_cst); }
  /// Track's thread: frames are claimed again.
  void let_go() noexcept;
  /// The next frame is held, as far as can be told before one is claimed. Any thread.
  [[nodiscard]] bool is_held() const noexcept;
  /// Track's thread: every claimed frame has been taken, and of those that wait none may be claimed
  /// (hold_from(0): nor any that is still to come).
  [[nodiscard]] bool is_drained() const noexcept;

  /// Track's thread: the next cell in order, or null after `timeout`.
  [[nodiscard]] Cell* next(std::chrono::nanoseconds timeout) noexcept;
  /// Gives the cell next() returned back. Its leases must have been taken out, and the frame's be
  /// held until then: as long as it is, the pool cannot bring the source around to this cell.
  void release() noexcept;

  [[nodiscard]] const EdgeCounters& counters() const noexcept { return counters_; }

 private:
  std::unique_ptr<Cell[]> cells_;
  std::size_t size_;
  Doorbell& work_;  // shared by all rings: wakes the workers
  Doorbell ready_;  // wakes the track thread
  alignas(64) std::atomic<std::uint64_t> pushed_{0};
  alignas(64) std::atomic<std::uint64_t> claimed_{0};
  alignas(64) std::atomic<std::uint64_t> taken_{0};
  std::atomic<std::uint64_t> hold_from_{kNothing};  // rarely written
  EdgeCounters counters_;
};

}  // namespace latticed
