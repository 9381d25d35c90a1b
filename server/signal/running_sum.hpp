// SPDX-License-Identifier: GPL-3.0-or-later
// Spectra of the last frames, each turned back by its own drift and added, for doses at which one
// frame shows too little: K aligned frames have the noise of one and K times the signal. The sum is
// kept in parts that are renewed in turn, so that it is always the exact sum of what it holds and
// nothing fades; each part lies where its first frame was, so that the taper is nowhere further
// from its place than the specimen has moved meanwhile. Used by SumStage; knows no time and no
// state of drift.
#pragma once

#include <array>
#include <cstdint>

#include "server/frame/measurements.hpp"
#include "server/signal/analysis_grid.hpp"
#include "server/signal/drift_match.hpp"

namespace latticed::signal {

class RunningSum {
 public:
  static constexpr std::size_t kParts = 4;

  /// Allocates its parts, kParts spectra.
  explicit RunningSum(const AnalysisGrid& grid);

  /// Empties `part`, whose frames will be turned to `place_cells`: where the specimen is in the
  /// first of them, cells from wherever drift is counted. No part is read before it was begun.
  void begin(std::size_t part, Vector2 place_cells) noexcept;
  /// Adds a frame in which the specimen is at `place_cells`, by the shift theorem: F exp(+2 pi i
  /// k.(s - s0)). One pass over the band, no allocation.
  void add(std::size_t part, const Spectrum& frame, Vector2 place_cells) noexcept;
  /// The sum of the parts whose bit is set in `parts` (at least one), as a frame that was taken
  /// with the specimen at `place_cells`. `out`: of the grid's size.
  void total(std::uint32_t parts, Vector2 place_cells, Spectrum& out) noexcept;

 private:
  void turn_into(const Spectrum& from, Vector2 by_cells, bool is_first, Spectrum& to) noexcept;

  struct Part {
    Spectrum spectrum;
    Vector2 place;
    bool is_empty = true;
  };
  AnalysisGrid grid_;
  PhaseRamps ramps_;
  std::array<Part, kParts> parts_;
};

}  // namespace latticed::signal
