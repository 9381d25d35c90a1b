// SPDX-License-Identifier: GPL-3.0-or-later
// The support film: a random texture without power above about 5/nm, like amorphous carbon, on a
// periodic tile wider than the frame. It moves with the specimen by any fraction of a pixel.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "sim/scenario/scenario.hpp"
#include "sim/specimen/geometry.hpp"

namespace latticed::sim {

class Film {
 public:
  Film(const DetectorModel& detector, std::uint64_t seed);

  /// The texture moved by `shift_px`: of unit standard deviation, as seen through the detector's
  /// MTF.
  class Moved {
   public:
    Moved(const Film& film, Vector shift_px);
    /// One row of the frame; `scratch` at least row.size() + kTaps long.
    void row(int y, std::span<float> row, std::span<float> scratch) const;

   private:
    const Film& film_;
    std::int64_t column_;
    std::int64_t line_;
    std::array<float, 8> across_;
    std::array<float, 8> down_;
  };

  static constexpr int kTaps = 8;

 private:
  int size_;    // of the periodic tile, a power of two
  int stride_;  // tile rows are stored with their beginning repeated at their end
  std::vector<float> tile_;
};

}  // namespace latticed::sim
