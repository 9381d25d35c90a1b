// SPDX-License-Identifier: GPL-3.0-or-later
#include "clients/latticectl/snapshot.hpp"

#include <gtest/gtest.h>

namespace latticed::latticectl {
namespace {

/// Flat grey with a bright upper half.
v1::Image half_bright(std::uint32_t side, v1::Encoding encoding) {
  v1::Image image;
  image.set_detector("haadf");
  image.set_kind(v1::IMAGE_KIND_RAW);
  image.set_seq(123);
  image.set_width(side);
  image.set_height(side);
  image.set_encoding(encoding);
  image.set_pixel_size(0.02);
  image.set_pixel_unit("nm");
  image.set_white(1000.0);
  image.set_unit("counts");
  const std::size_t bytes = encoding == v1::ENCODING_GRAY16 ? 2 : 1;
  for (std::uint32_t y = 0; y < side; ++y) {
    image.mutable_pixels()->append(side * bytes, y < side / 2 ? '\xff' : '\x40');
  }
  return image;
}

int red_pixels(const Picture& picture) {
  int count = 0;
  for (int y = 0; y < picture.height; ++y) {
    for (int x = 0; x < picture.width; ++x) {
      const Colour is = picture.at(x, y);
      count += is.r > is.g + 80 ? 1 : 0;
    }
  }
  return count;
}

TEST(Snapshot, ShowsGreyLevelsAsTheServerChoseThem) {
  for (const auto encoding : {v1::ENCODING_GRAY16, v1::ENCODING_GRAY8}) {
    const auto picture = draw_snapshot(half_bright(512, encoding));
    ASSERT_TRUE(picture) << picture.error().message;
    const int x = 300;  // inside the image, right of the scale bar
    EXPECT_NEAR(picture->at(x, 150).r, 255, 1);
    EXPECT_NEAR(picture->at(x, 450).r, 64, 1);
  }
}

TEST(Snapshot, SaysRehearsalInsideTheImage) {
  auto image = half_bright(64, v1::ENCODING_GRAY8);
  const auto real = draw_snapshot(image);
  image.mutable_stamp()->set_rehearsal(true);
  const auto rehearsed = draw_snapshot(image);
  ASSERT_TRUE(real && rehearsed);
  EXPECT_EQ(red_pixels(*real), 0);
  EXPECT_GT(red_pixels(*rehearsed), 500);
}

TEST(Snapshot, NamesDetectorKindAndFrame) {
  auto image = half_bright(64, v1::ENCODING_GRAY8);
  EXPECT_EQ(caption(image), "haadf  raw, frame 123");
  image.set_kind(v1::IMAGE_KIND_FFT);
  EXPECT_EQ(caption(image), "haadf  Fourier transform, frame 123");
}

TEST(Snapshot, RefusesPixelsThatAreNotWhatTheMessageSays) {
  auto image = half_bright(64, v1::ENCODING_GRAY8);
  image.set_width(65);
  EXPECT_FALSE(draw_snapshot(image));
  image = half_bright(64, v1::ENCODING_GRAY8);
  image.set_encoding(v1::ENCODING_JPEG);
  EXPECT_FALSE(draw_snapshot(image));
  EXPECT_FALSE(draw_snapshot(v1::Image()));
  image = half_bright(64, v1::ENCODING_GRAY16);
  image.set_width(0xffffffff);
  image.set_height(0xffffffff);
  EXPECT_FALSE(draw_snapshot(image));
}

}  // namespace
}  // namespace latticed::latticectl
