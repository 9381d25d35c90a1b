// SPDX-License-Identifier: GPL-3.0-or-later
// Files of a scenario without any client: the references a server corrects frames with, and movies
// of raw frames with their truth.
#pragma once

#include <string>

#include "drivers/kit/result.hpp"
#include "sim/scenario/scenario.hpp"
#include "sim/specimen/phase_table.hpp"

namespace latticed::sim {

/// Measured as one would at the microscope, each the mean of `frames` frames, MRC mode 2, for every
/// detector: DIR/dark.mrc, the mean with the beam blanked, ADU; DIR/gain.mrc, the mean of an empty
/// field less the dark, divided by its own mean. With several detectors: dark_NAME.mrc,
/// gain_NAME.mrc.
Result<void> write_references(const Scenario& scenario, const std::string& directory, int frames);

struct MovieOptions {
  std::string path;
  std::string truth;               // file; empty = none
  std::uint64_t bounds_every = 0;  // frames of the truth with their bounds: every so many; 0 = none
  int threads = 1;
};

/// The scenario's frames of the first detector, raw, MRC mode 6, and the truth beside them.
Result<void> write_movie(const Scenario& scenario, const PhaseTable& phases,
                         const MovieOptions& options);

}  // namespace latticed::sim
