// SPDX-License-Identifier: GPL-3.0-or-later
// A domain is a part of the crystal with one lattice: where it is, and the plane waves it adds to
// the picture. Whatever deformation it has is affine, so each wave stays a plane wave.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sim/specimen/geometry.hpp"
#include "sim/specimen/phase_table.hpp"

namespace latticed::sim {

/// A smooth border: 1 well on the side where sign * (coordinate - position) > 0, else 0.
struct Limit {
  enum class Of { axis, depth } of = Of::axis;  // coordinate normal.r, or depth below the surface
  Vector normal;
  double position_nm = 0.0;
  double softness_nm = 0.5;  // full width of the ramp
  double sign = 1.0;
};

/// amplitude * cos(2 pi (g.r + turns)), r in specimen coordinates.
struct PlaneWave {
  Vector g_per_nm;
  double turns = 0.0;
  double amplitude = 0.0;
  double h = 0.0;
  double l = 0.0;
};

struct Domain {
  std::string name;  // "P2", "P2-shell", "P2-strained", "O2": unique in a frame
  std::string phase;
  double d_layer_nm = 0.0;  // of the undeformed lattice, strain step not included
  double a_nm = 0.0;
  Matrix deformation;  // against this domain's reference lattice
  std::vector<Limit> limits;
  std::vector<PlaneWave> waves;
};

/// What the reflections of a cell look like in the image.
struct Orientation {
  Vector layer_normal;
  Vector in_plane;
};

[[nodiscard]] Orientation orientation(double layer_normal_deg) noexcept;

/// Where the reference lattice has its point (bright columns where all waves agree): within 0.3 nm
/// of the field's centre, made from the seed, so that no phase is 0 by accident.
[[nodiscard]] Vector lattice_origin(std::uint64_t seed) noexcept;

/// The waves of `phase` with the cell (a, layers * d_layer), in phase at `origin`.
[[nodiscard]] std::vector<PlaneWave> waves_of(const Phase& phase, double a_nm, double d_layer_nm,
                                              const Orientation& axes, Vector origin);

/// Deforms the waves by F about `fixed`, where they stay in phase with what they were.
void deform(std::vector<PlaneWave>& waves, const Matrix& f, Vector fixed) noexcept;

}  // namespace latticed::sim
