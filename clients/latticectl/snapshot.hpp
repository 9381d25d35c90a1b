// SPDX-License-Identifier: GPL-3.0-or-later
// An image of the preview as a picture that explains itself: scale bar, grey levels, and a caption
// with detector, frame, time and drift. What is simulated says so inside the image.
#pragma once

#include <latticed/v1/preview.pb.h>

#include <string>

#include "drivers/kit/result.hpp"
#include "server/figure/picture.hpp"

namespace latticed::latticectl {

/// Fails when the pixels are not what the message says.
Result<Picture> draw_snapshot(const v1::Image& image);

/// "haadf raw, frame 123"
[[nodiscard]] std::string caption(const v1::Image& image);

}  // namespace latticed::latticectl
