// SPDX-License-Identifier: GPL-3.0-or-later
// Random numbers by counter: draw i of a stream is a function of the stream's key and i alone, and
// the key of (seed, purpose, frame, row) alone. So the order in which threads draw cannot change a
// bit.
#pragma once

#include <cmath>
#include <cstdint>

#include "sim/random/elementary.hpp"

namespace latticed::sim {

/// What a stream is for. A new purpose gets a new number; none is ever used twice.
enum class Purpose : std::uint64_t {
  film = 1,
  drift = 2,
  shot_noise = 3,
  read_noise = 4,
  fixed_pattern = 5,
  hot_pixels = 6,
  lattice_origin = 7,
  dark_reference = 8,
  flat_reference = 9,
};

/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014): a bijection with full avalanche.
[[nodiscard]] constexpr std::uint64_t mix64(std::uint64_t z) noexcept {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

class RandomStream {
 public:
  constexpr RandomStream(std::uint64_t seed, Purpose purpose, std::uint64_t frame = 0,
                         std::uint64_t row = 0) noexcept {
    state_ = mix64(seed + kStep);
    state_ = mix64(state_ ^ (static_cast<std::uint64_t>(purpose) * kStep));
    state_ = mix64(state_ + frame * kStep + 1);
    state_ = mix64(state_ + row * kStep + 2);
  }

  [[nodiscard]] constexpr std::uint64_t bits() noexcept { return mix64(state_ += kStep); }

  /// In (0, 1), never 0 and never 1.
  [[nodiscard]] double uniform() noexcept {
    return (static_cast<double>(bits() >> 12) + 0.5) * 0x1p-52;
  }

  /// Two independent standard normals (Box and Muller 1958).
  void normal_pair(double& first, double& second) noexcept {
    const double radius = std::sqrt(-2.0 * logarithm(uniform()));
    const SinCos angle = sin_cos_turns(uniform());
    first = radius * angle.cosine;
    second = radius * angle.sine;
  }

 private:
  static constexpr std::uint64_t kStep = 0x9e3779b97f4a7c15ULL;
  std::uint64_t state_ = 0;
};

}  // namespace latticed::sim
