// SPDX-License-Identifier: GPL-3.0-or-later
// What ImageJ and OME write into a TIFF's ImageDescription, and what plain resolution tags can say.
#pragma once

#include <cstdint>
#include <string_view>

namespace latticed::files {

/// Resolution tags as they stand: pixels per unit, 0 = absent.
struct TiffResolution {
  double x = 0.0;
  double y = 0.0;
  int unit = 2;  // 1 none, 2 inch, 3 cm
};

struct TiffCalibration {
  double pixel_size_nm = 0.0;
  double frame_period_s = 0.0;
  /// Frames of the stack as ImageJ or tifffile count them, who let one directory speak for all
  /// and write the frames one behind the other. 0 = not said.
  std::int64_t stack_images = 0;
};

TiffCalibration read_calibration(std::string_view description, const TiffResolution& resolution);

}  // namespace latticed::files
