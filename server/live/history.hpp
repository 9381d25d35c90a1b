// SPDX-License-Identifier: GPL-3.0-or-later
// The last events of one detector's present (or last) run, so that a client can begin in the past.
// Publisher's thread only: what it reads here and what is pushed next have no gap between them.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "server/live/event.hpp"

namespace latticed {

class History {
 public:
  /// Keeps `limit` events, >= 1, besides the run's beginning.
  explicit History(std::size_t limit) : limit_(limit < 1 ? 1 : limit) {}

  /// A run begins: what was there is forgotten.
  void begin(EventRef run_begins);
  void add(EventRef event);

  /// The oldest frame that is still there, or the first that could be.
  [[nodiscard]] std::uint64_t oldest_seq() const noexcept { return oldest_seq_; }
  /// Every event about frame `seq` and those after it is there, or is yet to come.
  [[nodiscard]] bool reaches(std::uint64_t seq) const noexcept { return seq >= oldest_seq_; }
  /// The run's beginning, then what is about frame `seq` and later ones, in order.
  [[nodiscard]] std::vector<EventRef> from(std::uint64_t seq) const;
  [[nodiscard]] std::size_t size() const noexcept { return events_.size(); }
  [[nodiscard]] std::uint32_t epoch() const noexcept { return begins_ ? begins_->epoch : 0; }

 private:
  const std::size_t limit_;
  EventRef begins_;
  std::deque<EventRef> events_;
  std::uint64_t oldest_seq_ = 0;  // everything before it may have been forgotten
};

/// The last frame an event is about.
constexpr std::uint64_t last_seq_of(const Event& event) noexcept {
  return event.seq + (event.count > 0 ? event.count - 1 : 0);
}

/// It is about frames, not about the run.
constexpr bool is_about_frames(const Event& event) noexcept {
  return event.kind != LiveEventKind::run_begins && event.kind != LiveEventKind::run_ends &&
         event.kind != LiveEventKind::other;
}

}  // namespace latticed
