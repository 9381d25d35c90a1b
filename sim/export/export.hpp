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

/// `frames` raw frames of the first detector, MRC mode 6; the truth beside them unless `truth` is
/// empty.
Result<void> write_movie(const Scenario& scenario, const PhaseTable& phases,
                         const std::string& path, const std::string& truth, std::uint64_t frames,
                         int threads);

}  // namespace latticed::sim
