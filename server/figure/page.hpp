// SPDX-License-Identifier: GPL-3.0-or-later
// Several pictures on one page, in rows, with panel letters as a journal prints them.
#pragma once

#include <string>
#include <vector>

#include "server/figure/picture.hpp"

namespace latticed {

struct Page {
  std::string title;
  std::string footer;                      // small and grey: where the data come from
  std::vector<std::vector<Picture>> rows;  // a row is as high as its highest picture
  bool has_letters = true;                 // a, b, c ... at the pictures

  [[nodiscard]] Picture draw() const;
};

}  // namespace latticed
