// SPDX-License-Identifier: GPL-3.0-or-later
// What waits for one subscriber: bounded in events and bytes, the oldest goes first, and what went
// is counted. The giver never waits for the taker. Any thread; a mutex is held for a few moves.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <vector>

#include "server/base/histogram.hpp"
#include "server/live/event.hpp"

namespace latticed {

struct QueueLimits {
  std::size_t events = 512;                  // >= 1
  std::size_t bytes = std::size_t{8} << 20;  // one event is taken whatever its size
};

class EventQueue {
 public:
  explicit EventQueue(QueueLimits limits) : limits_(limits) {}

  void push(EventRef event);
  /// A history that is handed over at once: before everything pushed, and beside the limits, since
  /// its events are shared with the history anyway. Once, before the first push.
  void preload(std::vector<EventRef> events);
  /// Missed before they came here: counted as skipped, not as in or dropped.
  void add_missed(std::uint64_t count);

  struct Taken {
    EventRef event;
    std::uint64_t skipped_so_far = 0;   // dropped here and missed before, ever
    std::uint64_t skipped_of_late = 0;  // since the last one taken
  };
  [[nodiscard]] std::optional<Taken> take();
  /// What waits is dropped, and what comes from now on as well.
  void close();

  /// in = out + dropped + level.
  struct Counters {
    std::uint64_t in = 0, out = 0, dropped = 0, missed = 0;
    std::uint64_t level = 0, level_max = 0, bytes = 0;
    double oldest_age_s = 0.0;
    DurationSummary duration;  // in -> out
  };
  [[nodiscard]] Counters counters() const;
  [[nodiscard]] bool is_empty() const;

 private:
  struct Waiting {
    EventRef event;
    std::chrono::nanoseconds since{0};  // steady clock
  };
  void drop_oldest();

  const QueueLimits limits_;
  mutable std::mutex mutex_;  // guards all below
  std::deque<Waiting> backlog_, waiting_;
  std::uint64_t bytes_ = 0;  // of waiting_
  std::uint64_t in_ = 0, out_ = 0, dropped_ = 0, missed_ = 0, level_max_ = 0;
  std::uint64_t skipped_said_ = 0;
  bool is_closed_ = false;
  DurationHistogram duration_;
};

}  // namespace latticed
