// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <string>

namespace latticed::sim::test {

/// A small, quick scenario: 64 x 64, `frames` frames; `more` is appended.
inline std::string small_scenario(int frames, const std::string& more = {}) {
  return "name = \"small\"\nframes = " + std::to_string(frames) +
         "\nframe_period_s = 0.01\n[[detector]]\nname = \"haadf\"\nwidth = 64\nheight = 64\n"
         "pixel_size_nm = 0.05\n[specimen]\nedges = [[20.0, 1.0]]\n[drift]\nrate_nm_per_s = [1.0, "
         "0.5]\n" +
         more;
}

}  // namespace latticed::sim::test
