// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/record/compound.hpp"

#include <gtest/gtest.h>

#include <array>
#include <string>

namespace latticed::record {
namespace {

/// Filled into eight bytes: what is there, without the padding, and what is left.
std::pair<std::string, std::string> split(std::string_view text) {
  std::array<char, 8> room{};
  room.fill('?');
  const std::string left(fill_text(room, text));
  std::string there(room.begin(), room.end());
  there.erase(std::min(there.find('\0'), there.size()));
  return {there, left};
}

TEST(FillText, PadsWhatIsShortAndCutsWhatIsLong) {
  EXPECT_EQ(split(""), std::pair(std::string(), std::string()));
  EXPECT_EQ(split("seven.."), std::pair(std::string("seven.."), std::string()));
  EXPECT_EQ(split("exactly8"), std::pair(std::string("exactly8"), std::string()));
  EXPECT_EQ(split("more than eight"), std::pair(std::string("more tha"), std::string("n eight")));
}

TEST(FillText, NeverCutsInsideACharacter) {
  EXPECT_EQ(split("1234567µ"), std::pair(std::string("1234567"), std::string("µ")));
  EXPECT_EQ(split("123456µ!"), std::pair(std::string("123456µ"), std::string("!")));
  EXPECT_EQ(split("12345€€"), std::pair(std::string("12345€"), std::string("€")));
  EXPECT_EQ(split("123456€"), std::pair(std::string("123456"), std::string("€")));
  EXPECT_EQ(split("12345😀"), std::pair(std::string("12345"), std::string("😀")));
}

TEST(FillText, GoesOnThroughBytesThatAreNoText) {
  std::string bytes(20, '\x80'), all;
  for (std::string_view left = bytes; !left.empty();) {
    std::array<char, 8> room{};
    const std::size_t before = left.size();
    left = fill_text(room, left);
    ASSERT_LT(left.size(), before);
    all.append(room.data(), before - left.size());
  }
  EXPECT_EQ(all, bytes);
}

}  // namespace
}  // namespace latticed::record
