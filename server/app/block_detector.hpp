// SPDX-License-Identifier: GPL-3.0-or-later
// A detector that plays frames from memory in blocks: between two blocks it waits until its owner
// has filled the next one. So `latticed bench` can give every frame fresh noise without making any
// while the clock runs. Copies a frame into the slot it is lent, as a camera's driver does.
#pragma once

#include <atomic>
#include <chrono>
#include <optional>
#include <span>

#include "drivers/kit/detector.hpp"
#include "server/base/doorbell.hpp"
#include "server/signal/aligned_buffer.hpp"

namespace latticed {

class BlockDetector final : public Detector {
 public:
  /// All of `configuration` but the number of frames holds. `rate_hz` 0: as fast as they are read.
  BlockDetector(const DetectorConfiguration& configuration, std::size_t frames, double rate_hz);

  // Its owner's. The frames while the detector waits: before the first play(), and while
  // is_played().
  [[nodiscard]] std::size_t block() const noexcept { return block_; }
  [[nodiscard]] std::span<std::byte> frame(std::size_t i) noexcept {
    return {memory_.data() + i * configuration_.geometry.bytes(), configuration_.geometry.bytes()};
  }
  /// The block may be read.
  void play() noexcept;
  /// Every frame that may be read was read or lost: their memory is the owner's again.
  [[nodiscard]] bool is_played() const noexcept;
  /// No block follows: once the last is read, the end is.
  void finish() noexcept;

  [[nodiscard]] const DeviceInfo& info() const noexcept override { return info_; }
  [[nodiscard]] DeviceState state() const noexcept override { return state_.load(); }
  Result<DetectorConfiguration> configure(const DetectorSettings& wanted) override;
  Result<void> arm() override;
  Result<void> start() override;
  Result<FrameHeader> read_frame(std::span<std::byte> pixels,
                                 std::chrono::milliseconds timeout) override;
  void stop() noexcept override;

 private:
  [[nodiscard]] std::chrono::nanoseconds until_due(std::chrono::nanoseconds now) const noexcept;
  [[nodiscard]] std::optional<FrameHeader> overrun() noexcept;
  [[nodiscard]] FrameHeader header(FrameKind kind) const noexcept;

  const std::size_t block_;
  const double rate_hz_;
  DeviceInfo info_{"camera", "bench", "frames from memory", ""};
  DetectorConfiguration configuration_;
  signal::AlignedBuffer<std::byte> memory_;
  std::atomic<DeviceState> state_{DeviceState::closed};
  std::atomic<std::uint64_t> allowed_{0};        // frames that may be read, ever
  std::atomic<std::int64_t> block_began_ns_{0};  // steady clock
  std::atomic<bool> is_last_{false}, is_stopped_{false};
  Doorbell changed_;
  std::uint64_t next_ = 0;              // read_frame's
  std::atomic<std::uint64_t> read_{0};  // next_, for the owner
};

}  // namespace latticed
