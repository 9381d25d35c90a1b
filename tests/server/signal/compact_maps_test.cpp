// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/signal/compact_maps.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <random>
#include <tuple>

#include "server/signal/bin_image.hpp"

namespace latticed::signal {
namespace {

struct Case {
  FrameGeometry geometry;
  AnalysisGrid grid;
  CorrectionMaps maps;
  std::vector<std::uint16_t> raw;
};

Case random_case(int width, int height, int bin, Region region = {}, double most = 65535.99) {
  Case out;
  out.geometry = {width, height, PixelType::u16};
  out.grid = make_grid(out.geometry, bin, region, 0.8).value();
  std::mt19937_64 random(static_cast<std::uint64_t>(width * 10 + bin));
  std::uniform_real_distribution<double> counts(0.0, most);
  std::normal_distribution<float> dark(100.0f, 3.0f), gain(1.0f, 0.1f);
  for (std::size_t i = 0; i < out.geometry.pixels(); ++i) {
    out.raw.push_back(static_cast<std::uint16_t>(counts(random)));
    out.maps.dark.push_back(dark(random));
    out.maps.gain.push_back(gain(random));
  }
  return out;
}

std::vector<float> binned(const Case& c, const CompactMaps& compact,
                          const std::vector<std::uint32_t>& hot = {}) {
  std::vector<float> cells(static_cast<std::size_t>(c.grid.width) *
                           static_cast<std::size_t>(c.grid.height));
  std::vector<float> scratch(static_cast<std::size_t>(c.geometry.width));
  (void)bin_image(std::as_bytes(std::span(c.raw)), c.geometry, c.grid, c.maps,
                  HotPixelRepair(c.grid, c.geometry, hot), 0.0, scratch, cells, compact);
  return cells;
}

template <class Pixel>
double sum_of_cell(const Case& c, std::size_t cell, const Pixel& pixel) {
  const auto width = static_cast<std::size_t>(c.grid.width);
  const int x0 = c.grid.x0 + static_cast<int>(cell % width) * c.grid.bin;
  const int y0 = c.grid.y0 + static_cast<int>(cell / width) * c.grid.bin;
  double sum = 0.0;
  for (int y = y0; y < y0 + c.grid.bin; ++y)
    for (int x = x0; x < x0 + c.grid.bin; ++x)
      sum += pixel(static_cast<std::size_t>(y * c.geometry.width + x));
  return sum;
}

// Sides that fill no vector, odd widths (rows at odd addresses), regions.
std::vector<Case> cases() {
  std::vector<Case> out;
  for (int bin : {1, 2, 4})
    for (int width : {64, 131, 257, 1030})
      for (const Region& region : {Region{}, Region{3, 1, 57, 49}})
        out.push_back(random_case(width, 70, bin, region));
  return out;
}

TEST(CompactMaps, AreOffByNoMoreThanTheRoundingOfTheGain) {
  for (const Case& c : cases()) {
    const CompactMaps sut(c.grid, c.geometry, c.maps);
    ASSERT_TRUE(sut.is_used());
    const std::vector<float> cells = binned(c, sut);
    for (std::size_t i = 0; i < cells.size(); ++i) {
      const std::vector<float>&dark = c.maps.dark, &gain = c.maps.gain;
      const double exact = sum_of_cell(c, i, [&](std::size_t p) {
        return (static_cast<double>(c.raw[p]) - static_cast<double>(dark[p])) *
               static_cast<double>(gain[p]);
      });
      const double light = sum_of_cell(c, i, [&](std::size_t p) {
        return std::abs(static_cast<double>(c.raw[p]) - static_cast<double>(dark[p]));
      });
      // And two roundings to float, of the sum and of the difference.
      const double allowed = light * CompactMaps::kGainStep / 2 + 2e-7 * (std::abs(exact) + 2000.0);
      ASSERT_NEAR(static_cast<double>(cells[i]), exact, allowed);
    }
  }
}

// What the header promises of the bits: whole numbers until two stated roundings. This is one plain
// way to compute them, so whichever version of the loops this processor runs must agree with it.
TEST(CompactMaps, GiveTheBitsOfTheDefinition) {
  for (const Case& c : cases()) {
    const std::vector<float> cells = binned(c, CompactMaps(c.grid, c.geometry, c.maps));
    const auto steps = [&](std::size_t p) {
      return std::round(static_cast<double>(c.maps.gain[p]) * 32768.0);
    };
    for (std::size_t i = 0; i < cells.size(); ++i) {
      // Both exact in double: 36 bits, and float(sum) is rounded once.
      const double light = sum_of_cell(c, i, [&](std::size_t p) { return c.raw[p] * steps(p); });
      const double dark = sum_of_cell(c, i, [&](std::size_t p) {
        return static_cast<double>(c.maps.dark[p]) * (steps(p) / 32768.0);
      });
      const float expected = static_cast<float>(light / 32768.0) - static_cast<float>(dark);
      ASSERT_EQ(std::bit_cast<std::uint32_t>(cells[i]), std::bit_cast<std::uint32_t>(expected))
          << cells[i] << " for " << expected;
    }
  }
}

TEST(CompactMaps, AreFarBelowTheShotNoise) {
  // 10 electrons a pixel at 20 counts each, and a camera of one count an electron at its ceiling.
  for (const auto& [counts, sigma, share] :
       {std::tuple{300.0, 63.0, 1e-4}, std::tuple{65000.0, 255.0, 1.0 / 300}}) {
    const Case c = random_case(512, 512, 1, {}, counts);
    const std::vector<float> exact = binned(c, {});
    const std::vector<float> compact = binned(c, CompactMaps(c.grid, c.geometry, c.maps));
    double sum = 0.0;
    for (std::size_t i = 0; i < exact.size(); ++i) {
      const double error = static_cast<double>(compact[i]) - static_cast<double>(exact[i]);
      sum += error * error;
    }
    const double rms = std::sqrt(sum / static_cast<double>(exact.size()));
    EXPECT_GT(rms, 0.0);  // they were used
    EXPECT_LT(rms, share * sigma);
  }
}

TEST(CompactMaps, LeaveCellsWithGainsTheyCannotHoldToTheMaps) {
  Case c = random_case(128, 96, 2);
  for (const auto& [pixel, gain] :
       {std::pair<std::size_t, float>{7, 3.5f}, {128 * 5 + 40, -0.5f}, {128 * 95 + 127, 2.0f}})
    c.maps.gain[pixel] = gain;
  const CompactMaps sut(c.grid, c.geometry, c.maps);
  EXPECT_EQ(sut.exceptions(), (std::vector<std::uint32_t>{3, 64 * 2 + 20, 64 * 47 + 63}));
  const std::vector<float> cells = binned(c, sut), exact = binned(c, {});
  for (const std::uint32_t cell : sut.exceptions())
    EXPECT_NEAR(cells[cell], exact[cell], 1e-6f * (std::abs(exact[cell]) + 1000.0f));
}

TEST(CompactMaps, LeaveHotPixelsToTheirRepair) {
  Case c = random_case(128, 64, 2);
  const std::vector<std::uint32_t> hot{3, 200, 128 * 10 + 50};
  c.maps.gain[3] = 9.0f;  // hot, and an exception
  const std::vector<float> cells = binned(c, CompactMaps(c.grid, c.geometry, c.maps), hot);
  const std::vector<float> exact = binned(c, {}, hot);
  for (const std::uint32_t cell : {1u, 64u * 0 + 36u, 64u * 5 + 25u})
    EXPECT_EQ(cells[cell], exact[cell]);
}

TEST(CompactMaps, TakeADarkAloneOffExactSums) {
  Case c = random_case(131, 66, 2);
  c.maps.gain.clear();
  const CompactMaps sut(c.grid, c.geometry, c.maps);
  ASSERT_TRUE(sut.is_used());
  EXPECT_FALSE(sut.has_gain());
  const std::vector<float> cells = binned(c, sut);
  for (std::size_t i = 0; i < cells.size(); ++i) {
    const double light = sum_of_cell(c, i, [&](std::size_t p) { return c.raw[p]; });
    const double dark =
        sum_of_cell(c, i, [&](std::size_t p) { return static_cast<double>(c.maps.dark[p]); });
    ASSERT_EQ(cells[i], static_cast<float>(light) - static_cast<float>(dark));
  }
}

TEST(CompactMaps, AreNotUsedWhereTheyDoNotFit) {
  Case c = random_case(96, 96, 2);
  EXPECT_FALSE(CompactMaps().is_used());
  EXPECT_FALSE(CompactMaps(c.grid, c.geometry, {}).is_used());
  EXPECT_FALSE(
      CompactMaps(make_grid(c.geometry, 3, {}, 0.8).value(), c.geometry, c.maps).is_used());
  FrameGeometry floats = c.geometry;
  floats.type = PixelType::f32;
  EXPECT_FALSE(CompactMaps(c.grid, floats, c.maps).is_used());
  std::fill(c.maps.gain.begin(), c.maps.gain.end(), 2.5f);
  EXPECT_FALSE(CompactMaps(c.grid, c.geometry, c.maps).is_used());
}

}  // namespace
}  // namespace latticed::signal
