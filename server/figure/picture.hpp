// SPDX-License-Identifier: GPL-3.0-or-later
// A drawn picture: what every figure becomes, what a page is made of, what is written as PNG.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "drivers/kit/result.hpp"

namespace latticed {

struct Colour {
  std::uint8_t r = 0;
  std::uint8_t g = 0;
  std::uint8_t b = 0;
  bool operator==(const Colour&) const = default;
};

/// 8-bit RGB, rows packed, row 0 on top.
struct Picture {
  int width = 0;
  int height = 0;
  std::vector<std::uint8_t> rgb;

  [[nodiscard]] Colour at(int x, int y) const noexcept {
    const std::uint8_t* pixel =
        &rgb[(static_cast<std::size_t>(y) * static_cast<std::size_t>(width) +
              static_cast<std::size_t>(x)) *
             3];
    return {pixel[0], pixel[1], pixel[2]};
  }
};

/// Replaces the file only once it is whole.
Result<void> write_png(const std::string& path, const Picture& picture);

}  // namespace latticed
