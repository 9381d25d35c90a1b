// SPDX-License-Identifier: GPL-3.0-or-later
// A detector that plays a script: frames, gaps, lost entries, silences, faults and the end, in
// order and as fast as it is read. A step may wait for a permit, so that a test decides when.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "drivers/kit/detector.hpp"

namespace latticed::test {

class Script {
 public:
  struct Step {
    enum class Kind { header, timeout, fault, silence, permit } kind = Kind::header;
    FrameHeader header;
    Error error;
  };

  Script& frames(std::uint64_t count, std::uint32_t flags = 0) {
    for (std::uint64_t i = 0; i < count; ++i) frame(next_++, flags);
    return *this;
  }
  /// The count jumps: these frames never come, and nobody says so.
  Script& gap(std::uint64_t count) {
    next_ += count;
    return *this;
  }
  /// A frame with a number it should not have.
  Script& frame(std::uint64_t hardware_sequence, std::uint32_t flags = 0) {
    Step step;
    step.header.hardware_sequence = hardware_sequence;
    step.header.flags = flags;
    // Unsigned: a count that cannot be believed must not overflow the time beside it.
    step.header.time_ns = static_cast<std::int64_t>(hardware_sequence * 100'000'000u);
    return add(step);
  }
  Script& lost(std::uint64_t count, LossReason reason) {
    lost_at(next_, count, reason);
    next_ += count;
    return *this;
  }
  Script& lost_at(std::uint64_t hardware_sequence, std::uint64_t count, LossReason reason) {
    Step step;
    step.header.kind = FrameKind::lost;
    step.header.hardware_sequence = hardware_sequence;
    step.header.lost_count = count;
    step.header.loss = reason;
    return add(step);
  }
  Script& timeouts(int count) {
    for (int i = 0; i < count; ++i) add({Step::Kind::timeout, {}, {}});
    return *this;
  }
  Script& fault(const std::string& message) {
    return add({Step::Kind::fault, {}, {ErrorCode::unavailable, message}});
  }
  /// Nothing more, until stop().
  Script& silence() { return add({Step::Kind::silence, {}, {}}); }
  /// Goes on when the test calls permit().
  Script& wait_for_permit() { return add({Step::Kind::permit, {}, {}}); }

  /// The next frame's number, for a script that is to follow another.
  Script& from(std::uint64_t hardware_sequence) {
    next_ = hardware_sequence;
    return *this;
  }
  Script& append(const Script& other) {
    steps_.insert(steps_.end(), other.steps_.begin(), other.steps_.end());
    next_ = other.next_;
    return *this;
  }

  [[nodiscard]] const std::vector<Step>& steps() const { return steps_; }

 private:
  Script& add(const Step& step) {
    steps_.push_back(step);
    return *this;
  }
  std::vector<Step> steps_;
  std::uint64_t next_ = 0;
};

class ScriptedDetector final : public Detector {
 public:
  /// Writes the pixels of the n-th delivered frame; without one they keep what was in the slot.
  using Paint = std::function<void(std::uint64_t n, std::span<std::byte> pixels)>;

  ScriptedDetector(Script script, FrameGeometry geometry, Paint paint = {})
      : script_(std::move(script)), paint_(std::move(paint)) {
    configuration_.geometry = geometry;
  }
  DetectorConfiguration& says() { return configuration_; }
  DeviceInfo& is_called() { return device_; }
  std::optional<Error> start_error;

  /// One wait_for_permit() step may pass.
  void permit() {
    const std::lock_guard lock(guard_);
    ++permits_;
    changed_.notify_all();
  }
  /// Steps gone by so far.
  [[nodiscard]] std::size_t position() const {
    const std::lock_guard lock(guard_);
    return at_;
  }

  /// How often a read began to wait for a permit or in silence.
  [[nodiscard]] int waits() const {
    const std::lock_guard lock(guard_);
    return waits_;
  }

  [[nodiscard]] const DeviceInfo& info() const noexcept override { return device_; }
  [[nodiscard]] DeviceState state() const noexcept override {
    const std::lock_guard lock(guard_);
    return state_;
  }
  Result<DetectorConfiguration> configure(const DetectorSettings&) override {
    return configuration_;
  }
  Result<void> arm() override { return {}; }
  Result<void> start() override {
    const std::lock_guard lock(guard_);
    if (start_error) return *start_error;
    state_ = DeviceState::running;
    return {};
  }
  void stop() noexcept override {
    const std::lock_guard lock(guard_);
    is_stopped_ = true;
    changed_.notify_all();
  }

  Result<FrameHeader> read_frame(std::span<std::byte> pixels,
                                 std::chrono::milliseconds timeout) override {
    std::unique_lock lock(guard_);
    using Kind = Script::Step::Kind;
    FrameHeader end;
    end.kind = FrameKind::end;
    while (true) {
      if (is_stopped_ || at_ == script_.steps().size()) {
        state_ = DeviceState::configured;
        return end;
      }
      const Script::Step& step = script_.steps()[at_];
      if (step.kind == Kind::silence || (step.kind == Kind::permit && permits_ == 0)) {
        ++waits_;
        changed_.wait_for(lock, timeout);
        if (is_stopped_ || (step.kind == Kind::permit && permits_ > 0)) continue;
        return Error{ErrorCode::timeout, {}};
      }
      ++at_;
      if (step.kind == Kind::permit) {
        --permits_;
        continue;
      }
      if (step.kind == Kind::timeout) return Error{ErrorCode::timeout, {}};
      if (step.kind == Kind::fault) {
        state_ = DeviceState::fault;
        return step.error;
      }
      if (step.header.kind == FrameKind::frame && paint_) {
        lock.unlock();
        paint_(painted_++, pixels.first(configuration_.geometry.bytes()));
      }
      return step.header;
    }
  }

 private:
  const Script script_;
  const Paint paint_;
  DetectorConfiguration configuration_;
  DeviceInfo device_{"scripted", "script", "test", "1"};
  mutable std::mutex guard_;  // of everything below
  std::condition_variable changed_;
  std::size_t at_ = 0;
  int permits_ = 0, waits_ = 0;
  bool is_stopped_ = false;
  DeviceState state_ = DeviceState::configured;
  std::uint64_t painted_ = 0;  // reader's thread
};

}  // namespace latticed::test
