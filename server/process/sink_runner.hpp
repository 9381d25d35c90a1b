// SPDX-License-Identifier: GPL-3.0-or-later
// Gives a sink its queue and its thread, and keeps what it did wrong from everybody else.
#pragma once

#include <atomic>
#include <memory>
#include <optional>

#include "server/acquire/frame_source.hpp"
#include "server/base/named_thread.hpp"
#include "server/frame/lease_queue.hpp"
#include "server/process/sink.hpp"

namespace latticed {

class SinkRunner {
 public:
  explicit SinkRunner(std::unique_ptr<Sink> sink);
  ~SinkRunner();

  Result<void> begin(const RunInfo& run) { return sink_->begin(run); }
  void start(int nice);

  /// Track thread. False when the policy ends the run; the caller says so.
  bool offer(const FrameLease& frame, std::chrono::nanoseconds deadline) noexcept;
  /// Track thread: that was the last frame. The sink's thread finishes what waits, then ends.
  void end() noexcept { queue_.end(); }
  void join() { thread_.join(); }
  /// The sink's thread ends after the frame it works on, whatever waits, and offer() returns at
  /// once: only when the run has failed. Any thread.
  void abandon() noexcept { queue_.abandon(); }
  /// Join will not wait.
  [[nodiscard]] bool has_ended() const noexcept {
    return !is_running_.load(std::memory_order_acquire);
  }

  [[nodiscard]] const Sink& sink() const noexcept { return *sink_; }
  [[nodiscard]] const EdgeCounters& counters() const noexcept { return queue_.counters(); }
  [[nodiscard]] const Activity& activity() const noexcept { return activity_; }
  /// What went wrong in consume or finish; after join().
  [[nodiscard]] const std::optional<Error>& error() const noexcept { return error_; }
  [[nodiscard]] std::chrono::nanoseconds cpu_time() const noexcept {
    return std::chrono::nanoseconds(cpu_ns_.load(std::memory_order_relaxed));
  }

 private:
  void run();

  std::unique_ptr<Sink> sink_;
  LeaseQueue queue_;
  Activity activity_;
  std::atomic<bool> is_running_{false};
  std::atomic<std::int64_t> cpu_ns_{0};
  std::optional<Error> error_;
  NamedThread thread_;
};

}  // namespace latticed
