// SPDX-License-Identifier: GPL-3.0-or-later
// True and measured series side by side, frame by frame: what the figures of a rehearsal are drawn
// from (`latticed figures`).
#pragma once

#include <ostream>

#include "sim/score/records.hpp"

namespace latticed::sim {

/// CSV with one row for each frame of the truth; cells are empty where nothing is known. Columns:
/// seq, lost, drift_state, drift and layer spacing true and measured with sigma, the stimulus, then
/// two for each phase (area fraction) and, where there are several domains, three for each of them
/// (layer spacing). The measured spacing is that of the first confirmed spot that belongs to the
/// first order of a domain's layers.
void write_series(std::ostream& out, const Truth& truth, const Measurements& measurements);

}  // namespace latticed::sim
