// SPDX-License-Identifier: GPL-3.0-or-later
// Scenario files to Scenario. All mistakes of a file are reported at once, each with its line.
#pragma once

#include <string>
#include <string_view>

#include "drivers/kit/result.hpp"
#include "sim/scenario/scenario.hpp"

namespace latticed::sim {

/// `file` is only for the messages.
Result<Scenario> parse_scenario(std::string_view toml, const std::string& file);
Result<Scenario> read_scenario(const std::string& path);

}  // namespace latticed::sim
