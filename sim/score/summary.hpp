// SPDX-License-Identifier: GPL-3.0-or-later
// The parts of a score as one JSON object with a verdict.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "sim/score/score.hpp"

namespace latticed::sim {

/// Why this is no pass; empty when it is one.
[[nodiscard]] std::vector<std::string> reasons_against(const FrameScore& frames,
                                                       const DriftScore& drift,
                                                       const SpotScore& spots,
                                                       const ScoreLimits& limits);

[[nodiscard]] nlohmann::ordered_json summarise(const Truth& truth, const Measurements& measurements,
                                               const ScoreLimits& limits);

}  // namespace latticed::sim
