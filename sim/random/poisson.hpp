// SPDX-License-Identifier: GPL-3.0-or-later
// Poisson counts for one pixel at a time, fast enough to be no part of anybody's budget and with no
// normal approximation anywhere. The mean is split into a grid value, drawn from a table by
// inversion, and a remainder below the grid's step, drawn by inversion from scratch: sums of
// Poisson variables are Poisson variables. Above the tables it is Hormann's PTRS (Insurance: Math.
// & Econ. 12 (1993) 39).
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "sim/random/counter_random.hpp"

namespace latticed::sim {

class Poisson {
 public:
  Poisson();

  /// Probabilities are resolved to 2^-32. `mean` in [0, 1e9]; the stream moves on by one draw or
  /// more.
  [[nodiscard]] std::uint32_t draw(double mean, RandomStream& random) const noexcept;

  static constexpr double kTableLimit = 64.0;

 private:
  static constexpr double kStep = 0.25;
  static constexpr int kGrid = static_cast<int>(kTableLimit / kStep);

  struct Table {
    std::uint32_t first = 0;                // where its cumulative probabilities begin
    std::array<std::uint8_t, 256> guide{};  // smallest count for the draw's top byte
  };
  [[nodiscard]] std::uint32_t from_table(int index, std::uint32_t draw) const noexcept;

  std::vector<Table> tables_;
  std::vector<std::uint32_t> cumulative_;  // scaled by 2^32, each table ends with the largest value
};

}  // namespace latticed::sim
