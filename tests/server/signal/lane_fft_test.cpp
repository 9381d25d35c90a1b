// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/signal/lane_fft.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <complex>
#include <cstring>
#include <numbers>
#include <random>

#include "server/signal/taper.hpp"

namespace latticed::signal {
namespace {

using Value = std::complex<double>;

/// The textbook's recursion in double precision, for lengths that are powers of two.
void transform_plainly(std::vector<Value>& x) {
  const std::size_t half = x.size() / 2;
  if (half == 0) return;
  std::vector<Value> even(half), odd(half);
  for (std::size_t i = 0; i < half; ++i) even[i] = x[2 * i], odd[i] = x[2 * i + 1];
  transform_plainly(even);
  transform_plainly(odd);
  for (std::size_t k = 0; k < half; ++k) {
    const Value turned =
        std::polar(1.0, -std::numbers::pi * static_cast<double>(k) / static_cast<double>(half)) *
        odd[k];
    x[k] = even[k] + turned;
    x[k + half] = even[k] - turned;
  }
}

AnalysisGrid grid_of(int width, int height, double band) {
  return make_grid({width, height, PixelType::f32}, 1, {}, band).value();
}

std::vector<float> random_cells(const AnalysisGrid& grid) {
  std::mt19937_64 random(37);
  std::normal_distribution<float> value(0.0f, 1.0f);
  std::vector<float> out(static_cast<std::size_t>(grid.width) *
                         static_cast<std::size_t>(grid.height));
  for (float& cell : out) cell = value(random);
  return out;
}

struct Slopes {
  float offset = 0.0f, slope = 0.0f;  // offset of row y: offset x y
};

struct Case {
  AnalysisGrid grid;
  std::vector<float> cells, taper_x, taper_y;
  Slopes plane{0x1p-5f, -0x1p-6f};  // is in the cells, and taken out, exactly

  explicit Case(const AnalysisGrid& of)
      : grid(of),
        cells(random_cells(of)),
        taper_x(tukey(of.width, 0.25)),
        taper_y(tukey(of.height, 0.3)) {
    for (int y = 0; y < of.height; ++y)
      for (int x = 0; x < of.width; ++x)
        cells[static_cast<std::size_t>(y) * taper_x.size() + static_cast<std::size_t>(x)] +=
            plane.offset * static_cast<float>(y) + plane.slope * static_cast<float>(x);
  }

  [[nodiscard]] Spectrum transform(LaneFft::Lanes lanes) const {
    const LaneFft sut(grid, lanes);
    AlignedBuffer<float> scratch(sut.scratch_size());
    Spectrum out(grid.spectrum_size());
    RowBlockTaper taper;
    taper.taper_x = taper_x.data();
    taper.slope = plane.slope;
    for (int y0 = 0; y0 < grid.height; y0 += LaneFft::kRows) {
      for (int r = 0; r < LaneFft::kRows; ++r) {
        taper.taper_y[r] = taper_y[static_cast<std::size_t>(y0 + r)];
        taper.at_0[r] = plane.offset * static_cast<float>(y0 + r);
      }
      sut.transform_rows(cells.data() + static_cast<std::ptrdiff_t>(y0) * grid.width, taper, y0,
                         scratch.data(), out);
    }
    for (int kx = 0; kx < grid.kx_count; ++kx) sut.transform_column(kx, scratch.data(), out);
    return out;
  }

  /// Column kx after column kx.
  [[nodiscard]] std::vector<std::vector<Value>> expected() const {
    const auto w = static_cast<std::size_t>(grid.width), h = static_cast<std::size_t>(grid.height);
    std::vector<std::vector<Value>> columns(w / 2 + 1, std::vector<Value>(h));
    for (std::size_t y = 0; y < h; ++y) {
      std::vector<Value> row(w);
      for (std::size_t x = 0; x < w; ++x)
        row[x] = (static_cast<double>(cells[y * w + x]) -
                  static_cast<double>(plane.offset) * static_cast<double>(y) -
                  static_cast<double>(plane.slope) * static_cast<double>(x)) *
                 static_cast<double>(taper_x[x]) * static_cast<double>(taper_y[y]);
      transform_plainly(row);
      for (std::size_t kx = 0; kx < columns.size(); ++kx) columns[kx][y] = row[kx];
    }
    for (auto& column : columns) transform_plainly(column);
    return columns;
  }
};

TEST(LaneFft, EqualsThePlainTransformInDoublePrecision) {
  const struct {
    int width, height;
    double band;
  } cases[] = {{256, 256, 0.8},  {512, 256, 1.0},  {256, 512, 0.8},
               {1024, 512, 0.4}, {512, 1024, 0.8}, {256, 2048, 1.0},
               {2048, 256, 0.8}, {4096, 256, 0.2}, {256, 4096, 0.2}};
  for (const auto& c : cases) {
    const Case sample(grid_of(c.width, c.height, c.band));
    const auto expected = sample.expected();
    const Spectrum found = sample.transform(LaneFft::available().back());
    // Values of size sqrt(W H); float rounding grows with the logarithm of the size: a few units
    // in the last place.
    const double allowed = 1e-6 * std::sqrt(static_cast<double>(c.width) * c.height);
    double sum_squares = 0.0;
    for (int kx = 0; kx < sample.grid.kx_count; ++kx)
      for (int ky = 0; ky < c.height; ++ky) {
        const Value value = expected[static_cast<std::size_t>(kx)][static_cast<std::size_t>(ky)];
        const double error = std::abs(Value(found[sample.grid.at(kx, ky)]) - value);
        sum_squares += error * error;
        ASSERT_LT(error, 4.0 * allowed) << c.width << "x" << c.height << " " << kx << ", " << ky;
      }
    EXPECT_LT(std::sqrt(sum_squares / (sample.grid.kx_count * c.height)), 0.4 * allowed);
  }
}

TEST(LaneFft, GivesTheSameBitsWhateverVectorsTheProcessorHas) {
  for (const auto& grid : {grid_of(256, 512, 0.8), grid_of(1024, 256, 1.0)}) {
    const Case sample(grid);
    const Spectrum plain = sample.transform(LaneFft::Lanes::four);
    for (LaneFft::Lanes lanes : LaneFft::available()) {
      const Spectrum other = sample.transform(lanes);
      EXPECT_EQ(std::memcmp(plain.data(), other.data(), plain.size() * sizeof(Complex)), 0)
          << static_cast<int>(lanes);
    }
  }
}

TEST(LaneFft, LeavesThePaddingBetweenColumnsAlone) {
  const Case sample(grid_of(256, 256, 0.8));
  const Spectrum out = sample.transform(LaneFft::available().back());
  for (int kx = 0; kx < sample.grid.kx_count; ++kx)
    for (std::size_t row = 256; row < sample.grid.column_stride; ++row)
      ASSERT_EQ(out[sample.grid.at(kx, 0) + row], Complex{}) << "detection reads whole chunks";
}

TEST(LaneFft, IsForPowersOfTwoThatFillItsVectors) {
  EXPECT_TRUE(LaneFft::fits(grid_of(256, 4096, 0.8)));
  EXPECT_FALSE(LaneFft::fits(grid_of(128, 256, 0.8)));
  EXPECT_FALSE(LaneFft::fits(grid_of(256, 240, 0.8)));
  EXPECT_FALSE(LaneFft::fits(grid_of(960, 960, 0.8)));
}

}  // namespace
}  // namespace latticed::signal
