// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/signal/frame_fft.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cmath>
#include <csignal>
#include <filesystem>
#include <numbers>
#include <random>

namespace latticed::signal {
namespace {

using Value = std::complex<double>;
constexpr double kTwoPi = 2.0 * std::numbers::pi;

std::vector<float> random_image(int width, int height) {
  std::mt19937_64 random(29);
  std::normal_distribution<float> value(50.0f, 7.0f);
  std::vector<float> out(static_cast<std::size_t>(width * height));
  for (float& pixel : out) pixel = value(random);
  return out;
}

AnalysisGrid grid_of(int width, int height, double band) {
  AnalysisGrid grid = make_grid({64, 64, PixelType::f32}, 1, {}, band).value();
  // By hand, so that odd sizes come too: make_grid would never choose them.
  grid.width = width;
  grid.height = height;
  grid.kx_count = std::min(width / 2 + 1, static_cast<int>(std::ceil(band * width / 2.0)) + 1);
  grid.column_stride = static_cast<std::size_t>((height + 15) / 16 * 16 + 16);
  return grid;
}

Value direct(const FrameFft& fft, const std::vector<float>& image, const Plane& plane, int kx,
             int ky) {
  const AnalysisGrid& grid = fft.grid();
  Value sum{};
  for (int y = 0; y < grid.height; ++y)
    for (int x = 0; x < grid.width; ++x) {
      const double pixel = static_cast<double>(image[static_cast<std::size_t>(y * grid.width + x)]);
      const double weight = static_cast<double>(fft.taper_x()[static_cast<std::size_t>(x)]) *
                            static_cast<double>(fft.taper_y()[static_cast<std::size_t>(y)]);
      const double turn =
          static_cast<double>(kx * x) / grid.width + static_cast<double>(ky * y) / grid.height;
      sum +=
          (pixel - plane.a - plane.b * x - plane.c * y) * weight * std::polar(1.0, -kTwoPi * turn);
    }
  return sum;
}

TEST(FrameFft, EqualsTheDirectTransform) {
  const struct {
    int width, height;
  } sizes[] = {{16, 16}, {32, 48}, {20, 18}, {24, 35}, {36, 17}, {15, 21}, {42, 30}};
  for (const auto& size : sizes)
    for (double band : {0.8, 1.0}) {
      const AnalysisGrid grid = grid_of(size.width, size.height, band);
      const FrameFft sut(grid, 0.25);
      auto work = sut.make_workspace();
      Spectrum out(grid.spectrum_size());
      const auto image = random_image(size.width, size.height);
      const Plane plane{48.0, 0.07, -0.03};
      sut.execute(image.data(), plane, work, out);
      for (int kx = 0; kx < grid.kx_count; ++kx)
        for (int row = 0; row < grid.height; ++row) {
          const Value expected = direct(sut, image, plane, kx, row);
          // Float rounding of some 1000 terms of size 10: about 1e-7 x 10 x sqrt(1000) = 3e-5.
          ASSERT_NEAR(std::abs(Value(out[grid.at(kx, row)]) - expected), 0.0, 1e-3)
              << size.width << "x" << size.height << " at " << kx << ", " << row;
        }
    }
}

TEST(FrameFft, ShowsEveryFinishedColumnOnce) {
  struct Witness final : ColumnVisitor {
    const AnalysisGrid& grid;
    std::vector<int> seen;
    std::vector<Complex> kept;
    explicit Witness(const AnalysisGrid& of)
        : grid(of), seen(static_cast<std::size_t>(of.kx_count), 0), kept(of.spectrum_size()) {}
    void visit(int kx, const Complex* column) override {
      ++seen[static_cast<std::size_t>(kx)];
      std::copy_n(column, grid.height, kept.begin() + static_cast<std::ptrdiff_t>(grid.at(kx, 0)));
    }
  };
  const AnalysisGrid grid = grid_of(48, 40, 0.8);
  const FrameFft sut(grid, 0.25);
  auto work = sut.make_workspace();
  Spectrum out(grid.spectrum_size());
  Witness witness(grid);
  sut.execute(random_image(48, 40).data(), {}, work, out, &witness);
  for (int kx = 0; kx < grid.kx_count; ++kx) {
    EXPECT_EQ(witness.seen[static_cast<std::size_t>(kx)], 1) << kx;
    for (int row = 0; row < grid.height; ++row)
      ASSERT_EQ(witness.kept[grid.at(kx, row)], out[grid.at(kx, row)]);
  }
}

TEST(FrameFft, LeavesThePaddingBetweenColumnsAlone) {
  const AnalysisGrid grid = grid_of(32, 18, 0.8);
  const FrameFft sut(grid, 0.25);
  auto work = sut.make_workspace();
  Spectrum out(grid.spectrum_size());
  sut.execute(random_image(32, 18).data(), {}, work, out);
  for (int kx = 0; kx < grid.kx_count; ++kx)
    for (std::size_t row = 18; row < grid.column_stride; ++row)
      ASSERT_EQ(out[grid.at(kx, 0) + row], Complex{}) << "detection reads whole chunks";
}

TEST(BlockIfft, EqualsTheDirectSum) {
  for (int size : {16, 32}) {
    const BlockIfft sut(size);
    AlignedBuffer<Complex> block(static_cast<std::size_t>(size * size));
    std::mt19937_64 random(31);
    std::normal_distribution<float> value;
    for (auto& bin : block.span()) bin = {value(random), value(random)};
    const std::vector<Complex> before(block.span().begin(), block.span().end());
    sut.execute(block.data());
    for (int m = 0; m < size; m += 3)
      for (int n = 0; n < size; n += 5) {
        Value expected{};
        for (int k = 0; k < size; ++k)
          for (int l = 0; l < size; ++l)
            expected += Value(before[static_cast<std::size_t>(k * size + l)]) *
                        std::polar(1.0, kTwoPi * (k * m + l * n) / size);
        ASSERT_NEAR(std::abs(Value(block[static_cast<std::size_t>(m * size + n)]) - expected), 0.0,
                    1e-4);
      }
  }
}

TEST(BlockIfft, MovesWithItsPlan) {
  BlockIfft first(16);
  BlockIfft sut(std::move(first));
  AlignedBuffer<Complex> block(256);
  block[0] = 1.0f;
  sut.execute(block.data());
  for (const Complex& value : block.span()) EXPECT_NEAR(std::abs(value - 1.0f), 0.0f, 1e-6f);
}

TEST(SurfaceIfft, GivesBackTheSurfaceColumnByColumn) {
  for (const auto& [width, height] : {std::pair{18, 14}, std::pair{16, 20}, std::pair{15, 11}}) {
    const AnalysisGrid grid = grid_of(width, height, 1.0);
    SurfaceIfft sut(grid);
    const auto image = random_image(width, height);
    AlignedBuffer<Complex> half(static_cast<std::size_t>((width / 2 + 1) * height));
    for (int kx = 0; kx <= width / 2; ++kx)
      for (int ky = 0; ky < height; ++ky) {
        Value sum{};
        for (int y = 0; y < height; ++y)
          for (int x = 0; x < width; ++x)
            sum += static_cast<double>(image[static_cast<std::size_t>(y * width + x)]) *
                   std::polar(1.0, -kTwoPi * (static_cast<double>(kx * x) / width +
                                              static_cast<double>(ky * y) / height));
        half[static_cast<std::size_t>(kx * height + ky)] = Complex(sum);
      }
    AlignedBuffer<float> surface(static_cast<std::size_t>(width * height));
    sut.execute(half.data(), surface.data());
    for (int y = 0; y < height; ++y)
      for (int x = 0; x < width; ++x)
        ASSERT_NEAR(
            surface[static_cast<std::size_t>(x * height + y)] / static_cast<float>(width * height),
            image[static_cast<std::size_t>(y * width + x)], 1e-3);
  }
}

TEST(FftWisdom, IsStoredAndLoaded) {
  const auto folder = std::filesystem::temp_directory_path() / "latticed_wisdom_test";
  std::filesystem::remove_all(folder);
  EXPECT_FALSE(load_fft_wisdom((folder / "none").string()));
  const BlockIfft planned(16);
  EXPECT_TRUE(store_fft_wisdom((folder / "below" / "wisdom").string()));
  EXPECT_TRUE(load_fft_wisdom((folder / "below" / "wisdom").string()));
  EXPECT_FALSE(store_fft_wisdom("/proc/no/such/place"));
  std::filesystem::remove_all(folder);
}

TEST(FftWisdom, LeavesNoHalfFileOnAFullDisk) {
  const auto folder = std::filesystem::temp_directory_path() / "latticed_wisdom_full_test";
  std::filesystem::remove_all(folder);
  const BlockIfft planned(16);
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit tiny{16, before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &tiny);
  const bool is_stored = store_fft_wisdom((folder / "wisdom").string());
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  EXPECT_FALSE(is_stored);
  EXPECT_TRUE(std::filesystem::is_empty(folder));
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace latticed::signal
