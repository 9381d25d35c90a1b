// SPDX-License-Identifier: GPL-3.0-or-later
// Drift of each frame relative to the first, in raw detector pixels.
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

 private:
  double cells_to_px_;
  signal::DriftTracker tracker_;
};

}  // namespace latticed
