// SPDX-License-Identifier: GPL-3.0-or-later
// The parts of a score as one JSON object with a verdict, and the series a figure is drawn from.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <ostream>
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

/// CSV: seq, drift true and measured with sigma and state, layer spacing true and measured (the
/// strongest confirmed spot of the layers' first order) with sigma; empty cells where nothing is
/// known.
void write_series(std::ostream& out, const Truth& truth, const Measurements& measurements);

}  // namespace latticed::sim
