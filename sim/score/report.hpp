// SPDX-License-Identifier: GPL-3.0-or-later
// A score in a few lines for people. All of it is in the summary; nothing is judged here.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace latticed::sim {

/// `summary` as summarise() made it. Ends with a line break.
[[nodiscard]] std::string describe(const nlohmann::ordered_json& summary);

}  // namespace latticed::sim
