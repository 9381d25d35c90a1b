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

TEST(FractionalIndex, ReadsFractionsAndNumbers) {
  const auto index = parse_fractional_index("  1/3\t-0.25 ");
  ASSERT_TRUE(index) << index.error().message;
  EXPECT_EQ(index->x, 1.0 / 3);
  EXPECT_EQ(index->y, -0.25);
  EXPECT_EQ(parse_fractional_index("-2/3 16")->x, -2.0 / 3);
}

TEST(FractionalIndex, RefusesWhatIsNoPlaceBetweenReflections) {
  for (const char* text :
       {"", "1/3", "1/3 1/2 0", "1/0 1/2", "1/-2 1/2", "a 1/2", "1/2, 1/2", "1.5/2 0", "nan 1/2",
        "inf 1/2", "1e-1 0", "17/2 17", "0 0", "1 -2", "2/2 1", "1/ 2 0"})
    EXPECT_FALSE(parse_fractional_index(text)) << text;
}

TEST(FractionalIndex, IsWrittenAsItIsRead) {
  for (const char* text : {"1/3 1/3", "-2/3 1/3", "1/2 0", "0 1/7", "0.123 1/4", "1 -5/24"})
    EXPECT_EQ(to_fractional_index(*parse_fractional_index(text)), text);
  const Vector2 awkward{0.1 + 0.2, -1.0 / 31};
  const auto back = parse_fractional_index(to_fractional_index(awkward));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->x, awkward.x);
  EXPECT_EQ(back->y, awkward.y);
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
