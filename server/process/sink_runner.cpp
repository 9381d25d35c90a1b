// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/process/sink_runner.hpp"

#include <exception>
#include <string>

#include "server/base/stage_clock.hpp"

namespace latticed {

SinkRunner::SinkRunner(std::unique_ptr<Sink> sink)
    : sink_(std::move(sink)), queue_(sink_->options().quota, sink_->options().policy) {}

SinkRunner::~SinkRunner() {
  abandon();
  thread_.join();
}

void SinkRunner::start(int nice) {
  thread_ = NamedThread({"latd-" + std::string(sink_->name()), nice}, [this] { run(); });
}

bool SinkRunner::offer(const FrameLease& frame, std::chrono::nanoseconds deadline) noexcept {
  return queue_.offer(frame, deadline);
}

void SinkRunner::run() {
  using namespace std::chrono_literals;
  const auto guarded = [this](const auto& step) {
    if (error_) return;
    try {
      if (Result<void> ok = step(); !ok) error_ = ok.error();
    } catch (const std::exception& failure) {
      error_ = Error{ErrorCode::internal, failure.what()};
    }
    if (error_) error_->message = "sink " + std::string(sink_->name()) + ": " + error_->message;
  };
  while (!is_abandoned_.load(std::memory_order_acquire)) {
    const FrameLease frame = queue_.take(200ms);
    if (!frame) continue;
    if (frame->header.kind == FrameKind::end) break;
    guarded([&]() -> Result<void> {
      sink_->consume(*frame);
      return {};
    });
    cpu_ns_.store(thread_cpu_now().count(), std::memory_order_relaxed);
  }
  // Abandoned: a giver that waits for room gets it, and sees for itself that the run is over.
  while (is_abandoned_.load(std::memory_order_acquire) && queue_.take(0ms)) {
  }
  guarded([&] { return sink_->finish(); });
}

}  // namespace latticed
