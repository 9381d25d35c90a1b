// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/process/drift_stage.hpp"

#include <algorithm>

namespace latticed {

void DriftStage::process(const Frame& frame, const Prepared& prepared, Measurements& out) noexcept {
  out.drift = prepared.quality == FrameQuality::good
                  ? tracker_.track(prepared.spectrum, prepared.peaks.noise,
                                   {prepared.peaks.peaks.begin(), prepared.peaks.peaks.size()})
                  : tracker_.skip();
  for (Vector2* value : {&out.drift.drift_px, &out.drift.sigma_drift_px}) {
    value->x *= cells_to_px_;
    value->y *= cells_to_px_;
  }
  if (frame.seq == 0) out.drift.drift_px = {};
}

void DriftStage::skip(const Frame& lost) noexcept {
  // A gap longer than the tracker's patience needs no more steps to be a gap.
  const auto steps = std::min<std::uint64_t>(lost.header.lost_count, 64);
  for (std::uint64_t i = 0; i < steps; ++i) (void)tracker_.skip();
}

}  // namespace latticed
