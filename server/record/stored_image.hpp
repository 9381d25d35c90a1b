// SPDX-License-Identifier: GPL-3.0-or-later
// An image as it goes into the file: its own bytes, or packed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "server/frame/frame.hpp"
#include "server/record/crc32c.hpp"

namespace latticed::record {

struct StoredImage {
  std::span<const std::byte> bytes;  // empty for an entry of lost frames
  bool is_packed = false;
  std::uint32_t crc32c = 0;  // of the frame's own bytes
};

/// As the detector delivered it.
[[nodiscard]] inline StoredImage stored_raw(const Frame& frame) {
  if (!frame.has_pixels()) return {};
  return {frame.raw(), false, crc32c(frame.raw())};
}

}  // namespace latticed::record
