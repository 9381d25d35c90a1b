// SPDX-License-Identifier: GPL-3.0-or-later
// Frames of a known picture with noise that has not been there before, at about a nanosecond a
// pixel: what `latticed bench` plays. Not for measuring errors: the noise is normal, not Poisson,
// and comes from a table; sim-world draws the real thing.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace latticed {

/// A counting detector's: the variance of a pixel is that of its electrons and of its read-out.
struct SensorModel {
  double gain_adu_per_e = 20.0;
  double dark_adu = 100.0;
  double read_noise_adu = 4.0;
  double picture_adu = 0.01;  // what a count of a picture is of an ADU above dark
};

class FreshNoise {
 public:
  explicit FreshNoise(const SensorModel& sensor);

  /// `picture` (rows of `width`, at most kTable / 2) as an exposure of its own: the same `number`
  /// gives the same noise, another number one that is independent of it. Any thread.
  void expose(std::span<const std::uint16_t> picture, int width, std::uint64_t number,
              std::span<std::uint16_t> out) const;

  static constexpr int kTable = 1 << 20;

 private:
  SensorModel sensor_;
  std::vector<float> normal_;  // kTable numbers; every row begins anywhere in them
};

}  // namespace latticed
