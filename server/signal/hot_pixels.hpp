// SPDX-License-Identifier: GPL-3.0-or-later
// Pixels that do not follow the light: from a dark reference, or, where there is none, from a few
// frames in which they stand out every time while the specimen's own bright points move or flicker.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "drivers/kit/frame_header.hpp"

namespace latticed::signal {

/// Pixels of a dark reference further than `sigmas` robust standard deviations (1.4826 MAD) from
/// its median. Ascending raw indices.
std::vector<std::uint32_t> hot_pixels_of_dark(std::span<const float> dark, double sigmas = 12.0);

/// Gathers frames, then names the pixels that in every one of them exceed the median of their eight
/// neighbours by `sigmas` robust deviations of that difference. At least 3 frames are needed.
class HotPixelSearch {
 public:
  explicit HotPixelSearch(const FrameGeometry& geometry) : geometry_(geometry) {}
  void add(std::span<const std::byte> raw);
  [[nodiscard]] std::vector<std::uint32_t> found(double sigmas = 8.0) const;
  [[nodiscard]] int frames() const noexcept { return frames_; }

 private:
  FrameGeometry geometry_;
  int frames_ = 0;
  std::vector<float> smallest_excess_;  // over all frames, in robust deviations of each frame
};

/// Any pixel type to float.
std::vector<float> to_float(std::span<const std::byte> raw, const FrameGeometry& geometry);

}  // namespace latticed::signal
