// SPDX-License-Identifier: GPL-3.0-or-later
// Which two vectors explain a set of spots? Candidates are the strongest spots and their
// differences. A basis that indexes n spots within a radius r is the better the less likely chance
// does that: a spot lies that near one of the points of a reciprocal lattice of cell area A with
// probability pi r^2 / A, so each spot beyond the two that fix the basis counts log(A / pi r^2).
// So a finer lattice is chosen only when spots between the points of a coarser one ask for it.
// Faint spots count less: a superlattice is no basis. Used by LatticeTracker for spots without one.
#pragma once

#include <span>

#include "server/signal/lattice_fit.hpp"

namespace latticed::signal {

/// A spot that looks for a lattice.
struct LooseSpot {
  Vector2 frequency;       // cycles per cell
  Covariance2 covariance;  // of it
  double amplitude = 0.0;
};

struct LatticeSearch {
  double tolerance_x = 0.0, tolerance_y = 0.0;  // r, cycles per cell
  double shortest = 0.0;                        // no basis vector is shorter than this
};

/// The best basis of at least two spots on different rows, as reduced_basis; false when there is
/// none. `score`: log odds against chance. Does not allocate; costs some 50 us for twenty spots.
[[nodiscard]] bool find_lattice(std::span<const LooseSpot> spots, const LatticeSearch& search,
                                LatticeBasis* out, double* score) noexcept;

}  // namespace latticed::signal
