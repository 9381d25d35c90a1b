// SPDX-License-Identifier: GPL-3.0-or-later
// Two neighbouring uint16 pixels read as one word: binning sums or multiplies both halves without a
// shuffle. For bin_image and compact_maps.
#pragma once

#include <cstdint>

namespace latticed::signal {

/// The pixel with the even number in the low half; anywhere a pixel may lie.
typedef std::uint32_t PixelPair __attribute__((aligned(2), may_alias));

[[gnu::always_inline]] inline const PixelPair* pairs_of(const std::uint16_t* row) {
  return reinterpret_cast<const PixelPair*>(row);
}
[[gnu::always_inline]] inline std::uint32_t low_of(std::uint32_t pair) { return pair & 0xffffu; }
[[gnu::always_inline]] inline std::uint32_t high_of(std::uint32_t pair) { return pair >> 16; }

}  // namespace latticed::signal
