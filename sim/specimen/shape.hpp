// SPDX-License-Identifier: GPL-3.0-or-later
// Where the crystal is: inside its edges, below its amorphous rim, within a domain's borders.
#pragma once

#include "sim/scenario/scenario.hpp"
#include "sim/specimen/domain.hpp"

namespace latticed::sim {

/// The depth of every point of a whole-field lattice.
inline constexpr double kDeepNm = 1e6;

/// Depth below the particle's surface, nm; a large number everywhere in a whole-field lattice.
[[nodiscard]] double depth_nm(const SpecimenModel& specimen, Vector at) noexcept;
/// 0..1 at distance x from the middle of a border of full width 1.
[[nodiscard]] constexpr double ramp(double x) noexcept {
  const double t = x < -0.5 ? 0.0 : (x > 0.5 ? 1.0 : x + 0.5);
  return t * t * (3.0 - 2.0 * t);
}
/// How much of a domain's lattice there is at a point of the specimen: rim, edges and its limits.
[[nodiscard]] double presence(const SpecimenModel& specimen, double rim_nm, const Domain& domain,
                              Vector at) noexcept;

/// Centre of the crystal that the detector sees, in specimen coordinates.
[[nodiscard]] Vector crystal_centre(const SpecimenModel& specimen,
                                    const DetectorModel& detector) noexcept;

}  // namespace latticed::sim
