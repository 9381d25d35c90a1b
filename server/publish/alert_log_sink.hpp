// SPDX-License-Identifier: GPL-3.0-or-later
// Every alert as a line of the log, and which are raised now. It misses no frame: a view that shows
// only the latest frame asks here.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "server/process/sink.hpp"

namespace latticed {

/// The alerts of one detector that are raised now.
class AlertBoard {
 public:
  /// Any thread.
  void note(const AlertEvent& event);
  [[nodiscard]] std::vector<AlertEvent> raised() const;
  [[nodiscard]] std::size_t raised_so_far() const;

 private:
  mutable std::mutex mutex_;  // guards both
  std::vector<AlertEvent> raised_;
  std::size_t raised_so_far_ = 0;
};

/// "spacing_change: spot 3 at 0.5612 +- 0.0004 nm since frame 120"
std::string describe(const AlertEvent& alert, const RuleBook& rules);

class AlertLogSink final : public Sink {
 public:
  AlertLogSink(std::string detector, std::shared_ptr<AlertBoard> board)
      : detector_(std::move(detector)), board_(std::move(board)) {}

  [[nodiscard]] std::string_view name() const noexcept override { return "alert_log"; }
  [[nodiscard]] SinkOptions options() const noexcept override { return {LossPolicy::block, 4}; }
  Result<void> begin(const RunInfo& run) override;
  void consume(const FrameLease& frame) override;

 private:
  std::string detector_;
  std::shared_ptr<AlertBoard> board_;
  RuleBook rules_;
};

}  // namespace latticed
