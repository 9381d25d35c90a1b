// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/signal/running_sum.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "sim/random/counter_random.hpp"

namespace latticed::signal {
namespace {

AnalysisGrid grid() { return make_grid({54, 48, PixelType::f32}, 1, {}, 0.8).value(); }

Spectrum random_spectrum(std::uint64_t seed) {
  sim::RandomStream random(seed, sim::Purpose::film);
  Spectrum out(grid().spectrum_size());
  for (std::size_t i = 0; i < out.size(); ++i) {
    double re = 0.0, im = 0.0;
    random.normal_pair(re, im);
    out[i] = {static_cast<float>(re), static_cast<float>(im)};
  }
  return out;
}

/// The spectrum of the same field, displaced by `shift` cells: the shift theorem, in double.
Spectrum displaced(const Spectrum& field, Vector2 shift) {
  const AnalysisGrid g = grid();
  Spectrum out(g.spectrum_size());
  for (int kx = 0; kx < g.kx_count; ++kx)
    for (int row = 0; row < g.height; ++row) {
      const double turns = shift.x * kx / g.width + shift.y * g.signed_ky(row) / g.height;
      const auto turn = std::polar(1.0, -2.0 * std::numbers::pi * turns);
      out[g.at(kx, row)] = Complex(std::complex<double>(field[g.at(kx, row)]) * turn);
    }
  return out;
}

// Rounding of floats, of the sum's size.
void expect_equal(const Spectrum& is, const Spectrum& field, float times) {
  const AnalysisGrid g = grid();
  for (int kx = 0; kx < g.kx_count; ++kx)
    for (int row = 0; row < g.height; ++row) {
      // The column at half the sampling rate stands for both signs of ky.
      if (2 * std::abs(g.signed_ky(row)) == g.height) continue;
      const std::size_t at = g.at(kx, row);
      ASSERT_LT(std::abs(is[at] - times * field[at]), 2e-5f * times) << kx << " " << row;
    }
}

TEST(RunningSum, AddsDisplacedFramesInPhase) {
  RunningSum sut(grid());
  const Spectrum field = random_spectrum(3);
  for (std::size_t part = 0; part < RunningSum::kParts; ++part) {
    const Vector2 start{3.2 * static_cast<double>(part), -1.7 * static_cast<double>(part)};
    sut.begin(part, start);
    for (int i = 0; i < 3; ++i) {
      const Vector2 place{start.x + 0.37 * i, start.y - 0.21 * i};
      sut.add(part, displaced(field, place), place);
    }
  }
  Spectrum out(grid().spectrum_size());
  const Vector2 place{4.4, -2.5};
  sut.total(0b1111, place, out);
  expect_equal(out, displaced(field, place), 12.0f);
}

TEST(RunningSum, APartThatBeginsAnewForgetsWhatItHeld) {
  RunningSum sut(grid());
  const Spectrum old = random_spectrum(3), field = random_spectrum(4);
  sut.begin(0, {});
  sut.add(0, old, {});
  sut.begin(0, {5.0, 5.0});
  sut.add(0, displaced(field, {5.0, 5.0}), {5.0, 5.0});
  Spectrum out(grid().spectrum_size());
  sut.total(0b0001, {}, out);
  expect_equal(out, field, 1.0f);
}

TEST(RunningSum, TakesOnlyThePartsItIsAskedFor) {
  RunningSum sut(grid());
  const Spectrum wanted = random_spectrum(5), other = random_spectrum(6);
  sut.begin(0, {});
  sut.add(0, other, {});
  sut.begin(2, {});
  sut.add(2, wanted, {});
  sut.begin(3, {});                   // began, and nothing came
  Spectrum out = random_spectrum(7);  // what was there before does not matter
  sut.total(0b1100, {}, out);
  expect_equal(out, wanted, 1.0f);
}

}  // namespace
}  // namespace latticed::signal
