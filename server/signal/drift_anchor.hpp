// SPDX-License-Identifier: GPL-3.0-or-later
// A template as it was once, never updated. Frames are learnt where the match says, pulled a little
// towards what the anchor says: so the running template's random walk (blend x sigma a frame) is
// bounded, and the anchor's own error, common to all frames, does not add to any single one.
//
// Used by the drift tracker only. No threads, no allocation after the constructor.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "server/base/fixed_vector.hpp"
#include "server/signal/drift_bins.hpp"
#include "server/signal/drift_match.hpp"
#include "server/signal/frame_fft.hpp"
#include "server/signal/running_template.hpp"

namespace latticed::signal {

class DriftAnchor {
 public:
  DriftAnchor(const FrameFft& fft, std::size_t max_blocks);

  void forget() noexcept { is_made_ = false; }
  [[nodiscard]] bool is_made() const noexcept { return is_made_; }

  /// From the template, into which its list has been written back, the field at this shift.
  /// frame_noise: by label.
  void make(const RunningTemplate& mean, const MatchList& list, const DriftBins& bins,
            const std::array<FillingReflection, kLabels>& filling,
            const std::array<double, kLabels>& frame_noise, Vector2 shift);

  /// The field is at this shift now: too far away the anchor is forgotten, and a new one is to be
  /// made. That of a lattice that fills the field, wherever that is, holds.
  void move_on(Vector2 shift);

  struct Frame {
    const Spectrum& spectrum;
    Vector2 shift;             // where the match says
    std::uint32_t labels = 0;  // of the list that count
    double half_cell = 0.0;
  };
  /// Where this frame is to be learnt. A frame that it does not show at all makes the anchor be
  /// forgotten. bins: as they are now, a reflection may have another label than it had.
  [[nodiscard]] Vector2 pulled(const Frame& frame, const DriftBins& bins);

 private:
  [[nodiscard]] bool is_far(Vector2 shift) const noexcept;
  [[nodiscard]] std::uint32_t used_of(std::uint32_t labels, std::span<const Peak> now,
                                      bool is_far) const;

  AnalysisGrid grid_;
  WindowOverlap window_;
  PhaseRamps ramps_;
  MatchList list_;
  FixedVector<Peak, kLabels> reflections_;  // label l is [l - 1]
  Vector2 place_;                           // the shift at which it was made
  Vector2 mean_shift_;                      // of the frames in it
  bool is_made_ = false;
};

}  // namespace latticed::signal
