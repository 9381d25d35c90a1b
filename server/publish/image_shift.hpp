// SPDX-License-Identifier: GPL-3.0-or-later
// An image moved by a fraction of its cells, where it has cells to do so: what brings a drifted
// frame back onto the field of the first one. One thread.
#pragma once

#include <array>
#include <cstddef>
#include <vector>

#include "server/frame/measurements.hpp"

namespace latticed {

class ImageShift {
 public:
  ImageShift(int width, int height)
      : width_(width), height_(height), blended_(static_cast<std::size_t>(width) + 3) {}

  /// Which part of the moved image the image reaches: x0 <= x < x1, y0 <= y < y1.
  struct Covered {
    int x0 = 0, x1 = 0, y0 = 0, y1 = 0;
    [[nodiscard]] bool is_empty() const noexcept { return x0 >= x1 || y0 >= y1; }
  };
  /// From here on moved(x, y) = image(x + shift.x, y + shift.y), by Keys' cubic.
  Covered aim(Vector2 shift_cells);
  /// Row y of the moved image: out[x0] to out[x1 - 1]; what is not covered stays as it is.
  void row(const float* image, int y, float* out);

 private:
  struct Taps {
    int offset = 0;           // of the second tap, from the output's own place
    int first = 0, last = 0;  // outputs reached: first <= i < last
    int reach_before = 0, reach_behind = 0;
    std::array<float, 4> weights{0.0f, 1.0f, 0.0f, 0.0f};
  };
  static Taps taps_of(double shift, int size);

  int width_, height_;
  Taps x_, y_;
  std::vector<float> blended_;
};

}  // namespace latticed
