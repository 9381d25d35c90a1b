// SPDX-License-Identifier: GPL-3.0-or-later
// A bar across the field, dark or bright: two straight parallel edges and their streak.
#pragma once

#include <cmath>
#include <cstddef>
#include <vector>

namespace latticed::test {

/// Its width and how soft its edges are in pixels, the direction of their normal, how much brighter
/// than the field it is, and where its middle is from the field's along that normal.
struct Bar {
  double direction = 0.35, position = 0.0, width = 50.0, edge = 2.0, brightness = 3.0;

  /// 0 outside, 1 inside; of a square field of `size` pixels.
  [[nodiscard]] double cover(int x, int y, int size) const {
    const double along =
        (x - 0.5 * size) * std::cos(direction) + (y - 0.5 * size) * std::sin(direction) - position;
    return 0.5 *
           (std::tanh((along + 0.5 * width) / edge) - std::tanh((along - 0.5 * width) / edge));
  }
};

/// What is seen through it, or by its light.
inline std::vector<float> with_bar(std::vector<float> image, int size, const Bar& bar) {
  for (int y = 0; y < size; ++y)
    for (int x = 0; x < size; ++x)
      image[static_cast<std::size_t>(y * size + x)] *=
          static_cast<float>(1.0 + (bar.brightness - 1.0) * bar.cover(x, y, size));
  return image;
}

/// Light that adds so many counts and modulates nothing.
inline std::vector<float> under_light(std::vector<float> image, int size, const Bar& bar,
                                      double counts) {
  for (int y = 0; y < size; ++y)
    for (int x = 0; x < size; ++x)
      image[static_cast<std::size_t>(y * size + x)] +=
          static_cast<float>(counts * bar.cover(x, y, size));
  return image;
}

}  // namespace latticed::test
