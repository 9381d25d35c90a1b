// SPDX-License-Identifier: GPL-3.0-or-later
// From configuration to a run: drivers opened, references loaded, lines made, everything started,
// watched and ended. analyze, acquire and the daemon differ only in what they put in and where
// results go.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "server/config/config.hpp"
#include "server/process/pipeline.hpp"

namespace latticed {

/// A detector that knows what will really happen.
struct ConfiguredDetector {
  DetectorConfig config;
  std::unique_ptr<Detector> detector;
  DetectorConfiguration configuration;
};

/// Opens the detector and configures it as `config.line.detector` wants.
Result<ConfiguredDetector> open_detector(DetectorConfig config);

class Run {
 public:
  /// Loads the transforms' wisdom. `epoch`: the run's number, from 1.
  explicit Run(const PipelineConfig& config, std::uint32_t epoch = 1);

  /// Loads its references; allocates and arms its line with `sinks`.
  Result<Line*> add(ConfiguredDetector detector, const std::vector<AlertRule>& rules,
                    std::vector<std::unique_ptr<Sink>> sinks);
  /// Opens and configures it first.
  Result<Line*> add(const DetectorConfig& detector, const std::vector<AlertRule>& rules,
                    std::vector<std::unique_ptr<Sink>> sinks);

  /// A sink whose failure is acted on at once. stop_run: nothing is measured for nobody. go_on: it
  /// is said in the log, and is the run's error at the end.
  enum class OnFailure { go_on, stop_run };
  [[nodiscard]] std::unique_ptr<Sink> reported(std::unique_ptr<Sink> sink, OnFailure on_failure);

  /// Frames flow from here on. An error starts none.
  Result<void> start();
  /// Returns when all has ended: by itself, by stop() or abort(), or by an error. `poll` is called
  /// about ten times a second from this thread.
  Result<void> wait(const std::function<void()>& poll = {});

  /// Any thread: sources stop, what was taken is still measured and handed out.
  void stop() noexcept { is_stop_wanted_.store(true, std::memory_order_relaxed); }
  /// Any thread: at once; what waits is given up. wait() then returns the error `cancelled`.
  void abort() noexcept { is_abort_wanted_.store(true, std::memory_order_relaxed); }

  [[nodiscard]] const Pipeline& pipeline() const noexcept { return *pipeline_; }

 private:
  void obey();

  std::string wisdom_;
  const std::uint32_t epoch_;
  std::atomic<bool> sink_failed_{false};  // a reported sink that stops the run; before pipeline_
  std::atomic<bool> is_stop_wanted_{false}, is_abort_wanted_{false};
  bool is_stopping_ = false, is_aborting_ = false;  // waiting thread's
  std::unique_ptr<Pipeline> pipeline_;
};

}  // namespace latticed
