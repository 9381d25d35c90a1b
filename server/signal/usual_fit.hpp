// SPDX-License-Identifier: GPL-3.0-or-later
// How the frames of a template fit it usually: running means of each label's misfit and residual
// phase, of how much film and edge are found of what is promised, and of how they pull. What is
// unlike that is strange, and a reflection whose phase moves is left out.
//
// Used by the drift tracker only. No threads.
#pragma once

#include <array>
#include <complex>
#include <cstdint>

#include "server/frame/measurements.hpp"
#include "server/signal/drift_match.hpp"
#include "server/signal/match_fit.hpp"

namespace latticed::signal {

class UsualFit {
 public:
  void reset() noexcept;
  /// The labels may mean other reflections now: what was learnt about them no longer holds.
  void forget_labels() noexcept;

  /// A frame that was matched. pull: the slope of the likelihood of film and edge, in its standard
  /// deviations.
  void learn(const MatchList& list, const MatchResult& match, const FitNoise& noise, Vector2 pull);

  /// Film and edge fit worse than they do usually, or they surely pull towards another place (a
  /// score test).
  [[nodiscard]] bool is_strange(const MatchList& list, const MatchResult& match,
                                const FitNoise& noise, Vector2 pull) const;

  /// Whether they pull otherwise than usually, as noise does in a frame of ten.
  [[nodiscard]] bool is_unusual(Vector2 pull) const noexcept;

  /// Labels the match may stand on.
  [[nodiscard]] std::uint32_t labels() const noexcept { return labels_; }
  /// Residual over shot noise by label, 1 or more.
  [[nodiscard]] const std::array<double, kLabels>& misfit() const noexcept { return misfit_; }
  /// J of film and edge over what is promised, 0 to 1.
  [[nodiscard]] double aperiodic() const noexcept { return aperiodic_; }

 private:
  [[nodiscard]] double unusual(Vector2 pull) const noexcept;
  void watch_phases(const MatchList& list, const MatchResult& match);

  std::array<double, kLabels> misfit_{};
  std::array<std::complex<double>, kLabels> turn_{};  // of the residual phase, mean of exp(i phase)
  std::uint32_t labels_ = ~0u;
  double aperiodic_ = 1.0, aperiodic_scatter_ = 0.0;
  Vector2 pull_;
  double pull_scatter_ = 1.0;
};

}  // namespace latticed::signal
