// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/signal/analysis_grid.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace latticed::signal {
namespace {

constexpr double kBand = 0.8;

AnalysisGrid grid_of(int width, int height, int bin = 1, Region region = {}) {
  auto grid = make_grid({width, height, PixelType::u16}, bin, region, kBand);
  EXPECT_TRUE(grid) << (grid ? "" : grid.error().message);
  return grid ? *grid : AnalysisGrid{};
}

TEST(AnalysisGrid, BinsByItselfToAThousandCells) {
  const struct {
    int width, height, bin, cells;
  } cases[] = {{512, 512, 1, 512},    {1024, 1024, 1, 1024}, {1025, 600, 2, 512},
               {2048, 2048, 2, 1024}, {4096, 4096, 4, 1024}, {4092, 100, 4, 1008},
               {5760, 4092, 8, 720}};
  for (const auto& c : cases) {
    const AnalysisGrid sut = grid_of(c.width, c.height, 0);
    EXPECT_EQ(sut.bin, c.bin) << c.width;
    EXPECT_EQ(sut.width, c.cells) << c.width;
  }
}

TEST(AnalysisGrid, TakesTheNearestSizeThatTransformsFast) {
  for (int size = 4; size <= 1300; ++size) {
    const AnalysisGrid sut = grid_of(size, 64);
    int rest = sut.width;
    for (int factor : {2, 3, 5, 7})
      while (rest % factor == 0) rest /= factor;
    ASSERT_EQ(rest, 1) << size;
    ASSERT_EQ(sut.width % 2, 0) << size;
    ASSERT_LE(sut.width, size);
    if (size >= 24) {
      ASSERT_GE(sut.width, size * 9 / 10) << size;  // the widest gap, 79 to 72, is 8.9 %
    }
  }
  EXPECT_EQ(grid_of(97, 97).height, 96);  // a prime
  EXPECT_EQ(grid_of(1009, 1009).width, 1008);
}

TEST(AnalysisGrid, LiesCentredInsideTheRegion) {
  for (int bin : {1, 2, 3, 4, 7})
    for (int size : {64, 97, 101, 211}) {
      const Region region{5, 9, size, size + 13};
      const AnalysisGrid sut = grid_of(300, 300, bin, region);
      const int left = sut.x0 - region.x, top = sut.y0 - region.y;
      const int right = region.width - left - sut.width * bin;
      const int bottom = region.height - top - sut.height * bin;
      EXPECT_GE(left, 0);
      EXPECT_GE(top, 0);
      EXPECT_TRUE(right == left || right == left + 1) << left << " " << right;
      EXPECT_TRUE(bottom == top || bottom == top + 1) << top << " " << bottom;
    }
}

TEST(AnalysisGrid, SaysOfTinyFramesThatTheyCannotBeMeasured) {
  for (int size : {1, 2, 3, 5, 15}) {
    const AnalysisGrid sut = grid_of(size, size);
    EXPECT_FALSE(sut.is_measurable()) << size;
    EXPECT_GE(sut.width, 1) << size;
  }
  EXPECT_FALSE(grid_of(64, 10).is_measurable());
  EXPECT_FALSE(grid_of(8, 8, 16).is_measurable());  // not even one cell
  EXPECT_TRUE(grid_of(16, 16).is_measurable());
}

TEST(AnalysisGrid, RefusesRegionsOutsideTheFrame) {
  constexpr int kHuge = std::numeric_limits<int>::max();
  const Region outside[] = {{-1, 0, 64, 64},    {0, -1, 64, 64}, {65, 0, 64, 64},
                            {0, 65, 64, 64},    {0, 0, 129, 64}, {0, 0, 64, 129},
                            {0, 0, -64, 64},    {0, 0, 64, 0},   {kHuge, 0, 64, 64},
                            {0, 64, 64, kHuge}, {200, 200, 1, 1}};
  for (const Region& region : outside) {
    const auto sut = make_grid({128, 128, PixelType::u8}, 1, region, kBand);
    ASSERT_FALSE(sut) << region.x << " " << region.y << " " << region.width << " " << region.height;
    EXPECT_EQ(sut.error().code, ErrorCode::invalid_argument);
    EXPECT_NE(sut.error().message.find("128x128"), std::string::npos) << sut.error().message;
  }
  EXPECT_TRUE(make_grid({128, 128, PixelType::u8}, 1, {64, 64, 64, 64}, kBand));
}

TEST(AnalysisGrid, RefusesImpossibleBins) {
  for (int bin : {-1, 17, 1000})
    EXPECT_FALSE(make_grid({128, 128, PixelType::u8}, bin, {}, kBand)) << bin;
}

TEST(AnalysisGrid, KeepsTheBandAndRoomForWholeBlocks) {
  for (int height : {16, 20, 96, 512, 1000}) {
    const AnalysisGrid sut = grid_of(512, height);
    EXPECT_GE((sut.kx_count - 1) * 2.0 / sut.width, kBand - 1e-9);  // the band's edge is kept
    EXPECT_LE(sut.kx_count, sut.width / 2 + 1);
    EXPECT_LE(sut.k_band * 2.0 / sut.height, kBand);
    EXPECT_GE(sut.column_stride, static_cast<std::size_t>(height));
    EXPECT_EQ(sut.column_stride % 16, 0u);
  }
}

TEST(AnalysisGrid, NumbersFrequenciesBackAndForth) {
  const AnalysisGrid sut = grid_of(32, 20);
  for (int row = 0; row < sut.height; ++row) EXPECT_EQ(sut.row_of(sut.signed_ky(row)), row);
  EXPECT_EQ(sut.signed_ky(10), 10);
  EXPECT_EQ(sut.signed_ky(11), -9);
}

}  // namespace
}  // namespace latticed::signal
