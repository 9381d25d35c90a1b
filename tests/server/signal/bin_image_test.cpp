// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/signal/bin_image.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>

namespace latticed::signal {
namespace {

struct Image {
  FrameGeometry geometry;
  std::vector<std::byte> bytes;
  std::vector<double> values;  // the same, as numbers
};

template <class Raw>
Image random_image(PixelType type, int width, int height, double low, double high) {
  Image out{{width, height, type}, {}, {}};
  std::mt19937_64 random(11);
  std::uniform_real_distribution<double> value(low, high);
  std::vector<Raw> pixels(out.geometry.pixels());
  for (Raw& pixel : pixels) {
    pixel = static_cast<Raw>(value(random));
    out.values.push_back(static_cast<double>(pixel));
  }
  out.bytes.resize(out.geometry.bytes());
  std::memcpy(out.bytes.data(), pixels.data(), out.bytes.size());
  return out;
}

std::vector<Image> images_of_all_types(int width, int height) {
  return {random_image<std::uint8_t>(PixelType::u8, width, height, 0, 255.99),
          random_image<std::int8_t>(PixelType::i8, width, height, -128, 127.99),
          random_image<std::uint16_t>(PixelType::u16, width, height, 0, 65535.99),
          random_image<std::int16_t>(PixelType::i16, width, height, -32768, 32767.99),
          random_image<std::uint32_t>(PixelType::u32, width, height, 0, 4.2e9),
          random_image<std::int32_t>(PixelType::i32, width, height, -2.1e9, 2.1e9),
          random_image<float>(PixelType::f32, width, height, -5.0, 90.0)};
}

struct Binned {
  ImageStatistics statistics;
  std::vector<float> cells;
};

Binned run(const Image& image, const AnalysisGrid& grid, const CorrectionMaps& maps = {},
           double saturation = 0.0) {
  Binned out;
  out.cells.resize(static_cast<std::size_t>(grid.width) * static_cast<std::size_t>(grid.height));
  std::vector<float> scratch(static_cast<std::size_t>(image.geometry.width));
  out.statistics = bin_image(image.bytes, image.geometry, grid, maps,
                             HotPixelRepair(grid, image.geometry, maps.hot_pixels), saturation,
                             scratch, out.cells);
  return out;
}

AnalysisGrid grid_of(const Image& image, int bin, Region region = {}) {
  return make_grid(image.geometry, bin, region, 0.8).value();
}

// What a cell should be, by the letter of the header: corrected pixels summed; a cell with hot
// pixels is the mean of its other pixels times the area, of its surroundings when all are hot.
std::vector<double> naive(const Image& image, const AnalysisGrid& grid,
                          const CorrectionMaps& maps) {
  const int width = image.geometry.width, height = image.geometry.height, bin = grid.bin;
  const auto is_hot = [&](std::size_t i) {
    return std::find(maps.hot_pixels.begin(), maps.hot_pixels.end(), i) != maps.hot_pixels.end();
  };
  std::vector<double> out;
  for (int cy = 0; cy < grid.height; ++cy)
    for (int cx = 0; cx < grid.width; ++cx) {
      double sum = 0.0;
      int good = 0;
      for (int reach = 0; good == 0 && reach < 5; ++reach)
        for (int y = grid.y0 + cy * bin - reach; y < grid.y0 + (cy + 1) * bin + reach; ++y)
          for (int x = grid.x0 + cx * bin - reach; x < grid.x0 + (cx + 1) * bin + reach; ++x) {
            if (x < 0 || y < 0 || x >= width || y >= height) continue;
            const auto i = static_cast<std::size_t>(y * width + x);
            if (is_hot(i)) continue;
            double value = image.values[i];
            if (!maps.dark.empty()) value -= static_cast<double>(maps.dark[i]);
            if (!maps.gain.empty()) value *= static_cast<double>(maps.gain[i]);
            sum += value;
            ++good;
          }
      out.push_back(sum / good * bin * bin);
    }
  return out;
}

CorrectionMaps random_maps(const Image& image, bool dark, bool gain, bool hot) {
  CorrectionMaps maps;
  std::mt19937_64 random(3);
  std::normal_distribution<float> offset(2.0f, 0.5f), factor(1.0f, 0.1f);
  for (std::size_t i = 0; i < image.geometry.pixels(); ++i) {
    if (dark) maps.dark.push_back(offset(random));
    if (gain) maps.gain.push_back(factor(random));
  }
  const auto width = static_cast<std::uint32_t>(image.geometry.width);
  // One alone, a pair of neighbours, a block of 5 x 5 that fills whole cells, and the last pixel.
  if (hot) {
    maps.hot_pixels = {3, 4, width + 9};
    for (std::uint32_t y = 8; y < 13; ++y)
      for (std::uint32_t x = 12; x < 17; ++x) maps.hot_pixels.push_back(y * width + x);
    maps.hot_pixels.push_back(static_cast<std::uint32_t>(image.geometry.pixels() - 1));
  }
  return maps;
}

void expect_cells(const Binned& sut, const std::vector<double>& expected, const char* what) {
  double scale = 1.0;
  for (double value : expected) scale = std::max(scale, std::abs(value));
  ASSERT_EQ(sut.cells.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i)  // sums of up to 16 rounded floats
    ASSERT_NEAR(sut.cells[i], expected[i], 2e-6 * scale) << what << ", cell " << i;
}

TEST(BinImage, SumsPixelsOfEveryTypeAndBin) {
  for (const Image& image : images_of_all_types(67, 58))
    for (int bin : {1, 2, 3, 4}) {
      const AnalysisGrid grid = grid_of(image, bin);
      const Binned sut = run(image, grid);
      expect_cells(sut, naive(image, grid, {}), to_string(image.geometry.type).data());
      double low = 1e300, high = -1e300;
      for (int y = grid.y0; y < grid.y0 + grid.height * bin; ++y)
        for (int x = grid.x0; x < grid.x0 + grid.width * bin; ++x) {
          low = std::min(low, image.values[static_cast<std::size_t>(y * 67 + x)]);
          high = std::max(high, image.values[static_cast<std::size_t>(y * 67 + x)]);
        }
      EXPECT_FLOAT_EQ(static_cast<float>(sut.statistics.raw_min), static_cast<float>(low));
      EXPECT_FLOAT_EQ(static_cast<float>(sut.statistics.raw_max), static_cast<float>(high));
    }
}

TEST(BinImage, CorrectsByDarkGainAndHotPixels) {
  for (const Image& image : images_of_all_types(61, 50))
    for (int bin : {1, 2, 3, 4})
      for (int which = 1; which < 8; ++which) {
        const CorrectionMaps maps = random_maps(image, which & 1, which & 2, which & 4);
        const AnalysisGrid grid = grid_of(image, bin);
        expect_cells(run(image, grid, maps), naive(image, grid, maps),
                     to_string(image.geometry.type).data());
      }
}

TEST(BinImage, MeasuresOnlyTheRegion) {
  const Image image = random_image<std::uint16_t>(PixelType::u16, 90, 70, 0, 3000);
  for (int bin : {1, 2, 3}) {
    const AnalysisGrid grid = grid_of(image, bin, {17, 5, 61, 53});
    const CorrectionMaps maps = random_maps(image, true, true, true);
    expect_cells(run(image, grid, maps), naive(image, grid, maps), "region");
  }
}

TEST(BinImage, TakesTheFastPathToTheSameCells) {
  const Image image = random_image<std::uint16_t>(PixelType::u16, 131, 94, 0, 65535.99);
  CorrectionMaps unity;  // a gain of one sends the same frame down the general path
  unity.gain.assign(image.geometry.pixels(), 1.0f);
  for (int bin : {1, 2, 4})
    for (const Region& region : {Region{}, Region{3, 1, 90, 77}}) {
      const AnalysisGrid grid = grid_of(image, bin, region);
      const Binned fast = run(image, grid), general = run(image, grid, unity);
      EXPECT_EQ(fast.cells, general.cells);  // whole numbers below 2^24: no rounding at all
      EXPECT_EQ(fast.statistics.raw_min, general.statistics.raw_min);
      EXPECT_EQ(fast.statistics.raw_max, general.statistics.raw_max);
      EXPECT_EQ(fast.statistics.plane.b, general.statistics.plane.b);
    }
}

TEST(BinImage, FitsAPlaneExactly) {
  Image image{{101, 83, PixelType::f32}, {}, {}};
  std::vector<float> pixels;
  for (int y = 0; y < 83; ++y)
    for (int x = 0; x < 101; ++x) pixels.push_back(static_cast<float>(40.0 + 0.25 * x - 0.125 * y));
  image.bytes.resize(image.geometry.bytes());
  std::memcpy(image.bytes.data(), pixels.data(), image.bytes.size());
  for (int bin : {1, 2, 3}) {
    const AnalysisGrid grid = grid_of(image, bin);
    const ImageStatistics sut = run(image, grid).statistics;
    // In cells: a cell sums bin^2 pixels, and its middle is half a bin from its corner.
    const double area = bin * bin, middle = (bin - 1) / 2.0;
    EXPECT_NEAR(sut.plane.b, 0.25 * bin * area, 1e-6 * area);
    EXPECT_NEAR(sut.plane.c, -0.125 * bin * area, 1e-6 * area);
    EXPECT_NEAR(sut.plane.a, (40.0 + 0.25 * (grid.x0 + middle) - 0.125 * (grid.y0 + middle)) * area,
                1e-4 * area);
  }
}

TEST(BinImage, FitsThePlaneByLeastSquares) {
  const Image image = random_image<float>(PixelType::f32, 48, 36, 0, 10);
  const AnalysisGrid grid = grid_of(image, 1);
  const Binned sut = run(image, grid);
  // The residual of a least-squares fit knows nothing of 1, x and y.
  double one = 0.0, x_sum = 0.0, y_sum = 0.0, mean = 0.0;
  for (int y = 0; y < grid.height; ++y)
    for (int x = 0; x < grid.width; ++x) {
      const double cell =
          static_cast<double>(sut.cells[static_cast<std::size_t>(y * grid.width + x)]);
      const Plane& plane = sut.statistics.plane;
      const double residual = cell - plane.a - plane.b * x - plane.c * y;
      one += residual;
      x_sum += residual * x;
      y_sum += residual * y;
      mean += cell / (grid.width * grid.height);
    }
  EXPECT_NEAR(one, 0.0, 0.01);
  EXPECT_NEAR(x_sum, 0.0, 0.5);  // of a sum of 400 000: float rounding of the row sums
  EXPECT_NEAR(y_sum, 0.0, 0.5);
  EXPECT_NEAR(sut.statistics.mean, mean, 1e-5);
}

TEST(BinImage, CountsPixelsAtTheCeiling) {
  Image image = random_image<std::uint16_t>(PixelType::u16, 64, 64, 0, 4000);
  auto* pixels = reinterpret_cast<std::uint16_t*>(image.bytes.data());
  for (std::size_t i : {5u, 700u, 701u, 4095u}) pixels[i] = 65535;
  for (int bin : {1, 2}) {
    const AnalysisGrid grid = grid_of(image, bin);
    EXPECT_EQ(run(image, grid).statistics.at_ceiling, 4u);
    EXPECT_EQ(run(image, grid, {}, 65536.0).statistics.at_ceiling, 0u);
  }
  std::size_t above = 0;
  for (std::size_t i = 0; i < 4096; ++i) above += pixels[i] >= 2000 ? 1 : 0;
  EXPECT_EQ(run(image, grid_of(image, 2), {}, 2000.0).statistics.at_ceiling, above);
}

TEST(BinImage, TakesTheMeanForWhatIsNoNumber) {
  Image image = random_image<float>(PixelType::f32, 64, 48, 10, 20);
  auto* pixels = reinterpret_cast<float*>(image.bytes.data());
  const float no_number = std::numeric_limits<float>::quiet_NaN();
  const float infinite = std::numeric_limits<float>::infinity();
  pixels[64 * 5 + 7] = no_number;
  pixels[64 * 9 + 30] = infinite;
  pixels[64 * 20 + 2] = -infinite;
  for (int bin : {1, 2}) {
    const Binned sut = run(image, grid_of(image, bin));
    EXPECT_EQ(sut.statistics.not_finite, 3u);
    EXPECT_NEAR(sut.statistics.mean, 15.0, 0.3);
    for (float cell : sut.cells) ASSERT_TRUE(std::isfinite(cell));
    const auto width = static_cast<std::size_t>(64 / bin), at = 5 / static_cast<std::size_t>(bin);
    EXPECT_NEAR(
        sut.cells[width * at + 7 / static_cast<std::size_t>(bin)] / static_cast<float>(bin * bin),
        15.0, 0.3);
  }
}

TEST(BinImage, SeesExtremesInRowsThatBeginWithoutANumber) {
  Image image = random_image<float>(PixelType::f32, 64, 48, 10, 20);
  auto* pixels = reinterpret_cast<float*>(image.bytes.data());
  // A scan's flyback column without values.
  for (std::size_t y = 0; y < 48; ++y) pixels[64 * y] = std::numeric_limits<float>::quiet_NaN();
  pixels[64 * 20 + 11] = 500.0f;
  pixels[64 * 21 + 11] = -7.0f;
  const ImageStatistics sut = run(image, grid_of(image, 1), {}, 400.0).statistics;
  EXPECT_EQ(sut.raw_max, 500.0);
  EXPECT_EQ(sut.raw_min, -7.0);
  EXPECT_EQ(sut.at_ceiling, 1u);
  EXPECT_EQ(sut.not_finite, 48u);
}

}  // namespace
}  // namespace latticed::signal
