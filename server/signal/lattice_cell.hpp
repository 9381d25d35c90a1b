// SPDX-License-Identifier: GPL-3.0-or-later
// The reduced cell of a plane lattice (Lagrange, Gauss): its two shortest vectors, a <= b, and the
// angle between them, 60 to 120 degrees. Used by LatticeTracker.
//
// What could flip between frames does not: a and b are the lengths in order, which is continuous
// where they are alike; the angle is the obtuse one of the two that describe the same cell, which
// is continuous at 120 (any two of a hexagonal lattice's three shortest vectors give it) and would
// be folded only at 90 degrees: there the side on which the last frame was is kept down to 85.
#pragma once

#include <array>

#include "server/signal/lattice_fit.hpp"

namespace latticed::signal {

struct ReducedCell {
  double a = 0.0, b = 0.0;  // cells
  double gamma_deg = 0.0;
  double sigma_a = 0.0, sigma_b = 0.0, sigma_gamma_deg = 0.0;
};

/// The reduced vectors as integer combinations of those of the real-space lattice that is dual to
/// the basis: which description of the cell the last frame had.
struct CellChoice {
  std::array<int, 2> first{0, 0}, second{0, 0};  // zeros: there was none
};

/// Of the real-space lattice that belongs to `basis`; its indices must be those of the last frame.
/// `choice` is the last frame's, and is told this frame's.
[[nodiscard]] ReducedCell reduced_cell(const LatticeBasis& basis, CellChoice* choice) noexcept;

/// The same reciprocal lattice, with the basis that belongs to the reduced cell with the obtuse
/// angle, so that the honeycomb's superlattice is at (1/3 1/3); covariance is left empty.
[[nodiscard]] LatticeBasis reduced_basis(const LatticeBasis& basis) noexcept;

}  // namespace latticed::signal
