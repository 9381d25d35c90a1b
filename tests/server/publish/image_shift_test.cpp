// SPDX-License-Identifier: GPL-3.0-or-later
// An image moved back by its drift is the image that did not drift.
#include "server/publish/image_shift.hpp"

#include <gtest/gtest.h>

#include "tests/server/publish/shifted_frames.hpp"

namespace latticed::test {
namespace {

std::vector<float> cells_of(int width, int height, Vector2 drift) {
  const auto pixels = drifted(width, height, drift);
  return {pixels.begin(), pixels.end()};
}

TEST(ImageShift, TakesAFractionalDriftOut) {
  constexpr int kWidth = 96, kHeight = 64;
  const Vector2 drift{3.4, -2.7};
  const auto moved = cells_of(kWidth, kHeight, drift);
  const auto still = cells_of(kWidth, kHeight, {});
  ImageShift shift(kWidth, kHeight);
  const auto covered = shift.aim(drift);
  EXPECT_EQ(covered.x0, 0);
  EXPECT_EQ(covered.x1, kWidth - 5);  // 3.4 to the right: the last output needs the pixel at + 5
  EXPECT_EQ(covered.y0, 4);
  EXPECT_EQ(covered.y1, kHeight);
  std::vector<float> row(kWidth, -1.0f);
  for (int y = covered.y0; y < covered.y1; ++y) {
    shift.row(moved.data(), y, row.data());
    for (int x = covered.x0; x < covered.x1; ++x)
      // Contrast is 270 counts at up to 0.14 cycles a pixel, where the cubic is good to a percent.
      EXPECT_NEAR(row[static_cast<std::size_t>(x)], still[static_cast<std::size_t>(y * kWidth + x)],
                  8.0f);
  }
  EXPECT_EQ(row.back(), -1.0f);
}

TEST(ImageShift, AWholeShiftIsExactAndReachesFurthest) {
  constexpr int kSize = 32;
  const auto image = cells_of(kSize, kSize, {});
  ImageShift shift(kSize, kSize);
  const auto covered = shift.aim({2.0, -3.0});
  EXPECT_EQ(covered.x1, kSize - 2);
  EXPECT_EQ(covered.y0, 3);
  std::vector<float> row(kSize);
  shift.row(image.data(), 10, row.data());
  for (int x = 0; x < kSize - 2; ++x)
    EXPECT_EQ(row[static_cast<std::size_t>(x)], image[static_cast<std::size_t>(7 * kSize + x + 2)]);
}

TEST(ImageShift, BeyondTheFieldNothingIsCovered) {
  ImageShift shift(32, 32);
  EXPECT_TRUE(shift.aim({32.5, 0.0}).is_empty());
  EXPECT_TRUE(shift.aim({0.0, NAN}).is_empty());
  EXPECT_FALSE(shift.aim({0.0, 0.0}).is_empty());
}

}  // namespace
}  // namespace latticed::test
