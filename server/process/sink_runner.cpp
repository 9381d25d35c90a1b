// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/process/sink_runner.hpp"

#include <exception>
#include <string>

#include "server/base/stage_clock.hpp"

namespace latticed {

using namespace std::chrono_literals;

SinkRunner::SinkRunner(std::unique_ptr<Sink> sink)
    : sink_(std::move(sink)),
      shared_(sink_->thread()),
      queue_(sink_->options().quota, sink_->options().policy, shared_ ? shared_->bell() : nullptr) {
}

SinkRunner::~SinkRunner() {
  abandon();
  join();
}

void SinkRunner::start(int nice) {
  is_running_.store(true, std::memory_order_release);
  if (shared_)
    shared_->add(*this);
  else
    thread_ = NamedThread({"latd-" + std::string(sink_->name()), nice}, [this] { run(); });
}

bool SinkRunner::offer(const FrameLease& frame, std::chrono::nanoseconds deadline) noexcept {
  // Only this side drops the newest.
  const auto dropped = [&] {
    return queue_.counters().dropped_newest.load(std::memory_order_relaxed);
  };
  const std::uint64_t before = dropped();
  const bool may_go_on = queue_.offer(frame, deadline);
  if (may_go_on && dropped() != before) sink_->missed(*frame);
  return may_go_on;
}

void SinkRunner::end() noexcept {
  ended_ns_.store(steady_now().count(), std::memory_order_release);
  queue_.end();
}

std::optional<Error> SinkRunner::find_stall(const StallDeadlines& deadlines,
                                            std::string_view detector,
                                            std::chrono::nanoseconds now) const {
  const std::string part = "sink " + std::string(sink_->name());
  const std::int64_t works_since = activity_.since_ns.load(std::memory_order_acquire);
  if (works_since != 0 || !shared_ || has_ended())
    return deadlines.find_stall(detector, part, activity_, now);
  std::int64_t since = queue_.oldest_since().count();
  if (since == 0) since = ended_ns_.load(std::memory_order_acquire);
  Activity waiting;  // behind_sinks: whoever keeps the thread is named before us
  waiting.what.store("waits for the thread it shares", std::memory_order_relaxed);
  waiting.seq.store(activity_.seq.load(std::memory_order_relaxed), std::memory_order_relaxed);
  waiting.patience.store(Patience::behind_sinks, std::memory_order_relaxed);
  waiting.since_ns.store(since, std::memory_order_relaxed);
  return deadlines.find_stall(detector, part, waiting, now);
}

void SinkRunner::join() {
  if (shared_)
    shared_->wait_until_left(*this);
  else
    thread_.join();
}

template <class Step>
void SinkRunner::guarded(const Step& step) noexcept {
  if (error_) return;
  try {
    if (Result<void> ok = step(); !ok) error_ = ok.error();
  } catch (const std::exception& failure) {
    error_ = Error{ErrorCode::internal, failure.what()};
  } catch (...) {
    error_ = Error{ErrorCode::internal, "threw what is no std::exception"};
  }
  if (error_) error_->message = "sink " + std::string(sink_->name()) + ": " + error_->message;
}

void SinkRunner::consume(const FrameLease& frame) noexcept {
  last_seq_ = frame->seq;
  activity_.now("works on a frame", last_seq_, Patience::sink);
  guarded([&]() -> Result<void> {
    sink_->consume(frame);
    return {};
  });
  activity_.idle();
}

void SinkRunner::idle() noexcept {
  activity_.now("works between frames", last_seq_, Patience::sink);
  guarded([&]() -> Result<void> {
    sink_->idle();
    return {};
  });
  activity_.idle();
}

void SinkRunner::finish() noexcept {
  activity_.now("finishes after its last frame", last_seq_, Patience::sink);
  guarded([&] { return sink_->finish(); });
  activity_.idle();
}

void SinkRunner::run() {
  while (!queue_.is_over()) {
    if (const FrameLease frame = queue_.take(100ms))
      consume(frame);
    else if (!queue_.is_over())
      idle();
    cpu_ns_.store(thread_cpu_now().count(), std::memory_order_relaxed);
  }
  finish();
  is_running_.store(false, std::memory_order_release);
}

SharedThread::Guest::Turn SinkRunner::serve() noexcept {
  const bool is_over = queue_.is_over();
  FrameLease frame = is_over ? FrameLease() : queue_.take(0ns);
  if (!is_over && !frame) return Turn::nothing;
  const auto began = thread_cpu_now();
  if (is_over)
    finish();
  else
    consume(frame);
  frame.reset();
  cpu_ns_.fetch_add((thread_cpu_now() - began).count(), std::memory_order_relaxed);
  if (!is_over) return Turn::worked;
  is_running_.store(false, std::memory_order_release);
  return Turn::leaves;
}

}  // namespace latticed
