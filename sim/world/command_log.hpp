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

  /// A detector begins at frame 0. With the first one that runs, a new experiment begins: what was
  /// `standing` from before and the commands given since the last one ended take effect at its
  /// frame 0. Returns whether one did.
  bool begin(std::size_t detector, const Step& standing = {}) {
    const std::lock_guard lock(mutex_);
    const bool is_new = !is_running();
    if (is_new) {
      log_.clear();
      if (standing != Step{}) log_.push_back({0, standing});
      for (const Entry& entry : waiting_) append(log_, entry);
      waiting_.clear();
    }
    next_frame_[detector] = 0;
    return is_new;
  }

  /// Where a command given now would take effect.
  [[nodiscard]] std::uint64_t next_frame() const {
    const std::lock_guard lock(mutex_);
    return first_free_frame();
  }

  void end(std::size_t detector) {
    const std::lock_guard lock(mutex_);
    next_frame_[detector] = kNotRunning;
  }

  /// Returns the frame at which it takes effect.
  std::uint64_t add(const Step& command) {
    const std::lock_guard lock(mutex_);
    const std::uint64_t frame = first_free_frame();
    append(is_running() ? log_ : waiting_, {frame, command});
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
  /// One entry a frame: what a ramp passes through between two frames the specimen does not see.
  static void append(std::vector<Entry>& log, const Entry& entry) {
    if (log.empty() || log.back().frame != entry.frame) {
      log.push_back(entry);
      return;
    }
    Step& kept = log.back().command;
    const Step& step = entry.command;
    if (step.current_a) {  // the cell holds the one or the other
      kept.current_a = step.current_a;
      kept.source_v = kept.compliance_a = std::nullopt;
    }
    if (step.source_v) {
      kept.source_v = step.source_v;
      kept.compliance_a = step.compliance_a;
      kept.current_a = std::nullopt;
    }
    if (step.compliance_v) kept.compliance_v = step.compliance_v;
    if (step.temperature_k) kept.temperature_k = step.temperature_k;
    if (step.beam_on) kept.beam_on = step.beam_on;
    if (step.specimen_in) kept.specimen_in = step.specimen_in;
  }
  [[nodiscard]] std::uint64_t first_free_frame() const {
    std::uint64_t frame = 0;
    for (const std::uint64_t next : next_frame_) {
      if (next != kNotRunning) frame = std::max(frame, next);
    }
    return frame;
  }
  [[nodiscard]] bool is_running() const {
    return std::any_of(next_frame_.begin(), next_frame_.end(),
                       [](std::uint64_t next) { return next != kNotRunning; });
  }

  mutable std::mutex mutex_;  // guards everything below
  std::vector<std::uint64_t> next_frame_;
  std::vector<Entry> log_;
  std::vector<Entry> waiting_;
};

}  // namespace latticed::sim
