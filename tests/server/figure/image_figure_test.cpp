// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/figure/image_figure.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <numeric>

namespace latticed {
namespace {

ImageFigure grey_image(int width, int height) {
  ImageFigure figure;
  figure.width = width;
  figure.height = height;
  figure.pixels.resize(static_cast<std::size_t>(width * height));
  std::iota(figure.pixels.begin(), figure.pixels.end(), 0.0f);
  return figure;
}

/// The longest run of pure white inside the picture's margins.
int longest_white_run(const Picture& picture) {
  int longest = 0;
  for (int y = 20; y < picture.height - 20; ++y) {
    int run = 0;
    for (int x = 20; x < picture.width - 20; ++x) {
      run = picture.at(x, y) == Colour{255, 255, 255} ? run + 1 : 0;
      longest = std::max(longest, run);
    }
  }
  return longest;
}

TEST(ImageFigure, DrawsAScaleBarOfARoundLength) {
  ImageFigure figure = grey_image(512, 512);
  std::fill(figure.pixels.begin(), figure.pixels.end(), 7.0f);  // no white of its own
  figure.scale = 0.0092024;
  EXPECT_NEAR(longest_white_run(figure.draw()), 1.0 / 0.0092024, 1.5);  // 1 nm of 4.7 nm
  figure.scale = 0.02;
  EXPECT_NEAR(longest_white_run(figure.draw()), 2.0 / 0.02, 1.5);  // 2 nm of 10.2 nm
}

TEST(ImageFigure, DrawsNoScaleBarWithoutAScale) {
  ImageFigure figure = grey_image(512, 512);
  std::fill(figure.pixels.begin(), figure.pixels.end(), 7.0f);
  EXPECT_EQ(longest_white_run(figure.draw()), 0);
}

TEST(ImageFigure, EnlargesSmallImagesToTheSizeAskedFor) {
  ImageFigure figure = grey_image(16, 8);
  figure.long_side = 400;
  const Picture picture = figure.draw();
  EXPECT_GE(picture.width, 400);
  EXPECT_LE(picture.width, 440);
  EXPECT_GE(picture.height, 200);
  EXPECT_LE(picture.height, 240);
}

TEST(ImageFigure, IgnoresOutliersInItsContrast) {
  ImageFigure figure = grey_image(100, 100);
  const Picture before = figure.draw();
  figure.pixels[5050] = 1e9f;
  const Picture after = figure.draw();
  const Colour a = before.at(before.width / 4, before.height / 4);
  const Colour b = after.at(after.width / 4, after.height / 4);
  EXPECT_NEAR(a.r, b.r, 2);
}

TEST(ImageFigure, KeepsAContrastItIsGiven) {
  ImageFigure figure = grey_image(4, 1);
  figure.pixels = {0.0f, 10.0f, 20.0f, 30.0f};
  figure.contrast = {0.0, 100.0};
  const Picture picture = figure.draw();
  const auto grey = [&](int i) { return picture.at(14 + 64 + 128 * i, picture.height / 2).r; };
  EXPECT_NEAR(grey(1), 25.5, 1.0);  // 10 of 100
  EXPECT_NEAR(grey(3), 76.5, 1.0);  // not stretched to white
}

TEST(ImageFigure, CarriesItsBadgeInsideTheImage) {
  ImageFigure figure = grey_image(512, 512);
  std::fill(figure.pixels.begin(), figure.pixels.end(), 7.0f);
  const auto coloured = [](const Picture& picture) {
    int count = 0;
    for (int y = 14; y < picture.height / 4; ++y) {
      for (int x = 14; x < picture.width / 2; ++x) {
        const Colour is = picture.at(x, y);
        count += is.r > is.g + 50 ? 1 : 0;
      }
    }
    return count;
  };
  EXPECT_EQ(coloured(figure.draw()), 0);
  figure.badge = "REHEARSAL";
  EXPECT_GT(coloured(figure.draw()), 500);
}

TEST(ImageFigure, ShowsMaskedPixelsAsMaskedAndZeroOfADivergingMapAsWhite) {
  ImageFigure figure = grey_image(4, 1);
  figure.colours = ColourMap::diverging;
  figure.pixels = {-1.0f, 0.0f, std::numeric_limits<float>::quiet_NaN(), 1.0f};
  const Picture picture = figure.draw();
  const auto pixel = [&](int i) { return picture.at(14 + 64 + 128 * i, picture.height / 2); };
  EXPECT_GT(pixel(0).b, pixel(0).r);
  EXPECT_GT(pixel(1).r, 240);
  EXPECT_EQ(pixel(2), (Colour{176, 176, 176}));
  EXPECT_GT(pixel(3).r, pixel(3).b);
}

TEST(ImageFigure, RingsASpotWhereItIs) {
  ImageFigure figure = grey_image(128, 128);
  std::fill(figure.pixels.begin(), figure.pixels.end(), 0.0f);
  const Colour green{0, 255, 0};
  figure.marks = {{32.0, 96.0, 5.0, "", green}};
  const Picture picture = figure.draw();
  double x = 0.0;
  double y = 0.0;
  double count = 0.0;
  for (int row = 0; row < picture.height; ++row) {
    for (int column = 0; column < picture.width; ++column) {
      const Colour is = picture.at(column, row);
      if (is.g < 200 || is.r > 60) continue;
      x += column;
      y += row;
      ++count;
    }
  }
  ASSERT_GT(count, 30.0);
  EXPECT_NEAR(x / count, 14.0 + 32.5 * 4.0 - 0.5, 1.0);  // 512 / 128 = 4 for a pixel
  EXPECT_NEAR(y / count, 14.0 + 96.5 * 4.0 - 0.5, 1.0);
}

TEST(ImageFigure, DrawsWhateverItIsGiven) {
  ImageFigure none;
  EXPECT_GT(none.draw().width, 0);
  ImageFigure wrong = grey_image(10, 10);
  wrong.pixels.pop_back();
  EXPECT_GT(wrong.draw().width, 0);
  ImageFigure odd = grey_image(300, 1);
  odd.intensity = Intensity::logarithmic;
  odd.bar_label = "log10 of magnitude";
  odd.pixels[3] = -1.0f;
  odd.pixels[4] = std::numeric_limits<float>::infinity();
  odd.scale = 1e-9;
  odd.marks = {{-1e6, 1e6, 1e5, "far away", {}}, {0.0, 0.0, 0.0, std::string(300, 'x'), {}}};
  EXPECT_GT(odd.draw().width, 0);
}

}  // namespace
}  // namespace latticed
