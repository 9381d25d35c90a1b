// SPDX-License-Identifier: GPL-3.0-or-later
// Gives a sink its queue and its thread, or its turn on the thread it shares, and keeps what it did
// wrong from everybody else.
#pragma once

#include <atomic>
#include <memory>
#include <optional>

#include "server/acquire/frame_source.hpp"
#include "server/base/named_thread.hpp"
#include "server/frame/lease_queue.hpp"
#include "server/process/sink.hpp"
#include "server/process/stall.hpp"

namespace latticed {

class SinkRunner final : private SharedThread::Guest {
 public:
  explicit SinkRunner(std::unique_ptr<Sink> sink);
  /// Gives up what waits, and waits for the sink to return.
  ~SinkRunner() override;

  Result<void> begin(const RunInfo& run) { return sink_->begin(run); }
  /// `nice`: of its own thread, if it has one.
  void start(int nice);

  /// Who has the ring's turn: offer() may have to wait now.
  [[nodiscard]] bool would_wait() const noexcept { return queue_.would_wait(); }
  /// Who has the ring's turn. False when the policy ends the run; the caller says so.
  bool offer(const FrameLease& frame, std::chrono::nanoseconds deadline) noexcept;
  /// Track thread: that was the last frame. The sink's thread finishes what waits, then ends.
  void end() noexcept;
  /// Returns when the sink has ended.
  void join();
  /// The sink ends after the frame it works on, whatever waits, and offer() returns at once: only
  /// when the run has failed. Any thread.
  void abandon() noexcept { queue_.abandon(); }
  /// Join will not wait.
  [[nodiscard]] bool has_ended() const noexcept {
    return !is_running_.load(std::memory_order_acquire);
  }

  [[nodiscard]] const Sink& sink() const noexcept { return *sink_; }
  /// Since when the oldest frame has waited for it, steady clock; 0 = none does. Any thread.
  [[nodiscard]] std::chrono::nanoseconds oldest_since() const noexcept {
    return queue_.oldest_since();
  }
  [[nodiscard]] const EdgeCounters& counters() const noexcept { return queue_.counters(); }
  /// Who has stalled here at `now` (steady clock): the sink, or the thread it shares, which is then
  /// with somebody else. Any thread.
  [[nodiscard]] std::optional<Error> find_stall(const StallDeadlines& deadlines,
                                                std::string_view detector,
                                                std::chrono::nanoseconds now) const;
  /// What went wrong in consume or finish; after join().
  [[nodiscard]] const std::optional<Error>& error() const noexcept { return error_; }
  /// On a shared thread only what this sink took of it.
  [[nodiscard]] std::chrono::nanoseconds cpu_time() const noexcept {
    return std::chrono::nanoseconds(cpu_ns_.load(std::memory_order_relaxed));
  }

 private:
  Turn serve() noexcept override;
  void run();
  void consume(const FrameLease& frame) noexcept;
  void idle() noexcept;
  void finish() noexcept;
  template <class Step>
  void guarded(const Step& step) noexcept;

  std::unique_ptr<Sink> sink_;
  std::shared_ptr<SharedThread> shared_;  // null = thread_
  LeaseQueue queue_;
  Activity activity_;
  std::uint64_t last_seq_ = 0;             // the sink's thread
  std::atomic<std::int64_t> ended_ns_{0};  // when end() was told, steady clock
  std::atomic<bool> is_running_{false};
  std::atomic<std::int64_t> cpu_ns_{0};
  std::optional<Error> error_;
  NamedThread thread_;
};

}  // namespace latticed
