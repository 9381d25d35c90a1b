// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/config/short_texts.hpp"

#include <gtest/gtest.h>

namespace latticed {
namespace {

TEST(FrameRange, ReadsBothEndsAndEither) {
  const auto both = parse_frame_range("3:10");
  ASSERT_TRUE(both);
  EXPECT_EQ(both->first, 3u);
  EXPECT_EQ(both->end, 10u);
  const auto from = parse_frame_range("3:");
  ASSERT_TRUE(from);
  EXPECT_EQ(from->end, ReplayOptions::kToTheEnd);
  const auto to = parse_frame_range(":10");
  ASSERT_TRUE(to);
  EXPECT_EQ(to->first, 0u);
}

TEST(FrameRange, RefusesWhatIsNone) {
  for (const char* text :
       {"", "3", "a:b", "3:3", "4:3", "-1:4", "1:2:3", "1.5:4", " 1:2", "1:99999999999999999999"})
    EXPECT_FALSE(parse_frame_range(text)) << text;
}

TEST(FrameRange, IsWrittenAsItIsRead) {
  for (const char* text : {":", "3:", ":10", "3:10"})
    EXPECT_EQ(to_string(*parse_frame_range(text)), text);
}

TEST(Region, ReadsFourWholeNumbers) {
  const auto region = parse_region("1,2,30,40");
  ASSERT_TRUE(region);
  EXPECT_EQ(region->x, 1);
  EXPECT_EQ(region->y, 2);
  EXPECT_EQ(region->width, 30);
  EXPECT_EQ(region->height, 40);
}

TEST(Region, RefusesWhatIsNone) {
  for (const char* text : {"", "1,2,3", "1,2,3,4,5", "1,2,0,4", "1,2,3,0", "-1,2,3,4", "1;2;3;4",
                           "1,2,3,4 ", "a,b,c,d", "1,2,3,99999999999"})
    EXPECT_FALSE(parse_region(text)) << text;
}

}  // namespace
}  // namespace latticed
