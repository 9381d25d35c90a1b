// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/signal/taper.hpp"

#include <gtest/gtest.h>

#include <complex>
#include <random>

#include "server/signal/frame_fft.hpp"

namespace latticed::signal {
namespace {

TEST(Taper, IsSymmetricAndBetweenZeroAndOne) {
  for (int size : {1, 2, 3, 16, 97, 256})
    for (double alpha : {0.0, 0.1, 0.25, 0.5, 1.0}) {
      const std::vector<float> sut = tukey(size, alpha);
      ASSERT_EQ(sut.size(), static_cast<std::size_t>(size));
      for (std::size_t i = 0; i < sut.size(); ++i) {
        EXPECT_EQ(sut[i], sut[sut.size() - 1 - i]);
        EXPECT_GT(sut[i], 0.0f);
        EXPECT_LE(sut[i], 1.0f);
      }
    }
}

TEST(Taper, TapersThePartItWasToldTo) {
  const std::vector<float> sut = tukey(400, 0.25);
  for (std::size_t i = 50; i < 350; ++i) ASSERT_EQ(sut[i], 1.0f) << i;
  EXPECT_LT(sut[49], 1.0f);
  EXPECT_NEAR(sut[24] + sut[25], 1.0f, 1e-6);  // half-way up the ramp of 50 samples
  for (std::size_t i = 0; i < 49; ++i) ASSERT_LT(sut[i], sut[i + 1]) << i;
  for (float weight : tukey(100, 0.0)) EXPECT_EQ(weight, 1.0f);
}

TEST(Taper, HasTheMomentsOfItsSamples) {
  const auto along_x = tukey(60, 0.25), along_y = tukey(44, 0.4);
  double sum = 0.0, squares = 0.0;
  for (float wy : along_y)
    for (float wx : along_x) {
      const double w = static_cast<double>(wx) * static_cast<double>(wy);
      sum += w;
      squares += w * w;
    }
  const TaperMoments sut = taper_moments(along_x, along_y);
  EXPECT_NEAR(sut.sum, sum, 1e-9 * sum);
  EXPECT_NEAR(sut.sum_squares, squares, 1e-9 * squares);
}

// The moments promise how much noise the spectrum has, before and after the Hann convolution.
TEST(Taper, PredictsTheNoiseOfTheSpectrum) {
  const auto grid = make_grid({64, 48, PixelType::f32}, 1, {}, 1.0).value();
  const FrameFft fft(grid, 0.25);
  auto work = fft.make_workspace();
  Spectrum spectrum(grid.spectrum_size());
  std::mt19937_64 random(5);
  std::normal_distribution<float> noise(0.0f, 3.0f);
  std::vector<float> image(64 * 48);
  double plain = 0.0, hann = 0.0;
  int count = 0;
  for (int frame = 0; frame < 100; ++frame) {
    for (float& pixel : image) pixel = noise(random);
    fft.execute(image.data(), {}, work, spectrum);
    for (int kx = 2; kx < 30; ++kx)
      for (int row = 1; row < 47; ++row) {
        std::complex<float> sum{};
        for (int dx = -1; dx <= 1; ++dx)
          for (int dy = -1; dy <= 1; ++dy)
            sum +=
                spectrum[grid.at(kx + dx, row + dy)] * (dx ? -0.25f : 0.5f) * (dy ? -0.25f : 0.5f);
        plain += static_cast<double>(std::norm(spectrum[grid.at(kx, row)]));
        hann += static_cast<double>(std::norm(sum));
        ++count;
      }
  }
  const TaperMoments& sut = fft.moments();
  // 130 000 bins, a ninth of them independent: 1 % is 1.2 standard errors, 4 % nearly five.
  EXPECT_NEAR(plain / count / (9.0 * sut.sum_squares), 1.0, 0.02);
  EXPECT_NEAR(hann / plain / sut.hann_noise_ratio, 1.0, 0.04);
}

}  // namespace
}  // namespace latticed::signal
