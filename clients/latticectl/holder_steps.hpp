// SPDX-License-Identifier: GPL-3.0-or-later
// What a holder is to be told at which frame: a file of steps, as a scenario of the simulated
// world prints them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "drivers/kit/result.hpp"

namespace latticed::latticectl {

struct HolderStep {
  std::uint64_t frame = 0;  // the command is sent when all frames before this one are measured
  std::optional<double> current_a;
  std::optional<double> bias_v;
  std::optional<double> temperature_k;
};

/// [{"frame":N,"current_a":I,"bias_v":V,"temperature_k":T}, ...], frames ascending; of current and
/// bias at most one. null is the same as not there.
Result<std::vector<HolderStep>> parse_steps(const std::string& json, const std::string& file);
Result<std::vector<HolderStep>> read_steps(const std::string& path);

/// "1.2 nA, 573.1 K"
[[nodiscard]] std::string to_text(const HolderStep& step);

}  // namespace latticed::latticectl
