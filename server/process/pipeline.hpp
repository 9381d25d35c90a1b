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
  int workers = 2;          // prepare workers, 1 to 64
  int nice = 10;            // niceness of pipeline threads, 0 to 19
  bool pin_workers = true;  // worker i on the i-th CPU this process may use
  StallLimits stall{};
};

class Pipeline {
 public:
  explicit Pipeline(const PipelineConfig& config) : config_(config) {}
  /// Ends what still runs. A thread that does not return within two seconds is left behind.
  ~Pipeline();

  /// Before start(). The detector is configured and armed here.
  Result<Line*> add(Line::Parts parts, std::uint32_t epoch);

  /// An error starts none: wait() then returns it too.
  Result<void> start();
  /// Returns when every line has finished, or failed. Calls `poll` about ten times a second from
  /// the calling thread. A stalled part ends its detector's line with an error that names it, also
  /// when the part itself never returns.
  Result<void> wait(const std::function<void()>& poll = {});
  /// Any thread, also a signal watcher's: sources stop, what was taken is still measured.
  void stop() noexcept;

  [[nodiscard]] const std::vector<std::unique_ptr<Line>>& lines() const noexcept { return lines_; }
  /// Who has stalled in this line at `now` (steady clock): of several the one nearest the end,
  /// since those before it only wait for it. Any thread while the run is on.
  [[nodiscard]] std::optional<Error> find_stall(const Line& line,
                                                std::chrono::nanoseconds now) const;

  /// Lines of runs long over whose driver or sink still hangs; they are freed when it returns and
  /// another run ends. Control thread.
  [[nodiscard]] static std::size_t hung_lines();

  /// Every edge's counters as a table for people.
  [[nodiscard]] std::string counters_table() const;

 private:
  struct Worker {
    Activity activity;
    std::atomic<const Line*> line{nullptr};  // whose frame it works on
  };
  void work(Worker& self, std::size_t number);
  void check_stalls();
  [[nodiscard]] std::chrono::nanoseconds poll_period() const;

  PipelineConfig config_;
  std::shared_ptr<Doorbell> work_ = std::make_shared<Doorbell>();
  std::vector<std::unique_ptr<Line>> lines_;
  std::vector<std::unique_ptr<Worker>> worker_states_;
  std::vector<std::chrono::nanoseconds> abandoned_at_;  // by line; 0 = it was not
  std::atomic<bool> is_stopping_{false}, was_started_{false};
  std::vector<NamedThread> workers_;
};

/// CPUs this process may run on, ascending.
std::vector<int> usable_cpus();

}  // namespace latticed
