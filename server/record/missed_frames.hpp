// SPDX-License-Identifier: GPL-3.0-or-later
// Frames that were measured and did not come to the recorder, as stretches in order. One thread
// notes them, another takes them.
#pragma once

#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>

#include "server/frame/frame.hpp"

namespace latticed::record {

class MissedFrames {
 public:
  struct Stretch {
    std::uint64_t first_seq = 0, count = 0;
    std::int64_t time_ns = kUnknownTime;  // of its first frame
  };

  /// Ascending. An entry of lost frames stands for as many as it says.
  void note(const Frame& frame) {
    const std::uint64_t count = frame.has_pixels() ? 1 : frame.header.lost_count;
    const std::lock_guard lock(mutex_);
    total_ += count;
    if (!stretches_.empty()) {
      Stretch& last = stretches_.back();
      if (last.first_seq + last.count == frame.seq) {
        last.count += count;
        return;
      }
    }
    stretches_.push_back({frame.seq, count, frame.header.time_ns});
  }
  /// The first stretch that begins before `seq`.
  [[nodiscard]] std::optional<Stretch> take_before(std::uint64_t seq) {
    const std::lock_guard lock(mutex_);
    if (stretches_.empty() || stretches_.front().first_seq >= seq) return std::nullopt;
    const Stretch first = stretches_.front();
    stretches_.pop_front();
    return first;
  }
  [[nodiscard]] std::uint64_t total() const {
    const std::lock_guard lock(mutex_);
    return total_;
  }

 private:
  mutable std::mutex mutex_;  // guards both
  std::deque<Stretch> stretches_;
  std::uint64_t total_ = 0;
};

}  // namespace latticed::record
