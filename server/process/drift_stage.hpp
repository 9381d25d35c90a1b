// SPDX-License-Identifier: GPL-3.0-or-later
// Drift of each frame relative to the first, in raw detector pixels. It goes on whatever happens to
// the template: a field that is begun anew begins where the specimen was measured to be.
#pragma once

#include "server/process/stage.hpp"
#include "server/signal/drift_tracker.hpp"

namespace latticed {

class DriftStage final : public TrackStage {
 public:
  DriftStage(const signal::FrameFft& fft, const signal::DriftConfig& config)
      : cells_to_px_(fft.grid().bin), tracker_(fft, config) {}

  [[nodiscard]] Stage stage() const noexcept override { return Stage::drift; }
  void process(const Frame& frame, const Prepared& prepared, Measurements& out) noexcept override;
  void skip(const Frame& lost) noexcept override;

  // Between two frames; none allocates.
  /// The next good frame is the last to be measured against this template, and the first of a new
  /// one.
  void restart() noexcept { is_restarting_ = true; }
  /// What frames are held to is the template as it is now. False: there is none yet.
  bool set_reference() noexcept { return tracker_.set_reference(); }
  /// Goes on from `other`, which measured another region. `boundary`: the last frame that `other`
  /// measured, prepared for this region; null when there is none: then the next frame is taken to
  /// be where it was expected, with that doubt.
  void take_over(const DriftStage& other, const Prepared* boundary) noexcept;

 private:
  /// Cells of one grid in those of another.
  [[nodiscard]] static signal::DriftPlace scaled(const signal::DriftPlace& place,
                                                 double factor) noexcept;
  DriftMeasurement track(const Prepared& prepared) noexcept;

  double cells_to_px_;
  signal::DriftTracker tracker_;
  bool is_restarting_ = false;
};

}  // namespace latticed
