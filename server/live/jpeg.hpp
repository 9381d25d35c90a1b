// SPDX-License-Identifier: GPL-3.0-or-later
// A grey picture as JPEG.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace latticed {

/// `grey`: height x width, rows packed. Quality 85.
std::string jpeg_of(std::span<const std::uint8_t> grey, int width, int height);

}  // namespace latticed
