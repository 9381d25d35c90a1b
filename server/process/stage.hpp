// SPDX-License-Identifier: GPL-3.0-or-later
// One step of the ordered half of a frame's path. Thread: who has the ring's turn, latd-track or a
// worker (sequence_ring.hpp); never two at once. State lives by lifetime:
// what the constructor took (always), members (across frames), the Measurements (one frame).
#pragma once

#include "server/frame/frame.hpp"
#include "server/process/prepared.hpp"

namespace latticed {

class TrackStage {
 public:
  virtual ~TrackStage() = default;
  [[nodiscard]] virtual Stage stage() const noexcept = 0;

  /// Once per frame, in sequence order. Does not allocate, lock, wait or throw.
  virtual void process(const Frame& frame, const Prepared& prepared,
                       Measurements& out) noexcept = 0;

  /// Frames that never came: time has passed without a measurement.
  virtual void skip(const Frame& lost) noexcept = 0;
};

}  // namespace latticed
