// SPDX-License-Identifier: GPL-3.0-or-later
// Numbers to colours: the limits of contrast, and the three maps.
#pragma once

#include <span>

#include "server/figure/image_figure.hpp"

namespace latticed::drawing {

struct Contrast {
  double low = 0.0;
  double high = 1.0;
};

/// Limits by percentiles of the finite values; symmetric about 0 for the diverging map.
[[nodiscard]] Contrast find_contrast(std::span<const float> values, double low_percentile,
                                     double high_percentile, ColourMap map);

/// `value` from 0 to 1.
[[nodiscard]] Colour map_colour(ColourMap map, double value) noexcept;

}  // namespace latticed::drawing
