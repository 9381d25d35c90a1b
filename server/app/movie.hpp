// SPDX-License-Identifier: GPL-3.0-or-later
// Pictures of a detector in our memory: what `latticed bench` makes its frames of.
#pragma once

#include <cstdint>
#include <vector>

#include "drivers/kit/detector.hpp"

namespace latticed {

struct Movie {
  DetectorConfiguration configuration;
  std::vector<std::vector<std::uint16_t>> pictures;
};

/// The first `count` frames of a detector of uint16 pixels, one after the other: it is configured,
/// armed and started here. Errors: the detector's own; invalid_argument: other pixels; data_loss: a
/// frame was lost, or its frames ended before, and what is left would not be `count` pictures in a
/// row.
[[nodiscard]] Result<Movie> take_movie(Detector& detector, std::size_t count);

}  // namespace latticed
