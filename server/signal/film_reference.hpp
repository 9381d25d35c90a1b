// SPDX-License-Identifier: GPL-3.0-or-later
// Film and edge as they were once, far from all reflections: what tells how far a lattice that
// swells has carried the match away from them (drift_leak.hpp).
//
// Used by the drift tracker only. No threads, no allocation after the constructor.
#pragma once

#include <vector>

#include "server/frame/measurements.hpp"
#include "server/signal/drift_bins.hpp"
#include "server/signal/drift_leak.hpp"
#include "server/signal/drift_match.hpp"
#include "server/signal/frame_fft.hpp"
#include "server/signal/running_template.hpp"

namespace latticed::signal {

class FilmReference {
 public:
  /// taper_excess: variance of a match over what its bins say.
  FilmReference(const FrameFft& fft, std::size_t max_blocks, double taper_excess);

  void reset();
  /// Reflections whose frequencies tell the lattice's deformation, strongest first; those followed
  /// already stay.
  void watch(std::span<const Peak> reflections) { gauge_.add(reflections); }
  /// The field is another one. The leak so far stays.
  void forget() noexcept { is_made_ = false; }

  struct Frame {
    const Spectrum& spectrum;
    const MatchResult& match;
    double white = 0.0;      // its noise power
    double half_cell = 0.0;  // film further from the match is not believed
    bool is_due = true;      // film is asked even if it has little to say
  };
  /// A frame that was matched.
  void follow(const Frame& frame);
  /// Whether follow() has found no reference to hold film against.
  [[nodiscard]] bool is_wanted() const noexcept { return !is_made_; }
  /// From the template, into which its list has been written back, the field at this shift.
  void make(const RunningTemplate& mean, const MatchList& list, const DriftBins& bins, double white,
            Vector2 shift);

  /// How far the match lies from film and edge, cells, and how well that is known.
  [[nodiscard]] Vector2 leak() const noexcept { return leak_.leak(); }
  [[nodiscard]] LatticeLeak::Doubt doubt() const noexcept { return leak_.doubt(); }

 private:
  AnalysisGrid grid_;
  double taper_excess_;
  WindowOverlap window_;
  PhaseRamps ramps_;
  DeformationGauge gauge_;
  CrystalMap crystal_;
  LatticeLeak leak_;
  MatchList film_;
  std::vector<MatchBlock> blocks_;  // scratch of make()
  Vector2 place_, mean_shift_;      // shift it was made at, mean shift of the frames in it
  double white_ = 0.0;              // frame noise its variances were worked out with
  int frames_without_ = 0;          // in a row: film asked, and not found
  bool is_made_ = false;
};

}  // namespace latticed::signal
