// SPDX-License-Identifier: GPL-3.0-or-later
// The reflections stand where they are known to be.
#include "server/live/fourier_view.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace latticed::test {
namespace {

std::vector<std::uint16_t> wave(int width, int height, double fx, double fy) {
  std::vector<std::uint16_t> out;
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      out.push_back(static_cast<std::uint16_t>(
          std::lround(1000.0 + 200.0 * std::cos(2.0 * std::numbers::pi * (fx * x + fy * y)))));
  return out;
}

struct Peak {
  double fx = 0.0, fy = 0.0;  // cycles per raw pixel
};
/// The strongest pixel of the right half, middle column left out.
Peak strongest(const FourierView::Picture& picture) {
  const int middle = picture.side / 2;
  Peak best;
  float most = -1e9f;
  for (int y = 0; y < picture.side; ++y)
    for (int x = middle + 1; x < picture.side; ++x) {
      const float value = picture.log_magnitude[static_cast<std::size_t>(y * picture.side + x)];
      if (value <= most) continue;
      most = value;
      best = {(x - middle) * picture.step, (y - middle) * picture.step};
    }
  return best;
}

struct Case {
  int width, height, bin, side;
};

class FourierViewTest : public testing::TestWithParam<Case> {};

TEST_P(FourierViewTest, AWaveIsAPeakAtItsFrequency) {
  const Case c = GetParam();
  const FrameGeometry geometry{c.width, c.height, PixelType::u16};
  const auto grid = signal::make_grid(geometry, c.bin, {}, 0.8).value();
  FourierView view(grid, geometry, {});
  for (const auto& [fx, fy] : {std::pair{0.11, 0.05}, {0.06, -0.13}, {0.2, 0.0}}) {
    const auto image = wave(c.width, c.height, fx, fy);
    const auto picture = view.draw(std::as_bytes(std::span(image)), {}, c.side);
    ASSERT_LE(picture.side, c.side);
    ASSERT_EQ(picture.log_magnitude.size(),
              static_cast<std::size_t>(picture.side) * static_cast<std::size_t>(picture.side));
    const Peak peak = strongest(picture);
    // Half a pixel of the picture and half a frequency of the axis.
    const double along_x = 0.51 * (picture.step + 1.0 / (grid.width * grid.bin));
    const double along_y = 0.51 * (picture.step + 1.0 / (grid.height * grid.bin));
    EXPECT_NEAR(peak.fx, fx, along_x);
    EXPECT_NEAR(peak.fy, fy, along_y);
  }
}

INSTANTIATE_TEST_SUITE_P(Sizes, FourierViewTest,
                         testing::Values(Case{128, 128, 1, 128}, Case{256, 256, 1, 64},
                                         Case{256, 256, 2, 512}, Case{200, 120, 1, 100},
                                         Case{120, 200, 1, 200}));

TEST(FourierView, IsTheSameTurnedBy180Degrees) {
  const FrameGeometry geometry{128, 128, PixelType::u16};
  FourierView view(signal::make_grid(geometry, 1, {}, 0.8).value(), geometry, {});
  const auto image = wave(128, 128, 0.06, -0.13);
  const auto picture = view.draw(std::as_bytes(std::span(image)), {}, 128);
  const int middle = picture.side / 2;
  const auto at = [&](int u, int v) {
    return picture
        .log_magnitude[static_cast<std::size_t>((middle + v) * picture.side + middle + u)];
  };
  for (int v = -20; v <= 20; ++v)
    for (int u = -20; u <= 20; ++u) EXPECT_NEAR(at(u, v), at(-u, -v), 1e-3);
}

TEST(FourierView, APixelIsTheLogarithmOfTheMeanMagnitudeOfItsFrequencies) {
  const FrameGeometry geometry{64, 64, PixelType::u16};
  FourierView view(signal::make_grid(geometry, 1, {}, 0.8).value(), geometry, {});
  auto image = wave(64, 64, 0.06, -0.13);
  for (std::size_t i = 0; i < image.size(); ++i)
    image[i] = static_cast<std::uint16_t>(image[i] + i * 7919 % 97);
  const auto raw = std::as_bytes(std::span(image));
  const auto fine = view.draw(raw, {}, 64);  // a pixel, a frequency
  const auto coarse = view.draw(raw, {}, 16);
  ASSERT_EQ(fine.side, 64);
  ASSERT_EQ(coarse.side, 16);
  for (int y = 1; y < 15; ++y)
    for (int x = 1; x < 15; ++x) {
      double sum = 0.0;
      for (int ky = 4 * (y - 8) - 2; ky < 4 * (y - 8) + 2; ++ky)
        for (int kx = 4 * (x - 8) - 2; kx < 4 * (x - 8) + 2; ++kx)
          sum += std::exp(static_cast<double>(
              fine.log_magnitude[static_cast<std::size_t>((ky + 32) * 64 + kx + 32)]));
      EXPECT_NEAR(coarse.log_magnitude[static_cast<std::size_t>(y * 16 + x)], std::log(sum / 16.0),
                  1e-5)
          << x << ", " << y;
    }
}

// By Parseval: no magnitude is missing, none is twice there, and the logarithm is one.
TEST(FourierView, HasThePowerOfTheWindowedImage) {
  constexpr int kSide = 64;
  const FrameGeometry geometry{kSide, kSide, PixelType::u16};
  FourierView view(signal::make_grid(geometry, 1, {}, 0.8).value(), geometry, {});
  std::vector<std::uint16_t> image;
  for (std::size_t i = 0; i < std::size_t{kSide} * kSide; ++i)
    image.push_back(static_cast<std::uint16_t>(500 + (i * 2654435761u >> 7) % 1000));
  const auto picture = view.draw(std::as_bytes(std::span(image)), {}, kSide);
  double power = 0.0;
  for (const float value : picture.log_magnitude)
    power += std::exp(2.0 * static_cast<double>(value));
  // An even spread of 1000 has a variance of 1000^2 / 12, a Hann window a mean square of (3/8)^2.
  const double expected = std::pow(kSide, 4) * 1e6 / 12.0 * 9.0 / 64.0;
  EXPECT_NEAR(power / expected, 1.0, 0.1);
}

}  // namespace
}  // namespace latticed::test
