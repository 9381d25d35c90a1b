// SPDX-License-Identifier: GPL-3.0-or-later
// The detector behind the picture: electrons are counted with exact shot noise, then gain, dark
// level, fixed patterns, read noise, hot pixels and saturation make them ADU. Any thread, row by
// row.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "sim/random/poisson.hpp"
#include "sim/scenario/scenario.hpp"

namespace latticed::sim {

class Sensor {
 public:
  Sensor(const DetectorModel& detector, std::uint64_t seed);

  /// `expected` in units of the dose; `noise` chooses the random streams, with frame and row.
  void read(std::uint64_t frame, int y, std::span<const float> expected,
            std::span<std::uint16_t> out, Purpose noise = Purpose::shot_noise) const;

 private:
  const DetectorModel detector_;
  std::uint64_t seed_;
  Poisson poisson_;
  std::vector<float> dark_adu_;  // each pixel's own, hot ones included
  std::vector<float> gain_adu_;
};

}  // namespace latticed::sim
