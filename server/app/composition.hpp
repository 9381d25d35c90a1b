// SPDX-License-Identifier: GPL-3.0-or-later
// From configuration to a run: drivers opened, references loaded, lines made, everything started,
// watched and ended. analyze and acquire differ only in what they put in and where results go.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "server/config/config.hpp"
#include "server/process/pipeline.hpp"

namespace latticed {

class Run {
 public:
  /// Loads the transforms' wisdom.
  explicit Run(const PipelineConfig& config);

  /// Opens the detector with its references; makes its line with `sinks`.
  Result<Line*> add(const DetectorConfig& detector, const std::vector<AlertRule>& rules,
                    std::vector<std::unique_ptr<Sink>> sinks);

  /// A sink whose failure is acted on at once. stop_run: nothing is measured for nobody. go_on: it
  /// is said in the log, and is the run's error at the end.
  enum class OnFailure { go_on, stop_run };
  [[nodiscard]] std::unique_ptr<Sink> reported(std::unique_ptr<Sink> sink, OnFailure on_failure);

  /// Starts and returns when all has ended: by itself, by SIGINT or SIGTERM, or by an error. `poll`
  /// is called about ten times a second.
  Result<void> execute(const std::function<void()>& poll = {});

  [[nodiscard]] const Pipeline& pipeline() const noexcept { return *pipeline_; }

 private:
  std::string wisdom_;
  std::atomic<bool> sink_failed_{false};  // a reported sink that stops the run; before pipeline_
  std::unique_ptr<Pipeline> pipeline_;
};

}  // namespace latticed
