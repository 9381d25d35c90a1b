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
    std::int64_t pushed_ns = 0;
  };

  SequenceRing(std::size_t cells, Doorbell& work)
      : cells_(std::make_unique<Cell[]>(cells)), size_(cells), work_(work) {}

  /// Source's thread.
  void push(FrameLease frame) noexcept;

  /// Workers. The next unclaimed position, if there is one.
  [[nodiscard]] std::optional<std::uint64_t> claim() noexcept;
  [[nodiscard]] bool has_work() const noexcept {
    return claimed_.load(std::memory_order_acquire) < pushed_.load(std::memory_order_acquire);
  }
  [[nodiscard]] Cell& at(std::uint64_t position) noexcept { return cells_[position % size_]; }
  void mark_ready(std::uint64_t position) noexcept;

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
  EdgeCounters counters_;
};

}  // namespace latticed
