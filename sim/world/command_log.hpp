// SPDX-License-Identifier: GPL-3.0-or-later
// Set-points that came in while the world ran, each stamped with the first frame no detector had
// begun yet. So a run can be repeated to the bit from its scenario and this log. Any thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <mutex>
#include <vector>

#include "sim/scenario/scenario.hpp"

namespace latticed::sim {

class CommandLog {
 public:
  explicit CommandLog(std::size_t detectors) : next_frame_(detectors, kNotRunning) {}

  /// A detector begins at frame 0. With the first one that runs, a new experiment begins; commands
  /// given since the last one ended take effect at its frame 0.
  void begin(std::size_t detector) {
    const std::lock_guard lock(mutex_);
    if (!is_running()) log_.swap(waiting_), waiting_.clear();
    next_frame_[detector] = 0;
  }

  void end(std::size_t detector) {
    const std::lock_guard lock(mutex_);
    next_frame_[detector] = kNotRunning;
  }

  /// Returns the frame at which it takes effect.
  std::uint64_t add(const Step& command) {
    const std::lock_guard lock(mutex_);
    std::uint64_t frame = 0;
    for (const std::uint64_t next : next_frame_) {
      if (next != kNotRunning) frame = std::max(frame, next);
    }
    (is_running() ? log_ : waiting_).push_back({frame, command});
    return frame;
  }

  /// The commands of `frame`, which this detector begins now.
  void take(std::size_t detector, std::uint64_t frame, std::vector<Step>& out) {
    const std::lock_guard lock(mutex_);
    next_frame_[detector] = frame + 1;
    out.clear();
    for (const Entry& entry : log_) {
      if (entry.frame == frame) out.push_back(entry.command);
    }
  }

 private:
  static constexpr std::uint64_t kNotRunning = ~std::uint64_t{0};
  struct Entry {
    std::uint64_t frame = 0;
    Step command;
  };
  [[nodiscard]] bool is_running() const {
    return std::any_of(next_frame_.begin(), next_frame_.end(),
                       [](std::uint64_t next) { return next != kNotRunning; });
  }

  std::mutex mutex_;  // guards everything below
  std::vector<std::uint64_t> next_frame_;
  std::vector<Entry> log_;
  std::vector<Entry> waiting_;
};

}  // namespace latticed::sim
