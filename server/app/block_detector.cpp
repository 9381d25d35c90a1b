// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/app/block_detector.hpp"

#include <algorithm>
#include <string>

#include "drivers/kit/copy_pixels.hpp"
#include "server/base/stage_clock.hpp"

namespace latticed {

using std::chrono::nanoseconds;

namespace {
constexpr std::uint64_t kBacklog = 16;  // frames a detector of this rate would buffer
}

BlockDetector::BlockDetector(const DetectorConfiguration& configuration, std::size_t frames,
                             double rate_hz)
    : block_(frames),
      rate_hz_(rate_hz),
      configuration_(configuration),
      memory_(frames * configuration.geometry.bytes()) {
  configuration_.frame_count = 0;
  configuration_.is_paced = rate_hz_ > 0.0;
  if (configuration_.is_paced) configuration_.frame_period_s = 1.0 / rate_hz_;
}

void BlockDetector::play() noexcept {
  block_began_ns_.store(steady_now().count(), std::memory_order_relaxed);
  allowed_.fetch_add(block_, std::memory_order_release);
  changed_.ring();
}

bool BlockDetector::is_played() const noexcept {
  return read_.load(std::memory_order_acquire) == allowed_.load(std::memory_order_relaxed);
}

void BlockDetector::finish() noexcept {
  is_last_.store(true, std::memory_order_release);
  changed_.ring();
}

Result<DetectorConfiguration> BlockDetector::configure(const DetectorSettings& wanted) {
  if (wanted.frame_count != 0)
    return Error{ErrorCode::invalid_argument,
                 "frames from memory: their number is not wanted, "
                 "they end when their owner says so"};
  state_.store(DeviceState::configured);
  return configuration_;
}

Result<void> BlockDetector::arm() {
  state_.store(DeviceState::armed);
  return {};
}

Result<void> BlockDetector::start() {
  state_.store(DeviceState::running);
  return {};
}

void BlockDetector::stop() noexcept {
  is_stopped_.store(true, std::memory_order_release);
  changed_.ring();
}

FrameHeader BlockDetector::header(FrameKind kind) const noexcept {
  FrameHeader out;
  out.kind = kind;
  out.flags = kFrameSimulated;
  out.hardware_sequence = next_;
  out.exposure_s = std::min(configuration_.exposure_s, configuration_.frame_period_s);
  out.time_ns = static_cast<std::int64_t>(
      1e9 * (static_cast<double>(next_) * configuration_.frame_period_s + 0.5 * out.exposure_s));
  return out;
}

// Of the next frame; 0 or less: now.
nanoseconds BlockDetector::until_due(nanoseconds now) const noexcept {
  if (rate_hz_ <= 0.0) return nanoseconds(0);
  const double due_s = static_cast<double>(next_ % block_ + 1) / rate_hz_;
  return nanoseconds(block_began_ns_.load(std::memory_order_relaxed)) +
         nanoseconds(static_cast<std::int64_t>(1e9 * due_s)) - now;
}

// Frames that were due so long ago that a camera would not have them any more.
std::optional<FrameHeader> BlockDetector::overrun() noexcept {
  const double since_due_s = -1e-9 * static_cast<double>(until_due(steady_now()).count());
  const auto due = 1 + static_cast<std::uint64_t>(std::max(0.0, rate_hz_ * since_due_s));
  const std::uint64_t waiting = std::min<std::uint64_t>(due, block_ - next_ % block_);
  if (waiting <= kBacklog) return std::nullopt;
  FrameHeader lost = header(FrameKind::lost);
  lost.loss = LossReason::detector_overrun;
  lost.lost_count = waiting - kBacklog;
  next_ += lost.lost_count;
  return lost;
}

Result<FrameHeader> BlockDetector::read_frame(std::span<std::byte> pixels,
                                              std::chrono::milliseconds timeout) {
  if (pixels.size() < configuration_.geometry.bytes())
    return Error{ErrorCode::invalid_argument,
                 "frames from memory: a buffer of " + std::to_string(pixels.size()) +
                     " bytes, a frame has " + std::to_string(configuration_.geometry.bytes())};
  const nanoseconds deadline = steady_now() + timeout;
  for (;;) {
    const auto seen = changed_.listen();
    const bool is_last = is_last_.load(std::memory_order_acquire);
    const bool may_read = next_ < allowed_.load(std::memory_order_acquire);
    if (is_stopped_.load(std::memory_order_acquire) || (is_last && !may_read)) {
      state_.store(DeviceState::configured);
      return header(FrameKind::end);
    }
    const nanoseconds now = steady_now();
    nanoseconds wait = deadline - now;
    if (may_read) {
      const nanoseconds due = until_due(now);
      if (due.count() <= 0) break;
      wait = std::min(wait, due);
    }
    if (now >= deadline) return Error{ErrorCode::timeout, {}};
    changed_.wait(seen, wait);
  }
  FrameHeader out;
  if (auto lost = overrun()) {
    out = *lost;
  } else {
    const auto from = frame(next_ % block_);
    copy_pixels(from, pixels);
    out = header(FrameKind::frame);
    ++next_;
  }
  read_.store(next_, std::memory_order_release);
  return out;
}

}  // namespace latticed
