// SPDX-License-Identifier: GPL-3.0-or-later
// A detector that plays recorded files through the drivers' contract, so that the rest of the
// server cannot tell a recording from an experiment. What cannot be read comes as lost frames.
//
//   ReplayOptions options;
//   options.files = {"drift.mrc"};
//   auto detector = ReplayDetector::open(options);        //
//   Result<std::unique_ptr<ReplayDetector>>
//   (*detector)->configure({}); (*detector)->arm(); (*detector)->start();
//   (*detector)->read_frame(pixels, 100ms) ...            // frame | lost | end
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <limits>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "drivers/kit/detector.hpp"
#include "drivers/replay/movie_sequence.hpp"

namespace latticed {

struct ReplayOptions {
  static constexpr std::uint64_t kToTheEnd = std::numeric_limits<std::uint64_t>::max();

  std::string name = "replay";
  std::vector<std::string> files;       // frames run on over them
  std::uint64_t first_frame = 0;        // a of --frames a:b
  std::uint64_t end_frame = kToTheEnd;  // b, not included; beyond the end means the end
  double pace = 0.0;  // times real speed; 0 = as fast as asked for, the reader then sets the pace
};

class ReplayDetector final : public Detector {
 public:
  static Result<std::unique_ptr<ReplayDetector>> open(const ReplayOptions& options);

  [[nodiscard]] const DeviceInfo& info() const noexcept override { return device_; }
  [[nodiscard]] DeviceState state() const noexcept override { return state_.load(); }

  /// With a pace, frame_period_s is the period in real time: what is wanted, else the file's over
  /// the pace. Without, it is the file's, and what is wanted where the file has none.
  /// What is wanted is held to 1 us .. 1 h.
  Result<DetectorConfiguration> configure(const DetectorSettings& wanted) override;
  Result<void> arm() override;
  Result<void> start() override;

  /// hardware_sequence counts from 0 at first_frame. Misuse (not started, buffer too small) leaves
  /// the state as it is and skips no frame. At the end the state goes back to configured.
  Result<FrameHeader> read_frame(std::span<std::byte> pixels,
                                 std::chrono::milliseconds timeout) override;
  void stop() noexcept override;

  /// What was odd in the files and how it was taken, for the log.
  [[nodiscard]] const std::vector<std::string>& remarks() const noexcept {
    return movie_->info().remarks;
  }
  /// Format, geometry and calibration as the first file has them.
  [[nodiscard]] const MovieInfo& movie() const noexcept { return movie_->info(); }

 private:
  using Clock = std::chrono::steady_clock;

  ReplayDetector(const ReplayOptions& options, std::unique_ptr<MovieSequence> movie);
  Result<void> move_on(const char* action, DeviceState from, DeviceState to);
  FrameHeader end_of_acquisition() noexcept;
  FrameHeader deliver(std::span<std::byte> pixels);
  /// Whether the next frame is due within `timeout`; a stop ends the wait at once.
  bool wait_until_due(std::chrono::milliseconds timeout);

  DeviceInfo device_;
  std::unique_ptr<MovieSequence> movie_;
  std::uint64_t first_;
  std::uint64_t available_;
  double pace_;
  DetectorConfiguration configuration_;
  std::uint64_t next_ = 0;  // hardware_sequence of the next frame; latd-acq while running
  Clock::time_point started_at_;

  std::atomic<DeviceState> state_{DeviceState::closed};
  std::atomic<bool> has_started_{false};  // since the last configure() or arm()
  std::mutex wake_guard_;                 // guards nothing but the wait: a stop must not be missed
  std::condition_variable wake_;
};

}  // namespace latticed
