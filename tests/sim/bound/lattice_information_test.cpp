// SPDX-License-Identifier: GPL-3.0-or-later
#include "sim/bound/lattice_information.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace latticed::sim {
namespace {

constexpr int kSize = 256;
constexpr double kPixelNm = 0.04;
constexpr double kPi = 3.14159265358979323846;

/// A square field about the origin, every pixel inside the crystal and with the noise 1.
LatticeInformation of_whole_field(std::vector<PlaneWave> waves) {
  const double half_nm = 0.5 * kSize * kPixelNm;
  LatticeInformation out(std::move(waves), {kSize, kPixelNm, {-half_nm, -half_nm}, half_nm});
  const std::vector<float> ones(kSize, 1.0f);
  for (int y = 0; y < kSize; ++y) out.add_row(y, ones, ones);
  return out;
}

/// Rife and Boorstyn 1974 in two dimensions: 6 sigma^2 / (pi^2 A^2 N M (N^2 - 1)) cycles^2/px^2.
TEST(LatticeInformation, KnowsOneWaveAsWellAsTheClosedForm) {
  const auto sut = of_whole_field({{{2.5, 0.0}, 0.3, 0.1, 1, 0}});
  const SharedBy one[] = {{0, {1.0, 0.0}}};
  const auto sigma = sut.sigma_g_per_nm(one, 1);
  ASSERT_TRUE(sigma);
  const double n = kSize;
  const double expected = std::sqrt(6.0 / (kPi * kPi * 0.01 * n * n * (n * n - 1.0))) / kPixelNm;
  EXPECT_NEAR(sigma->front() / expected, 1.0, 0.01);
}

TEST(LatticeInformation, SharesWhatIsAskedAndNoMore) {
  const auto sut = of_whole_field({{{2.5, 0.0}, 0.3, 0.1, 1, 0}, {{5.0, 0.0}, 0.1, 0.1, 2, 0}});
  const SharedBy alone[] = {{1, {2.0, 0.0}}};
  const SharedBy both[] = {{0, {1.0, 0.0}}, {1, {2.0, 0.0}}};
  const double of_second = sut.sigma_g_per_nm(alone, 1)->front();
  const auto joint = *sut.sigma_g_per_nm(both, 1);
  EXPECT_NEAR(joint[1] / of_second, 2.0 / std::sqrt(5.0), 0.01) << "1 + 4 parts instead of 4";
  EXPECT_NEAR(joint[1] / joint[0], 2.0, 1e-9);
}

TEST(LatticeInformation, IsNoneWithoutPixelsAndWithoutASecondDirection) {
  const LatticeInformation empty({{{2.5, 0.0}, 0.3, 0.1, 1, 0}}, {kSize, kPixelNm, {}, 1.0});
  const SharedBy one[] = {{0, {1.0, 0.0}}};
  EXPECT_FALSE(empty.sigma_g_per_nm(one, 1));
  const auto sut = of_whole_field({{{2.5, 0.0}, 0.3, 0.1, 1, 0}});
  EXPECT_FALSE(sut.sigma_g_per_nm(one, 2));
}

}  // namespace
}  // namespace latticed::sim
