// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/signal/hot_pixels.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <random>

#include "tests/support/synthetic_scene.hpp"

namespace latticed::signal {
namespace {

using test::Scene;

constexpr int kSize = 128;

std::vector<std::byte> as_u16(const std::vector<float>& image) {
  std::vector<std::byte> out(image.size() * 2);
  for (std::size_t i = 0; i < image.size(); ++i) {
    const auto value = static_cast<std::uint16_t>(std::min(image[i], 65535.0f));
    std::memcpy(out.data() + 2 * i, &value, 2);
  }
  return out;
}

Scene drifting_scene(double counts) {
  Scene scene{.width = kSize, .height = kSize, .counts = counts};
  scene.lattice = test::layered_lattice();
  scene.film = std::make_shared<test::Film>(kSize, kSize, 4, 0.1);
  scene.radius = 40.0;
  return scene;
}

// In the middle, at the border, in the corners; neighbours too.
const std::vector<std::uint32_t> kPlanted{0,
                                          77,
                                          127,
                                          128 * 30 + 44,
                                          128 * 60,
                                          128 * 64 + 64,
                                          128 * 64 + 65,
                                          128 * 90 + 127,
                                          128 * 127,
                                          128 * 128 - 1};

TEST(HotPixelSearch, FindsThePlantedOnesAndNoOthers) {
  for (double counts : {10.0, 2.0}) {
    const Scene scene = drifting_scene(counts);
    test::ShotNoise noise(41);
    HotPixelSearch sut({kSize, kSize, PixelType::u16});
    for (int frame = 0; frame < 5; ++frame) {
      auto image = noise(test::expect(scene, {1.3 * frame, -0.7 * frame}));
      for (std::uint32_t pixel : kPlanted)
        image[pixel] += static_cast<float>(20.0 * std::sqrt(counts));
      sut.add(as_u16(image));
    }
    EXPECT_EQ(sut.frames(), 5);
    EXPECT_EQ(sut.found(), kPlanted) << counts;
  }
}

TEST(HotPixelSearch, FindsNoneWhereThereAreNone) {
  for (double counts : {40.0, 10.0, 2.0, 0.3}) {
    const Scene scene = drifting_scene(counts);
    test::ShotNoise noise(43);
    HotPixelSearch sut({kSize, kSize, PixelType::u16});
    for (int frame = 0; frame < 5; ++frame) sut.add(as_u16(noise(test::expect(scene))));
    EXPECT_TRUE(sut.found().empty()) << counts << ": " << sut.found().size();
  }
}

TEST(HotPixelSearch, LeavesTheSpecimensOwnBrightPointsThatMove) {
  test::ShotNoise noise(47);
  HotPixelSearch sut({kSize, kSize, PixelType::u16});
  for (std::size_t frame = 0; frame < 4; ++frame) {
    std::vector<float> image = noise(std::vector<float>(kSize * kSize, 10.0f));
    image[kSize * 50 + 30 + frame] += 300.0f;
    sut.add(as_u16(image));
  }
  EXPECT_TRUE(sut.found().empty());
}

TEST(HotPixelSearch, NeedsThreeFrames) {
  test::ShotNoise noise(53);
  HotPixelSearch sut({kSize, kSize, PixelType::u16});
  for (int frame = 0; frame < 3; ++frame) {
    EXPECT_TRUE(sut.found().empty()) << frame;
    std::vector<float> image = noise(std::vector<float>(kSize * kSize, 10.0f));
    image[700] += 300.0f;
    sut.add(as_u16(image));
  }
  EXPECT_EQ(sut.found(), std::vector<std::uint32_t>{700});
}

TEST(HotPixelSearch, RefusesWhenSoManyThatTheyAreStructure) {
  test::ShotNoise noise(59);
  const auto search = [&](int every) {
    HotPixelSearch sut({kSize, kSize, PixelType::u16});
    for (int frame = 0; frame < 3; ++frame) {
      std::vector<float> image = noise(std::vector<float>(kSize * kSize, 10.0f));
      for (int i = 0; i < kSize * kSize; i += every) image[static_cast<std::size_t>(i)] += 300.0f;
      sut.add(as_u16(image));
    }
    return sut.found().size();
  };
  EXPECT_EQ(search(67), 0u);     // 1.5 %
  EXPECT_EQ(search(151), 109u);  // 0.66 %
}

TEST(HotPixelsOfDark, AreThoseFarFromItsMedianOnEitherSide) {
  std::mt19937_64 random(61);
  std::normal_distribution<float> offset(100.0f, 2.0f);
  std::vector<float> dark(4096);
  for (float& value : dark) value = offset(random);
  dark[5] = 160.0f;
  dark[900] = 40.0f;  // dead
  dark[4000] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(hot_pixels_of_dark(dark), (std::vector<std::uint32_t>{5, 900, 4000}));
}

TEST(HotPixelsOfDark, AreFoundInADarkWithoutSpread) {
  std::vector<float> dark(4096, 0.0f);
  dark[17] = 5.0f;
  dark[18] = 0.5f;  // below a count and a fraction: not worth a repair
  EXPECT_EQ(hot_pixels_of_dark(dark), std::vector<std::uint32_t>{17});
  EXPECT_TRUE(hot_pixels_of_dark({}).empty());
}

}  // namespace
}  // namespace latticed::signal
