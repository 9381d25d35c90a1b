// SPDX-License-Identifier: GPL-3.0-or-later
// Elementary functions written out, so that a run's bits depend on the seed and not on whose libm
// is installed or which SIMD clone of it runs. Double precision, error a few 1e-15 in the ranges
// used here.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

namespace latticed::sim {

struct SinCos {
  double sine = 0.0;
  double cosine = 1.0;
};

/// sin and cos of 2 pi turns. |turns| up to 2^40.
[[nodiscard]] inline SinCos sin_cos_turns(double turns) noexcept {
  const double quarters = std::floor(4.0 * turns + 0.5);
  const double angle = (turns - 0.25 * quarters) * 6.283185307179586476925;  // |angle| <= pi/4
  const double a2 = angle * angle;
  double s = -1.0 / 1307674368000.0;
  double c = 1.0 / 20922789888000.0;
  constexpr double kSine[] = {1.0 / 6227020800.0, -1.0 / 39916800.0, 1.0 / 362880.0,
                              -1.0 / 5040.0,      1.0 / 120.0,       -1.0 / 6.0};
  constexpr double kCosine[] = {-1.0 / 87178291200.0,
                                1.0 / 479001600.0,
                                -1.0 / 3628800.0,
                                1.0 / 40320.0,
                                -1.0 / 720.0,
                                1.0 / 24.0,
                                -0.5};
  for (const double k : kSine) s = s * a2 + k;
  for (const double k : kCosine) c = c * a2 + k;
  s = angle + angle * a2 * s;
  c = 1.0 + a2 * c;
  switch (static_cast<std::int64_t>(quarters) & 3) {
    case 0:
      return {s, c};
    case 1:
      return {c, -s};
    case 2:
      return {-s, -c};
    default:
      return {-c, s};
  }
}

/// e^x for |x| < 700.
[[nodiscard]] inline double exponential(double x) noexcept {
  const double k = std::floor(x * 1.4426950408889634074 + 0.5);
  const double r = (x - k * 0.693147180369123816490) - k * 1.90821492927058770002e-10;
  double sum = 1.0;
  for (int n = 14; n >= 1; --n) sum = 1.0 + sum * r / n;
  const auto bits = static_cast<std::uint64_t>(static_cast<std::int64_t>(k) + 1023) << 52;
  return sum * std::bit_cast<double>(bits);
}

/// ln x for normal x > 0.
[[nodiscard]] inline double logarithm(double x) noexcept {
  auto bits = std::bit_cast<std::uint64_t>(x);
  auto exponent = static_cast<std::int64_t>(bits >> 52) - 1023;
  bits = (bits & 0x000fffffffffffffULL) | 0x3ff0000000000000ULL;
  double m = std::bit_cast<double>(bits);
  if (m > 1.41421356237309504880) {
    m *= 0.5;
    ++exponent;
  }
  const double s = (m - 1.0) / (m + 1.0);  // |s| <= 0.172
  const double s2 = s * s;
  double sum = 0.0;
  for (int n = 21; n >= 1; n -= 2) sum = sum * s2 + 1.0 / n;
  const double k = static_cast<double>(exponent);
  return k * 0.693147180369123816490 + (k * 1.90821492927058770002e-10 + 2.0 * s * sum);
}

}  // namespace latticed::sim
