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
  is_running_.store(true, std::memory_order_release);
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
    } catch (...) {
      error_ = Error{ErrorCode::internal, "threw what is no std::exception"};
    }
    if (error_) error_->message = "sink " + std::string(sink_->name()) + ": " + error_->message;
  };
  std::uint64_t last_seq = 0;
  while (!queue_.is_over()) {
    const FrameLease frame = queue_.take(100ms);
    if (!frame) {
      activity_.now("works between frames", last_seq, Patience::sink);
      guarded([&]() -> Result<void> {
        sink_->idle();
        return {};
      });
      activity_.idle();
      continue;
    }
    last_seq = frame->seq;
    activity_.now("works on a frame", last_seq, Patience::sink);
    guarded([&]() -> Result<void> {
      sink_->consume(*frame);
      return {};
    });
    activity_.idle();
    cpu_ns_.store(thread_cpu_now().count(), std::memory_order_relaxed);
  }
  activity_.now("finishes after its last frame", last_seq, Patience::sink);
  guarded([&] { return sink_->finish(); });
  activity_.idle();
  is_running_.store(false, std::memory_order_release);
}

}  // namespace latticed
