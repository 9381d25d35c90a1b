// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/publish/spectrum.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tests/server/publish/shifted_frames.hpp"

namespace latticed {
namespace {

TEST(Diffractogram, HasItsPeakAtTheFrequencyOfTheScene) {
  constexpr int kWidth = 150, kHeight = 101;
  std::vector<float> pixels;
  for (int y = 0; y < kHeight; ++y)
    for (int x = 0; x < kWidth; ++x) pixels.push_back(static_cast<float>(test::scene(x, y)));
  pixels[77] = std::nanf("");
  const std::vector<std::uint32_t> weight(pixels.size(), 3);
  const Diffractogram sut = diffractogram({kWidth, kHeight, pixels, weight}, 0.2);
  ASSERT_EQ(sut.size % 2, 1);
  EXPECT_NEAR(sut.step * (sut.size / 2), 0.2, sut.step);
  const auto peak = std::max_element(sut.magnitude.begin(), sut.magnitude.end());
  const auto at = static_cast<int>(peak - sut.magnitude.begin());
  const double fx = (at % sut.size - sut.size / 2) * sut.step;
  const double fy = (at / sut.size - sut.size / 2) * sut.step;
  EXPECT_NEAR(std::abs(fx), 0.11, 0.003);
  EXPECT_NEAR(fy / fx, 0.05 / 0.11, 0.05);  // it or its Friedel mate
}

TEST(Diffractogram, OfVeryLittleIsStillOne) {
  const std::vector<float> pixel{3.0f};
  const std::vector<std::uint32_t> weight{1};
  EXPECT_GT(diffractogram({1, 1, pixel, weight}, 0.5).size, 0);
  EXPECT_EQ(diffractogram({0, 0, {}, {}}, 0.5).size, 0);
}

}  // namespace
}  // namespace latticed
