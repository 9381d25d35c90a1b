// SPDX-License-Identifier: GPL-3.0-or-later
// A run: one line per detector, the prepare workers they share, and the watch over all of them.
//
//   detector -> FrameSource -> SequenceRing -> workers (prepare) -> track -> sinks
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "server/process/line.hpp"

namespace latticed {

struct PipelineConfig {
  int workers = 2;        // prepare workers, 1 to 64
  int nice = 10;          // niceness of pipeline threads, 0 to 19
  bool pin_workers = true;  // worker i on the i-th CPU this process may use
};

class Pipeline {
 public:
  explicit Pipeline(const PipelineConfig& config) : config_(config) {}
  ~Pipeline();

  /// Before start(). The detector is configured and armed here.
  Result<Line*> add(Line::Parts parts, std::uint32_t epoch);

  Result<void> start();
  /// Returns when every line has finished, or failed. Calls `poll` about ten times a second from
  /// the calling thread. A stalled part ends the run with an error that names it.
  Result<void> wait(const std::function<void()>& poll = {});
  /// Any thread, also a signal watcher's: sources stop, what was taken is still measured.
  void stop() noexcept;

  [[nodiscard]] const std::vector<std::unique_ptr<Line>>& lines() const noexcept { return lines_; }
  /// Every edge's counters as a table for people.
  [[nodiscard]] std::string counters_table() const;

 private:
  void work(std::size_t worker);
  void check_stalls();

  PipelineConfig config_;
  Doorbell work_;
  std::vector<std::unique_ptr<Line>> lines_;
  std::vector<std::unique_ptr<Activity>> worker_activity_;
  std::atomic<bool> is_stopping_{false};
  std::vector<NamedThread> workers_;
};

/// CPUs this process may run on, ascending.
std::vector<int> usable_cpus();

}  // namespace latticed
