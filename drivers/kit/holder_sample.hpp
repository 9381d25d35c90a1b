// SPDX-License-Identifier: GPL-3.0-or-later
// What a biasing or heating holder reads back at one moment. Plain data, standard library only.
#pragma once

#include <cstdint>
#include <limits>
#include <string_view>

#include "drivers/kit/frame_header.hpp"

namespace latticed {

/// Which quantity the source holds; the other one floats up to its compliance limit.
enum class SourceMode : std::uint8_t { voltage, current };
[[nodiscard]] constexpr std::string_view to_string(SourceMode mode) noexcept {
  return mode == SourceMode::voltage ? "voltage" : "current";
}

inline constexpr double kNotMeasured = std::numeric_limits<double>::quiet_NaN();

struct HolderSample {
  std::int64_t time_ns =
      kUnknownTime;              // UTC, ns since the Unix epoch; the clock frames are stamped by
  double bias_v = kNotMeasured;  // NaN = this holder does not measure it
  double current_a = kNotMeasured;
  double temperature_k = kNotMeasured;
  bool is_output_on = false;
  bool is_heater_on = false;
  bool is_in_compliance = false;  // the source is held back by its compliance limit
};

}  // namespace latticed
