// SPDX-License-Identifier: GPL-3.0-or-later
// The mean motion of the plainest reflections: phases of their coefficients against the template's
// under a Hann window, least squares over them. What a frame distorted by the scan means by
// "drift": a match would follow the rows that happen to agree best (measured on a real movie:
// 0.03 px from an all-pairs registration, against 1.2 px of the match).
#pragma once

#include <optional>
#include <span>

#include "server/signal/analysis_grid.hpp"
#include "server/signal/drift_match.hpp"
#include "server/signal/peak_detect.hpp"

namespace latticed::signal {

struct MeanMotion {
  Vector2 shift_cells;
  Covariance covariance;  // from the scatter of the phases
};

/// mean: frames moved back to no shift; reflections: strongest first; near: the shift to a fraction
/// of a cell. Nothing: there are fewer than two plain ones, all on one row, or they do not agree to
/// a tenth of a cycle.
[[nodiscard]] std::optional<MeanMotion> mean_motion(const AnalysisGrid& grid, const Spectrum& frame,
                                                    const Spectrum& mean,
                                                    std::span<const Peak> reflections,
                                                    Vector2 near_cells);

}  // namespace latticed::signal
