// SPDX-License-Identifier: GPL-3.0-or-later
// Scenarios of tests, made in code; and the built-in phases.
#pragma once

#include <gtest/gtest.h>

#include "sim/scenario/scenario.hpp"
#include "sim/specimen/phase_table.hpp"

namespace latticed::sim::test {

/// A small particle that does nothing; noise and patterns of the detector off.
inline Scenario still_scenario(int size = 128) {
  Scenario scenario;
  scenario.name = "still";
  scenario.frames = 10;
  scenario.frame_period_s = 1.0;
  DetectorModel detector;
  detector.width = size;
  detector.height = size;
  detector.pixel_size_nm = 0.04;
  detector.exposure_s = 1.0;
  detector.read_noise_adu = 0.0;
  detector.dark_pattern_adu = 0.0;
  detector.gain_pattern_percent = 0.0;
  detector.hot_pixels = 0;
  scenario.detectors.push_back(detector);
  scenario.specimen.edges = {{15.0, 1.5}, {-62.0, 2.0}};
  return scenario;
}

inline const PhaseTable& phases() {
  static const PhaseTable table = [] {
    auto parsed = parse_phases(built_in_phases(), "phases.toml");
    if (!parsed) ADD_FAILURE() << parsed.error().message;
    return parsed ? *parsed : PhaseTable{};
  }();
  return table;
}

}  // namespace latticed::sim::test
