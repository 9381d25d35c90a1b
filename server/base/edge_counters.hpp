// SPDX-License-Identifier: GPL-3.0-or-later
// An edge is a place where frames are handed over. Each has a named loss policy and counts what
// went in, out and missing, and why. Totals never reset inside a run.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string_view>

#include "drivers/kit/frame_header.hpp"
#include "server/base/histogram.hpp"

namespace latticed {

/// What an edge does when the next part has no room.
enum class LossPolicy : std::uint8_t {
  block,        // the giver waits: nothing is lost, the giver slows down
  drop_newest,  // the new frame is not handed over
  drop_oldest,  // the oldest waiting frame makes room
  latest_only,  // as drop_oldest with room for one
  stop_run,     // the acquisition ends with an error that names this edge
};

[[nodiscard]] constexpr std::string_view to_string(LossPolicy policy) noexcept {
  constexpr std::string_view kNames[] = {"block", "drop_newest", "drop_oldest", "latest_only",
                                         "stop_run"};
  return kNames[static_cast<std::size_t>(policy)];
}

/// Written by the threads at the edge, read by any. in = out + dropped() + gone() + level.
struct EdgeCounters {
  std::atomic<std::uint64_t> in{0};
  std::atomic<std::uint64_t> out{0};
  std::array<std::atomic<std::uint64_t>, kLossReasons> lost{};  // by LossReason: in, but no frame
  std::atomic<std::uint64_t> dropped_newest{0};
  std::atomic<std::uint64_t> dropped_oldest{0};
  std::atomic<std::uint64_t> level_max{0};
  DurationHistogram duration;  // in -> out

  [[nodiscard]] std::uint64_t dropped() const noexcept {
    return dropped_newest.load(std::memory_order_relaxed) +
           dropped_oldest.load(std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t level() const noexcept {
    const auto left = out.load(std::memory_order_relaxed) + dropped() + gone();
    const auto came = in.load(std::memory_order_relaxed);
    return came > left ? came - left : 0;
  }
  /// What this run should have had and has not: the sum of its lost entries.
  [[nodiscard]] std::uint64_t lost_total() const noexcept {
    std::uint64_t sum = 0;
    for (std::size_t reason = 0; reason < kLossReasons; ++reason)
      if (reason != static_cast<std::size_t>(LossReason::stale_epoch))
        sum += lost[reason].load(std::memory_order_relaxed);
    return sum;
  }
  /// Frames that were no part of this run's sequence: of another run, or here already.
  [[nodiscard]] std::uint64_t stale() const noexcept {
    return lost[static_cast<std::size_t>(LossReason::stale_epoch)].load(std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t gone() const noexcept { return lost_total() + stale(); }
  void note_level() noexcept {
    const auto now = level();
    auto seen = level_max.load(std::memory_order_relaxed);
    while (now > seen && !level_max.compare_exchange_weak(seen, now, std::memory_order_relaxed)) {
    }
  }
};

}  // namespace latticed
