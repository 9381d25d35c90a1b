// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/app/fresh_noise.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace latticed {
namespace {

constexpr int kSide = 256;
using Image = std::vector<std::uint16_t>;

Image even(int level) {
  return Image(static_cast<std::size_t>(kSide) * kSide, static_cast<std::uint16_t>(level));
}

Image expose(const Image& picture, std::uint64_t number) {
  static const FreshNoise noise{SensorModel{}};
  Image out(picture.size());
  noise.expose(picture, kSide, number, out);
  return out;
}

double mean_of(const Image& image) {
  double sum = 0.0;
  for (const auto value : image) sum += value;
  return sum / static_cast<double>(image.size());
}

double covariance(const Image& a, const Image& b) {
  const double mean_a = mean_of(a), mean_b = mean_of(b);
  double sum = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += (a[i] - mean_a) * (b[i] - mean_b);
  return sum / static_cast<double>(a.size());
}

// 65536 pixels: a mean is known to sigma / 256, a variance to its 1/181, a covariance to 1/256 of
// it. Five of these.
TEST(FreshNoise, IsThatOfTheSensorAtEveryLevelOfThePicture) {
  for (const int level : {0, 5000, 20000}) {
    const Image image = expose(even(level), 7);
    const double light = 0.01 * level;
    // Whole ADU: half of one up and cut down again is its mean; 1/12 is the variance of that.
    const double variance = 20.0 * light + 16.0 + 1.0 / 12.0;
    EXPECT_NEAR(mean_of(image), 100.0 + light, 5.0 * std::sqrt(variance) / 256.0);
    EXPECT_NEAR(covariance(image, image), variance, 5.0 * variance / 181.0);
  }
}

TEST(FreshNoise, OfAnotherNumberHasNothingInCommon) {
  const Image picture = even(20000);
  const Image image = expose(picture, 3);
  const double variance = covariance(image, image);
  for (const std::uint64_t other : {0u, 1u, 2u, 4u, 17u, 333u})
    EXPECT_NEAR(covariance(image, expose(picture, other)), 0.0, 5.0 * variance / 256.0);
}

TEST(FreshNoise, OfTheSameNumberIsTheSame) {
  EXPECT_EQ(expose(even(9000), 5), expose(even(9000), 5));
}

TEST(FreshNoise, StaysInsideTheSensorsRange) {
  const FreshNoise loud({20.0, 0.0, 1e6, 0.01});
  Image out(static_cast<std::size_t>(kSide) * kSide);
  loud.expose(even(0), kSide, 1, out);
  std::size_t low = 0, high = 0;
  for (const auto value : out) low += value == 0 ? 1 : 0, high += value == 65535 ? 1 : 0;
  EXPECT_GT(low, out.size() * 2 / 5);
  EXPECT_GT(high, out.size() * 2 / 5);
}

}  // namespace
}  // namespace latticed
