// SPDX-License-Identifier: GPL-3.0-or-later
#include "sim/specimen/shape.hpp"

#include <algorithm>

namespace latticed::sim {

double depth_nm(const SpecimenModel& specimen, Vector at) noexcept {
  double depth = kDeepNm;
  if (!specimen.is_particle) return depth;
  for (const Edge& edge : specimen.edges) {
    depth = std::min(depth, edge.distance_nm - dot(direction(edge.normal_deg), at));
  }
  return depth;
}

double presence(const SpecimenModel& specimen, double rim_nm, const Domain& domain,
                Vector at) noexcept {
  const double depth = depth_nm(specimen, at);
  double mask = ramp((depth - rim_nm) / specimen.rim_softness_nm);
  for (const Limit& limit : domain.limits) {
    const double coordinate = limit.of == Limit::Of::depth ? depth : dot(limit.normal, at);
    mask *= ramp(limit.sign * (coordinate - limit.position_nm) / limit.softness_nm);
  }
  return mask;
}

Vector crystal_centre(const SpecimenModel& specimen, const DetectorModel& detector) noexcept {
  constexpr int kGrid = 64;
  const double width_nm = detector.width * detector.pixel_size_nm;
  const double height_nm = detector.height * detector.pixel_size_nm;
  Vector sum;
  double weight = 0.0;
  for (int j = 0; j < kGrid; ++j) {
    for (int i = 0; i < kGrid; ++i) {
      const Vector at{((i + 0.5) / kGrid - 0.5) * width_nm, ((j + 0.5) / kGrid - 0.5) * height_nm};
      const double here = presence(specimen, specimen.rim_nm, Domain{}, at);
      sum = sum + here * at;
      weight += here;
    }
  }
  return weight > 0.0 ? (1.0 / weight) * sum : Vector{};
}

}  // namespace latticed::sim
