// SPDX-License-Identifier: GPL-3.0-or-later
// Which dataset of an HDF5 file is the movie, and what the file says about its axes: HyperSpy's
// layout, NeXus, or none (then the largest stack). Reads no pixels.
#pragma once

#include <hdf5.h>

#include <cstdint>
#include <string>
#include <vector>

#include "drivers/kit/result.hpp"

namespace latticed::files {

struct Hdf5Layout {
  std::string format;   // "hspy", "nexus", "hdf5"
  std::string dataset;  // its path
  double pixel_size_nm = 0.0;
  double pixel_size_sigma_ratio = 0.0;
  std::string pixel_size_source;
  double scan_line_time_s = 0.0;
  double frame_period_s = 0.0;
  double exposure_s = 0.0;
  std::vector<std::int64_t> time_ns;
  bool is_frame_axis_last = false;  // Velox stores (y, x, frame)
};

/// `path` is the file's, for messages. Call with QuietHdf5.
Result<Hdf5Layout> find_movie(hid_t file, const std::string& path);

}  // namespace latticed::files
