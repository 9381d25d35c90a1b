// SPDX-License-Identifier: GPL-3.0-or-later
// Cramér-Rao bounds of one raw frame: the least random error an unbiased estimator can have that
// knows the expected picture. For the truth file; nothing on the link carries them.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "sim/render/renderer.hpp"

namespace latticed::sim {

/// One standard deviation each.
struct WaveBound {
  /// Waves n q that share q, each with its own amplitude and phase (algorithms.md A.2). None
  /// where the wave is not in the picture.
  std::optional<double> d_nm;
  /// All waves of the domain share two basis vectors. None too where they do not fix these.
  std::optional<double> d_lattice_nm;
};

struct FrameBounds {
  /// Of a displacement of all that moves with the specimen, the rest known. None where nothing in
  /// the picture shows it (an empty field, or lines along one direction).
  std::optional<Vector> drift_px;
  std::vector<std::vector<WaveBound>> waves;  // by domain and wave of the state
};

class Bounds {
 public:
  /// Both must outlive it. It uses the renderer: not while that renders.
  Bounds(const DetectorModel& detector, Renderer& renderer);

  /// About ten times the work of rendering the frame.
  [[nodiscard]] FrameBounds of(const SpecimenState& state);

 private:
  void fill_precision(const SpecimenState& state);
  [[nodiscard]] std::optional<Vector> drift_px(const SpecimenState& state);
  [[nodiscard]] std::vector<float> slope(SpecimenState state, Vector direction);
  [[nodiscard]] std::vector<WaveBound> waves_of(const SpecimenState& state, std::size_t domain);

  const DetectorModel& detector_;
  Renderer& renderer_;
  std::vector<float> precision_;  // dose / sqrt(variance in electrons^2), for each pixel
  std::vector<float> image_;
};

}  // namespace latticed::sim
