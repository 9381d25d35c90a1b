// SPDX-License-Identifier: GPL-3.0-or-later
#include "clients/latticectl/text_table.hpp"

#include <gtest/gtest.h>

namespace latticed::latticectl {
namespace {

TEST(TextTable, StandsInColumnsByCharactersNotBytes) {
  TextTable sut({"a", "b"});
  sut.add({"µµµ", "1"});
  sut.add({"x", "2"});
  EXPECT_EQ(sut.text(), "a    b\nµµµ  1\nx    2\n");
}

TEST(TextTable, FillsMissingCellsAndLeavesNoBlanksAtTheEnd) {
  TextTable sut({"name", "value"});
  EXPECT_TRUE(sut.is_empty());
  sut.add({"x"});
  EXPECT_FALSE(sut.is_empty());
  EXPECT_EQ(sut.text(), "name  value\nx\n");
}

}  // namespace
}  // namespace latticed::latticectl
