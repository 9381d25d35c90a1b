// SPDX-License-Identifier: GPL-3.0-or-later
// The reflections of some frames, each averaged over them, for a calibration.
#pragma once

#include <latticed/v1/measurements.pb.h>

#include <span>
#include <vector>

#include "server/signal/scale_fit.hpp"

namespace latticed {

/// Confirmed reflections that at least half of the frames show, in raw pixels. `run`: of these
/// frames. Sigma: the scatter between frames or what the frames say, whichever is more, over the
/// root of their number; film, which is in all of them alike, whole.
[[nodiscard]] std::vector<signal::MeasuredSpacing> mean_spacings(
    std::span<const v1::Measurement> frames, const v1::RunBegins& run);

}  // namespace latticed
