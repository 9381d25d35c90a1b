// SPDX-License-Identifier: GPL-3.0-or-later
// The contract between the server and anything that makes frames. A driver fills memory it is lent,
// keeps no policy and never waits without a timeout. tests/conformance holds every driver to it.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>

#include "drivers/kit/device.hpp"
#include "drivers/kit/frame_header.hpp"
#include "drivers/kit/result.hpp"

namespace latticed {

/// What is wanted. Zero means: as the device is.
struct DetectorSettings {
  double exposure_s = 0.0;
  double frame_period_s = 0.0;
  std::uint64_t frame_count = 0;  // 0 = until stop(), or all a recording has
};

/// What will really happen.
struct DetectorConfiguration {
  FrameGeometry geometry;
  double exposure_s = 0.0;        // 0 = unknown (a recording without times)
  double frame_period_s = 0.0;    // 0 = unknown
  std::uint64_t frame_count = 0;  // 0 = endless
  double scan_line_time_s = 0.0;  // from one row (y) to the next; 0 = all rows at once, or unknown
  double pixel_size_nm = 0.0;     // at the specimen, unbinned detector pixel; 0 = unknown
  double pixel_size_sigma_ratio = 0.0;  // relative sigma of it; 0 = unknown
  std::string pixel_size_source;        // the calibration it is from, in words; empty = unknown
  bool is_paced = true;                 // frames come at their period and do not wait for us
};

class Detector {
 public:
  virtual ~Detector() = default;  // closes the device
  Detector() = default;
  Detector(const Detector&) = delete;
  Detector& operator=(const Detector&) = delete;

  [[nodiscard]] virtual const DeviceInfo& info() const noexcept = 0;
  [[nodiscard]] virtual DeviceState state() const noexcept = 0;

  /// Adjusts what is wanted to what can be, and returns that. From closed, configured or fault.
  virtual Result<DetectorConfiguration> configure(const DetectorSettings& wanted) = 0;
  virtual Result<void> arm() = 0;
  virtual Result<void> start() = 0;

  /// One frame into `pixels` (at least geometry.bytes() long), the news of lost frames, or the end.
  /// Waits at most `timeout`; Error timeout is normal and carries no text. Any other Error is a
  /// fault of the device: state() is then `fault`. After the end every further call returns the
  /// end. Thread: latd-acq. Does not allocate when it returns a frame or a timeout.
  virtual Result<FrameHeader> read_frame(std::span<std::byte> pixels,
                                         std::chrono::milliseconds timeout) = 0;

  /// Any thread. read_frame then returns the end within its timeout. Twice is harmless; the
  /// device is configured again and can be armed again.
  virtual void stop() noexcept = 0;
};

}  // namespace latticed
