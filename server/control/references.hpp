// SPDX-License-Identifier: GPL-3.0-or-later
// Detector references from files: dark, gain, and the hot pixels found in them or in the movie.
#pragma once

#include <string>
#include <vector>

#include "drivers/kit/result.hpp"
#include "server/config/config.hpp"
#include "server/signal/bin_image.hpp"

namespace latticed {

/// Reads and checks both against the detector's geometry; hot pixels come from the dark.
Result<signal::CorrectionMaps> load_references(const ReferenceFiles& files,
                                               const FrameGeometry& geometry);

/// Hot pixels from up to eight frames spread over a recording: a dark may be missing, or older
/// than the newest defect. Static pixels look like structure and hold the drift at zero.
std::vector<std::uint32_t> hot_pixels_of_movie(const std::string& path);

/// Both lists as one, ascending, each pixel once.
std::vector<std::uint32_t> joined(std::vector<std::uint32_t> a,
                                  const std::vector<std::uint32_t>& b);

}  // namespace latticed
