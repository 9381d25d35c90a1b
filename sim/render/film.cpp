// SPDX-License-Identifier: GPL-3.0-or-later
#include "sim/render/film.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

#include "sim/random/counter_random.hpp"
#include "sim/render/simd.hpp"

namespace latticed::sim {
namespace {

/// Standard deviation, in pixels, of the Gaussian blur whose transfer at half a cycle a pixel is
/// `mtf`.
double mtf_blur_px(double mtf) {
  return std::sqrt(-logarithm(mtf) / (2.0 * 9.8696044010893586 * 0.25));
}

std::vector<float> gaussian(double sigma_px) {
  const int reach = static_cast<int>(std::ceil(5.0 * sigma_px));
  std::vector<float> taps;
  for (int i = -reach; i <= reach; ++i) {
    taps.push_back(static_cast<float>(exponential(-0.5 * i * i / (sigma_px * sigma_px))));
  }
  return taps;
}

LATTICED_SIMD void add_scaled(float* to, const float* from, float factor, int count) noexcept {
  for (int i = 0; i < count; ++i) to[i] += factor * from[i];
}

/// Periodic in both directions; unit variance afterwards.
std::vector<float> blurred(const std::vector<float>& noise, int size, double sigma_px) {
  const std::vector<float> taps = gaussian(sigma_px);
  const int reach = static_cast<int>(taps.size() / 2);
  const auto n = static_cast<std::size_t>(size);
  std::vector<float> across(noise.size(), 0.0f);
  std::vector<float> wrapped(n + taps.size());
  for (std::size_t y = 0; y < n; ++y) {
    for (std::size_t i = 0; i < wrapped.size(); ++i) {
      const auto column = (static_cast<std::int64_t>(i) - reach) & (size - 1);
      wrapped[i] = noise[y * n + static_cast<std::size_t>(column)];
    }
    for (std::size_t t = 0; t < taps.size(); ++t) {
      add_scaled(&across[y * n], &wrapped[t], taps[t], size);
    }
  }
  std::vector<float> out(noise.size(), 0.0f);
  for (int y = 0; y < size; ++y) {
    for (int t = -reach; t <= reach; ++t) {
      const auto line = static_cast<std::size_t>((y + t) & (size - 1));
      add_scaled(&out[static_cast<std::size_t>(y) * n], &across[line * n],
                 taps[static_cast<std::size_t>(t + reach)], size);
    }
  }
  double mean = 0.0;
  double square = 0.0;
  for (const float v : out) {
    mean += v;
    square += static_cast<double>(v) * v;
  }
  mean /= static_cast<double>(out.size());
  const double scale = 1.0 / std::sqrt(square / static_cast<double>(out.size()) - mean * mean);
  for (float& v : out) v = static_cast<float>((v - mean) * scale);
  return out;
}

/// Sinc with a Kaiser window (beta 10) at the 8 samples around a point `fraction` after the fourth.
/// Of 5 to 12 this beta errs least where the film has its power: 2e-5 up to 0.1 cycles a
/// pixel, 1.4e-3 at 0.15, where a pixel of 0.03 nm leaves 1e-3 of the texture's amplitude.
std::array<float, 8> interpolation(double fraction) {
  const auto bessel = [](double x) {
    double sum = 1.0;
    double term = 1.0;
    for (int k = 1; k < 30; ++k) {
      term *= (0.5 * x / k) * (0.5 * x / k);
      sum += term;
    }
    return sum;
  };
  std::array<double, 8> weights{};
  double total = 0.0;
  for (int i = 0; i < 8; ++i) {
    const double x = i - 3 - fraction;
    const double edge = 1.0 - (x / 4.0) * (x / 4.0);
    const double window = bessel(10.0 * std::sqrt(std::max(0.0, edge))) / bessel(10.0);
    const double turns = 0.5 * x;
    const double sinc =
        std::abs(x) < 1e-12 ? 1.0 : sin_cos_turns(turns).sine / (6.283185307179586476925 * turns);
    weights[static_cast<std::size_t>(i)] = sinc * window;
    total += sinc * window;
  }
  std::array<float, 8> out{};
  for (std::size_t i = 0; i < 8; ++i) out[i] = static_cast<float>(weights[i] / total);
  return out;
}

LATTICED_SIMD void weigh_rows(float* to, const float* const* rows, const float* weights,
                              int count) noexcept {
  for (int i = 0; i < count; ++i) {
    to[i] = weights[0] * rows[0][i] + weights[1] * rows[1][i] + weights[2] * rows[2][i] +
            weights[3] * rows[3][i] + weights[4] * rows[4][i] + weights[5] * rows[5][i] +
            weights[6] * rows[6][i] + weights[7] * rows[7][i];
  }
}

}  // namespace

Film::Film(const DetectorModel& detector, std::uint64_t seed) {
  const int widest = std::max(detector.width, detector.height);
  size_ = static_cast<int>(std::bit_ceil(static_cast<unsigned>(widest + widest / 2)));
  stride_ = size_ + detector.width + kTaps;
  const auto n = static_cast<std::size_t>(size_);
  std::vector<float> noise(n * n);
  for (std::size_t y = 0; y < n; ++y) {
    RandomStream random(seed, Purpose::film, 0, y);
    for (std::size_t x = 0; x < n; x += 2) {
      double first = 0.0;
      double second = 0.0;
      random.normal_pair(first, second);
      noise[y * n + x] = static_cast<float>(first);
      noise[y * n + x + 1] = static_cast<float>(second);
    }
  }
  // Two grain sizes, 0.12 and 0.4 nm (one standard deviation of the blur), the coarse one weaker.
  const double extra_px = mtf_blur_px(detector.mtf_at_nyquist);
  const auto sigma_px = [&](double nm) {
    const double px = std::max(1.2, nm / detector.pixel_size_nm);
    return std::sqrt(px * px + extra_px * extra_px);
  };
  const std::vector<float> fine = blurred(noise, size_, sigma_px(0.12));
  std::rotate(noise.begin(), noise.begin() + static_cast<std::ptrdiff_t>(n * n / 2 + n / 3),
              noise.end());
  const std::vector<float> coarse = blurred(noise, size_, sigma_px(0.4));
  tile_.resize(n * static_cast<std::size_t>(stride_));
  for (std::size_t y = 0; y < n; ++y) {
    for (std::size_t x = 0; x < static_cast<std::size_t>(stride_); ++x) {
      const std::size_t from = y * n + (x & (n - 1));
      tile_[y * static_cast<std::size_t>(stride_) + x] = 0.8f * fine[from] + 0.6f * coarse[from];
    }
  }
}

Film::Moved::Moved(const Film& film, Vector shift_px) : film_(film) {
  const double left = std::floor(-shift_px.x);
  const double top = std::floor(-shift_px.y);
  column_ = static_cast<std::int64_t>(left);
  line_ = static_cast<std::int64_t>(top);
  across_ = interpolation(-shift_px.x - left);
  down_ = interpolation(-shift_px.y - top);
}

void Film::Moved::row(int y, std::span<float> row, std::span<float> scratch) const {
  const std::int64_t mask = film_.size_ - 1;
  const auto first_column = static_cast<std::size_t>((column_ - 3) & mask);
  const float* rows[8];
  for (int t = 0; t < 8; ++t) {
    const auto line = static_cast<std::size_t>((y + line_ - 3 + t) & mask);
    rows[t] = film_.tile_.data() + line * static_cast<std::size_t>(film_.stride_) + first_column;
  }
  const int width = static_cast<int>(row.size());
  weigh_rows(scratch.data(), rows, down_.data(), width + kTaps);
  const float* columns[8];
  for (int t = 0; t < 8; ++t) columns[t] = scratch.data() + t;
  weigh_rows(row.data(), columns, across_.data(), width);
}

}  // namespace latticed::sim
