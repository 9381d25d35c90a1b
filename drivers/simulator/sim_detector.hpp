// SPDX-License-Identifier: GPL-3.0-or-later
// A detector of the simulated world: an ordinary driver whose device is the process sim-world.
//
//   build/dev/bin/sim-world --scenario sim/scenarios/quiet.toml --socket /tmp/world.sock --speed 0
//   auto detector = latticed::SimDetector::open({.socket = "/tmp/world.sock"});
//   (*detector)->configure({}); (*detector)->arm(); (*detector)->start();
//   while frames come: (*detector)->read_frame(slot, 100ms);
//
// Link target: latticed::driver_simulator. With sim-world --prefetch K the driver goes through the
// K frames in memory by itself, to and fro, at `rate_hz`; the world then does nothing.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "drivers/kit/detector.hpp"
#include "sim/link/line_client.hpp"
#include "sim/link/ring.hpp"

namespace latticed {

struct SimDetectorOptions {
  std::string socket;                       // of the world
  std::string detector;                     // its name there; empty = the first one
  std::chrono::milliseconds timeout{5000};  // of every command, and of connecting
  double rate_hz = 0.0;                     // prefetched frames only: 0 = as fast as they are read
};

class SimDetector final : public Detector {
 public:
  static Result<std::unique_ptr<SimDetector>> open(SimDetectorOptions options);
  ~SimDetector() override;

  [[nodiscard]] const DeviceInfo& info() const noexcept override { return info_; }
  [[nodiscard]] DeviceState state() const noexcept override { return state_.load(); }

  /// From fault it connects again, so a world that was restarted can be used again.
  Result<DetectorConfiguration> configure(const DetectorSettings& wanted) override;
  Result<void> arm() override;
  Result<void> start() override;
  Result<FrameHeader> read_frame(std::span<std::byte> pixels,
                                 std::chrono::milliseconds timeout) override;
  void stop() noexcept override;

 private:
  explicit SimDetector(SimDetectorOptions options) : options_(std::move(options)) {}
  Result<void> connect();
  Result<nlohmann::json> request(const nlohmann::json& command);
  Result<void> step(const char* command, DeviceState from, DeviceState to);
  Error fault(Error error) noexcept;

  std::optional<FrameHeader> take_live(std::span<std::byte> pixels);
  std::optional<FrameHeader> take_prefetched(std::span<std::byte> pixels);
  FrameHeader copy_frame(std::uint32_t slot, std::span<std::byte> pixels);
  FrameHeader lost(std::uint64_t until, LossReason reason);
  FrameHeader end() noexcept;
  std::chrono::nanoseconds until_due() const noexcept;

  const SimDetectorOptions options_;
  DeviceInfo info_;
  DetectorConfiguration configuration_;
  std::atomic<DeviceState> state_{DeviceState::closed};
  std::atomic<bool> stopping_{false};
  std::atomic<bool> ended_{false};  // a run was started and is over

  std::mutex mutex_;  // guards link_: stop() may come from any thread
  std::optional<sim::LineClient> link_;
  std::optional<sim::Ring> ring_;

  std::uint64_t next_ = 0;  // sequence expected next; reader's thread
  std::chrono::steady_clock::time_point started_at_;
  std::int64_t start_ns_ = 0;
};

}  // namespace latticed
