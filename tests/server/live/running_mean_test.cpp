// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/live/running_mean.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace latticed::test {
namespace {

constexpr int kWidth = 64, kHeight = 48;
constexpr std::size_t kPixels = static_cast<std::size_t>(kWidth) * kHeight;
constexpr ImageShift::Covered kAll{0, kWidth, 0, kHeight};

TEST(RunningMean, OfEqualImagesIsThatImage) {
  RunningMean mean;
  EXPECT_TRUE(mean.is_empty());
  const std::vector<float> image(kPixels, 7.0f);
  for (int i = 0; i < 100; ++i) mean.add(image, kWidth, kAll);
  EXPECT_NEAR(mean.at(0), 7.0f, 1e-4f);
  EXPECT_NEAR(mean.at(kPixels - 1), 7.0f, 1e-4f);
}

TEST(RunningMean, HasTheNoiseOfItsEffectiveFrames) {
  std::mt19937 engine(1);
  std::normal_distribution<float> normal(0.0f, 1.0f);
  RunningMean mean(16.0);
  for (int n = 1; n <= 100; ++n) {
    std::vector<float> image(kPixels);
    for (float& pixel : image) pixel = normal(engine);
    mean.add(image, kWidth, kAll);
    if (n == 1) {
      EXPECT_DOUBLE_EQ(mean.effective_frames(), 1.0);
    }
    if (n != 5 && n != 100) continue;
    double squares = 0.0;
    for (std::size_t i = 0; i < kPixels; ++i)
      squares += static_cast<double>(mean.at(i)) * static_cast<double>(mean.at(i));
    // The variance of 3072 pixels is known to 2.6 % (one sigma).
    EXPECT_NEAR(kPixels / squares / mean.effective_frames(), 1.0, 0.1) << n;
  }
  EXPECT_NEAR(mean.effective_frames(), 31.0, 0.1);
}

TEST(RunningMean, FollowsWhatChanges) {
  RunningMean mean(4.0);
  for (int i = 0; i < 50; ++i) mean.add(std::vector<float>(kPixels, 0.0f), kWidth, kAll);
  for (int i = 0; i < 50; ++i) mean.add(std::vector<float>(kPixels, 1.0f), kWidth, kAll);
  EXPECT_NEAR(mean.at(0), 1.0f, 1e-3f);
}

TEST(RunningMean, PixelsThatAreNotReachedKeepWhatTheyHave) {
  RunningMean mean;
  const ImageShift::Covered left{0, 10, 0, kHeight};
  mean.add(std::vector<float>(kPixels, 3.0f), kWidth, left);
  EXPECT_TRUE(std::isnan(mean.at(20)));
  mean.add(std::vector<float>(kPixels, 5.0f), kWidth, {10, kWidth, 0, kHeight});
  EXPECT_FLOAT_EQ(mean.at(0), 3.0f);
  EXPECT_FLOAT_EQ(mean.at(20), 5.0f);
  mean.forget();
  EXPECT_TRUE(mean.is_empty());
}

}  // namespace
}  // namespace latticed::test
