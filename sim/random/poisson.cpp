// SPDX-License-Identifier: GPL-3.0-or-later
#include "sim/random/poisson.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace latticed::sim {
namespace {

constexpr double kScale = 0x1p32;

/// ln k! by Stirling's series, exact to 1e-12 from 10 on and tabled below.
double log_factorial(double k) noexcept {
  constexpr double kSmall[] = {0.0,
                               0.0,
                               0.69314718055994530942,
                               1.79175946922805500081,
                               3.17805383034794561965,
                               4.78749174278204599425,
                               6.57925121201010099506,
                               8.52516136106541430017,
                               10.60460290274525022842,
                               12.80182748008146961121};
  if (k < 10.0) return kSmall[static_cast<int>(k)];
  const double n = k + 1.0;
  const double i = 1.0 / n;
  return (n - 0.5) * logarithm(n) - n + 0.91893853320467274178 +
         i * (1.0 / 12.0 - i * i * (1.0 / 360.0 - i * i * (1.0 / 1260.0)));
}

std::uint32_t ptrs(double mean, RandomStream& random) noexcept {
  const double root = std::sqrt(mean);
  const double b = 0.931 + 2.53 * root;
  const double a = -0.059 + 0.02483 * b;
  const double inverse_alpha = 1.1239 + 1.1328 / (b - 3.4);
  const double v_r = 0.9277 - 3.6224 / (b - 2.0);
  for (;;) {
    const double u = random.uniform() - 0.5;
    const double v = random.uniform();
    const double us = 0.5 - std::abs(u);
    const double k = std::floor((2.0 * a / us + b) * u + mean + 0.43);
    if (us >= 0.07 && v <= v_r) return static_cast<std::uint32_t>(k);
    if (k < 0.0 || (us < 0.013 && v > us)) continue;
    const double left = logarithm(v * inverse_alpha / (a / (us * us) + b));
    if (left <= k * logarithm(mean) - mean - log_factorial(k)) return static_cast<std::uint32_t>(k);
  }
}

}  // namespace

Poisson::Poisson() {
  tables_.resize(kGrid + 1);
  for (int index = 0; index <= kGrid; ++index) {
    Table& table = tables_[static_cast<std::size_t>(index)];
    table.first = static_cast<std::uint32_t>(cumulative_.size());
    const double mean = index * kStep;
    double probability = exponential(-mean);
    double sum = probability;
    for (int k = 1; sum * kScale < kScale - 1.0 && k < 250; ++k) {
      cumulative_.push_back(static_cast<std::uint32_t>(sum * kScale));
      probability *= mean / k;
      sum += probability;
    }
    cumulative_.push_back(std::numeric_limits<std::uint32_t>::max());
    std::uint32_t count = 0;
    for (std::uint32_t byte = 0; byte < 256; ++byte) {
      while (cumulative_[table.first + count] <= byte << 24 &&
             cumulative_[table.first + count] != std::numeric_limits<std::uint32_t>::max()) {
        ++count;
      }
      table.guide[byte] = static_cast<std::uint8_t>(count);
    }
  }
}

std::uint32_t Poisson::from_table(int index, std::uint32_t draw) const noexcept {
  const Table& table = tables_[static_cast<std::size_t>(index)];
  const std::uint32_t* cumulative = cumulative_.data() + table.first;
  std::uint32_t count = table.guide[draw >> 24];
  while (draw >= cumulative[count] &&
         cumulative[count] != std::numeric_limits<std::uint32_t>::max())
    ++count;
  return count;
}

std::uint32_t Poisson::draw(double mean, RandomStream& random) const noexcept {
  if (mean >= kTableLimit) return ptrs(mean, random);
  const int index = static_cast<int>(mean * (1.0 / kStep));
  const double rest = mean - index * kStep;
  const std::uint64_t bits = random.bits();
  std::uint32_t count = from_table(index, static_cast<std::uint32_t>(bits >> 32));
  // e^-rest by its series: rest < 0.25, the next term is below 2^-33.
  double term = 1.0;
  for (const double inverse : {1.0 / 7, 1.0 / 6, 1.0 / 5, 1.0 / 4, 1.0 / 3, 1.0 / 2, 1.0}) {
    term = 1.0 - rest * inverse * term;
  }
  const double draw = static_cast<double>(static_cast<std::uint32_t>(bits)) * 0x1p-32;
  double sum = term;
  for (int k = 1; draw >= sum && k < 16; ++k) {
    term *= rest / k;
    sum += term;
    ++count;
  }
  return count;
}

}  // namespace latticed::sim
