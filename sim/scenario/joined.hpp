// SPDX-License-Identifier: GPL-3.0-or-later
// Lists in messages. (fmt::join makes g++ 12 warn of an overflow that is none, from -O3 on.)
#pragma once

#include <string>
#include <string_view>

namespace latticed::sim {

[[nodiscard]] std::string joined(const auto& texts, std::string_view separator) {
  std::string out;
  for (const auto& text : texts) {
    if (&text != &*texts.begin()) out += separator;
    out += text;
  }
  return out;
}

}  // namespace latticed::sim
