// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/process/drift_stage.hpp"

#include <algorithm>

namespace latticed {

DriftMeasurement DriftStage::track(const Prepared& prepared) noexcept {
  return tracker_.track(prepared.spectrum, prepared.peaks.noise,
                        {prepared.peaks.peaks.begin(), prepared.peaks.peaks.size()});
}

void DriftStage::process(const Frame& frame, const Prepared& prepared, Measurements& out) noexcept {
  const bool is_good = prepared.quality == FrameQuality::good;
  out.drift = is_good ? track(prepared) : tracker_.skip();
  if (is_restarting_ && is_good) {
    tracker_.restart(tracker_.place());
    (void)track(prepared);
    is_restarting_ = false;
  }
  for (Vector2* value :
       {&out.drift.drift_px, &out.drift.sigma_drift_px, &out.drift.sigma_drift_sys_px}) {
    value->x *= cells_to_px_;
    value->y *= cells_to_px_;
  }
  if (frame.seq == 0) out.drift.drift_px = {};
}

signal::DriftPlace DriftStage::scaled(const signal::DriftPlace& place, double factor) noexcept {
  const auto times = [&](Vector2 v) { return Vector2{v.x * factor, v.y * factor}; };
  return {times(place.drift), times(place.sigma), times(place.velocity), place.innovation * factor};
}

void DriftStage::take_over(const DriftStage& other, const Prepared* boundary) noexcept {
  const signal::DriftPlace place =
      boundary ? other.tracker_.place() : other.tracker_.expected_place();
  tracker_.restart(scaled(place, other.cells_to_px_ / cells_to_px_));
  if (boundary) (void)track(*boundary);
}

void DriftStage::skip(const Frame& lost) noexcept {
  // A gap longer than the tracker's patience needs no more steps to be a gap.
  const auto steps = std::min<std::uint64_t>(lost.header.lost_count, 64);
  for (std::uint64_t i = 0; i < steps; ++i) (void)tracker_.skip();
}

}  // namespace latticed
