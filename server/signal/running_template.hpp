// SPDX-License-Identifier: GPL-3.0-or-later
// The running mean of drift-corrected spectra that frames are matched against, and how noisy it is.
// The bins of the match are learnt with every frame, in their list; all others in stripes, one a
// frame: they only have to tell where new information grows.
//
// Used by the drift tracker only. No threads, no allocation after the constructor.
#pragma once

#include "server/frame/measurements.hpp"
#include "server/signal/analysis_grid.hpp"
#include "server/signal/drift_match.hpp"

namespace latticed::signal {

class RunningTemplate {
 public:
  /// longest_memory: frames of the running mean.
  RunningTemplate(const AnalysisGrid& grid, int longest_memory);

  void reset() noexcept { frames_ = 0; }
  /// With this frame, at no shift, and its noise power.
  void begin(const Spectrum& frame, double white);

  /// Takes a frame in at this shift. memory: of the running mean at most, frames. The ramps are
  /// left at the shift.
  void learn(const Spectrum& frame, Vector2 shift, double white, int memory, MatchList& list,
             PhaseRamps& ramps);
  /// The field is another one: the next frames count more.
  void shorten_memory(int frames) noexcept;
  /// The spectrum has been put in place of another, see mean().
  void replaced(Vector2 shift, double noise, double full_noise) noexcept;

  /// The list's values are in the mean as well.
  void write_back(const MatchList& list) { list.write_back(mean_, shift_); }
  /// The list is to be chosen anew: bins from outside of it come with the noise of the rest.
  void admit_others() noexcept;
  /// Nothing fills the field: what will is learnt with all else until then.
  void join_filling() noexcept;

  [[nodiscard]] Spectrum& mean() noexcept { return mean_; }
  [[nodiscard]] const Spectrum& mean() const noexcept { return mean_; }
  [[nodiscard]] Vector2 shift() const noexcept { return shift_; }  // mean of its frames
  /// E|noise|^2 per bin: in the list, and in the rest.
  [[nodiscard]] TemplateNoise noise() const noexcept { return noise_; }
  [[nodiscard]] double full_noise() const noexcept { return full_noise_; }
  [[nodiscard]] int frames() const noexcept { return frames_; }  // since begin()

 private:
  void learn_stripe(const Spectrum& frame, double white, float blend, const PhaseRamps& ramps);

  AnalysisGrid grid_;
  int longest_memory_;
  Spectrum mean_;
  Vector2 shift_;
  TemplateNoise noise_;
  double full_noise_ = 0.0;
  int frames_ = 0, stripe_ = 0;
  int memory_ = 1;          // frames in the running mean
  int filling_memory_ = 1;  // and in that of a lattice that fills the field: no jump ends it
};

}  // namespace latticed::signal
