// SPDX-License-Identifier: GPL-3.0-or-later
// Feeds the alert book. It blocks rather than lose: an alarm may not depend on how busy the
// publisher is. It does next to nothing, on a thread of its own kind ("latd-alerts").
#pragma once

#include <string>

#include "server/holder/holder_log.hpp"
#include "server/live/alert_book.hpp"
#include "server/process/sink.hpp"

namespace latticed {

class AlertSink final : public Sink {
 public:
  static constexpr std::size_t kQuota = 2;

  struct Parts {
    std::string detector;
    std::shared_ptr<AlertBook> book;
    std::function<HolderLogs()> holders;
    std::shared_ptr<SharedThread> thread;
  };
  explicit AlertSink(Parts parts) : parts_(std::move(parts)) {}

  [[nodiscard]] std::string_view name() const noexcept override { return "alerts"; }
  [[nodiscard]] SinkOptions options() const noexcept override {
    return {LossPolicy::block, kQuota};
  }
  [[nodiscard]] std::shared_ptr<SharedThread> thread() const override { return parts_.thread; }
  Result<void> begin(const RunInfo& run) override;
  void consume(const FrameLease& frame) override;
  Result<void> finish() override;

 private:
  const Parts parts_;
  RunInfo run_;
};

}  // namespace latticed
