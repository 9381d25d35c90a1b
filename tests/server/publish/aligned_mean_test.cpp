// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/publish/aligned_mean.hpp"

#include <gtest/gtest.h>

#include "tests/server/publish/shifted_frames.hpp"

namespace latticed {
namespace {

using test::bytes_of;
using test::drifted;

Vector2 drift_of(int frame) { return {0.37 * frame, 0.71 * frame}; }

/// rms difference to the scene over the cells that `frames` frames reached.
double rms_error(const AlignedMean& mean, std::uint32_t frames) {
  const auto pixels = mean.mean();
  const auto coverage = mean.coverage();
  double sum = 0.0;
  int count = 0;
  for (int y = 0; y < mean.height(); ++y)
    for (int x = 0; x < mean.width(); ++x) {
      const auto i = static_cast<std::size_t>(y * mean.width() + x);
      if (coverage[i] < frames) continue;
      const double error = static_cast<double>(pixels[i]) - test::scene(x, y);
      sum += error * error;
      ++count;
    }
  return count ? std::sqrt(sum / count) : HUGE_VAL;
}

double contrast(const std::vector<float>& pixels) {
  double sum = 0.0, squares = 0.0, count = 0.0;
  for (const float value : pixels) {
    if (!std::isfinite(value)) continue;
    sum += static_cast<double>(value);
    squares += static_cast<double>(value) * static_cast<double>(value);
    ++count;
  }
  return std::sqrt(squares / count - (sum / count) * (sum / count));
}

TEST(AlignedMean, EqualsTheTruthWhereItIsCovered) {
  AlignedMean sut({120, 90, PixelType::u16});
  for (int i = 0; i < 24; ++i) {
    const auto frame = drifted(120, 90, drift_of(i));
    sut.add(bytes_of(frame), drift_of(i));
  }
  EXPECT_EQ(sut.frames(), 24u);
  // Contrast is 136 counts rms; rounding to counts leaves 0.3 / sqrt(24), the interpolation the
  // rest.
  EXPECT_LT(rms_error(sut, 24), 1.0);
}

TEST(AlignedMean, IsSharperThanThePlainMean) {
  AlignedMean aligned({120, 90, PixelType::u16}), plain({120, 90, PixelType::u16});
  for (int i = 0; i < 24; ++i) {
    const auto frame = drifted(120, 90, drift_of(i), 60.0, static_cast<unsigned>(i));
    aligned.add(bytes_of(frame), drift_of(i));
    plain.add(bytes_of(frame), {});
  }
  EXPECT_NEAR(contrast(aligned.mean()), 136.0, 6.0);
  EXPECT_LT(contrast(plain.mean()), 60.0);
  EXPECT_LT(rms_error(aligned, 24), 60.0 / std::sqrt(24.0) * 1.1);  // the noise averages away
}

TEST(AlignedMean, CountsOnlyTheFramesThatReachACell) {
  AlignedMean sut({20, 10, PixelType::u16});
  const auto still = drifted(20, 10, {});
  sut.add(bytes_of(still), {});
  sut.add(bytes_of(drifted(20, 10, {5.0, -3.0})), {5.0, -3.0});
  const auto coverage = sut.coverage();
  for (int y = 0; y < 10; ++y)
    for (int x = 0; x < 20; ++x)
      EXPECT_EQ(coverage[static_cast<std::size_t>(20 * y + x)], x < 15 && y >= 3 ? 2u : 1u)
          << x << ' ' << y;
  const auto mean = sut.mean();
  for (std::size_t i = 0; i < mean.size(); ++i) EXPECT_NEAR(mean[i], still[i], 0.51);
}

TEST(AlignedMean, LeavesWhatNoFrameReachedWithoutAValue) {
  AlignedMean sut({16, 16, PixelType::u16});
  sut.add(bytes_of(drifted(16, 16, {8.0, 0.0})), {8.0, 0.0});
  const auto mean = sut.mean();
  EXPECT_TRUE(std::isfinite(mean[7]));
  EXPECT_TRUE(std::isnan(mean[8]));
  sut.add(bytes_of(drifted(16, 16, {})), {1e6, 0.0});
  sut.add(bytes_of(drifted(16, 16, {})), {std::nan(""), 0.0});
  EXPECT_EQ(sut.frames(), 1u);
}

TEST(AlignedMean, BinsFramesThatAreLarge) {
  const FrameGeometry geometry{2051, 1030, PixelType::u16};
  AlignedMean sut(geometry);
  EXPECT_EQ(sut.bin(), 3);
  EXPECT_EQ(sut.width(), 683);
  EXPECT_EQ(sut.height(), 343);
  const std::vector<std::uint16_t> flat(geometry.pixels(), 500);
  sut.add(bytes_of(flat), {0.4, 0.4});
  EXPECT_NEAR(sut.mean()[684 * 100], 500.0f, 1e-2);
}

TEST(AlignedMean, TakesOddAndTinyFrames) {
  for (const auto& [width, height] : {std::pair{1, 1}, {1, 9}, {3000, 1}, {17, 33}}) {
    AlignedMean sut({width, height, PixelType::u16});
    const std::vector<std::uint16_t> frame(
        static_cast<std::size_t>(width) * static_cast<std::size_t>(height), 7);
    sut.add(bytes_of(frame), {});
    sut.add(bytes_of(frame), {0.5, 0.5});
    EXPECT_NEAR(sut.mean()[0], 7.0f, 1e-4) << width << " x " << height;
  }
}

TEST(AlignedMean, MendsHotPixels) {
  signal::CorrectionMaps maps;
  maps.hot_pixels = {20 * 5 + 7};
  AlignedMean sut({20, 10, PixelType::u16}, maps);
  std::vector<std::uint16_t> frame(200, 100);
  frame[20 * 5 + 7] = 60000;
  sut.add(bytes_of(frame), {});
  EXPECT_NEAR(sut.mean()[20 * 5 + 7], 100.0f, 1e-3);
}

}  // namespace
}  // namespace latticed
