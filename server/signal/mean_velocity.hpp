// SPDX-License-Identifier: GPL-3.0-or-later
// The mean of the velocities that the specimen had in several scanned frames, from where it was in
// each. A scan shears a frame by that frame's velocity (scan_distortion.hpp), and g as seen is
// linear in it: a sum of such frames shows g by the mean of their velocities. Used by SumStage.
#pragma once

#include <span>

#include "server/frame/measurements.hpp"

namespace latticed::signal {

/// Where the specimen was in one of the frames that were added.
struct AddedFrame {
  double seq = 0.0;
  Vector2 drift_px;        // raw px
  Vector2 variance_px2;    // of it
  double mean_counts = 0;  // its weight in the sum; what is not above 0 has none
};

struct MeanVelocity {
  Vector2 px_per_frame;  // raw px
  Vector2 sigma;         // one standard deviation, px/frame
  bool is_known = false;
};

/// Of the frames in ascending order. Each frame's own velocity is that from the frame before to the
/// frame after it (of the first and last: to their only neighbour), so that in the mean almost only
/// the ends count: exact at constant velocity, and what happened between is not smoothed away.
/// `sigma` has two parts: the drifts' own, and what mean places do not tell of a specimen
/// that wanders (random walk): a frame sees the slope of the path within itself. The walk's
/// variance a frame is taken from how its steps differ from one to the next (von Neumann 1941),
/// less the drifts' own. Unknown with fewer than two frames,
/// and where none has a weight.
[[nodiscard]] MeanVelocity mean_velocity(std::span<const AddedFrame> frames) noexcept;

}  // namespace latticed::signal
