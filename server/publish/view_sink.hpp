// SPDX-License-Identifier: GPL-3.0-or-later
// What a run does now, for the eye: on a terminal a small table redrawn at most 10 times a second,
// elsewhere a log line every 5 s. It takes only the latest frame and never holds up the run.
#pragma once

#include <chrono>
#include <memory>

#include "server/base/screen.hpp"
#include "server/process/line.hpp"
#include "server/publish/alert_log_sink.hpp"

namespace latticed {

class ViewSink final : public Sink {
 public:
  /// `screen` outlives the sink.
  ViewSink(std::string detector, Screen& screen, std::shared_ptr<AlertBoard> alerts)
      : detector_(std::move(detector)), screen_(screen), alerts_(std::move(alerts)) {}

  /// Whose counters to show; before the run starts. The line owns this sink.
  void watch(const Line& line) noexcept { line_ = &line; }

  [[nodiscard]] std::string_view name() const noexcept override { return "view"; }
  [[nodiscard]] SinkOptions options() const noexcept override {
    return {LossPolicy::latest_only, 1};
  }
  Result<void> begin(const RunInfo& run) override;
  void consume(const FrameLease& frame) override;
  Result<void> finish() override;

 private:
  using Clock = std::chrono::steady_clock;
  void update_rate(Clock::time_point now);
  [[nodiscard]] std::string table(const Frame& frame) const;
  [[nodiscard]] std::string one_line(const Frame& frame) const;

  std::string detector_;
  Screen& screen_;
  std::shared_ptr<AlertBoard> alerts_;
  const Line* line_ = nullptr;
  RunInfo run_;
  Clock::time_point next_at_, rated_at_;
  std::uint64_t rated_frames_ = 0;
  double frames_per_s_ = 0.0;
};

}  // namespace latticed
