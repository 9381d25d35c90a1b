// SPDX-License-Identifier: GPL-3.0-or-later
// Notices when the system's clock is set: its time against one that only runs.
#pragma once

#include <chrono>
#include <cmath>
#include <cstdint>
#include <optional>

namespace latticed::record {

class ClockWatch {
 public:
  /// Less is what NTP does by slewing.
  static constexpr double kLeastStep_s = 0.05;

  /// Seconds the clock was set by since the last look, if it was; positive: forwards.
  [[nodiscard]] std::optional<double> look(std::int64_t utc_ns, std::chrono::nanoseconds steady) {
    const std::int64_t offset = utc_ns - steady.count();
    const std::optional<std::int64_t> before = offset_ns_;
    offset_ns_ = offset;
    if (!before) return std::nullopt;
    const double step_s = 1e-9 * static_cast<double>(offset - *before);
    if (std::abs(step_s) < kLeastStep_s) return std::nullopt;
    return step_s;
  }

 private:
  std::optional<std::int64_t> offset_ns_;
};

}  // namespace latticed::record
