// SPDX-License-Identifier: GPL-3.0-or-later
// How well a match fits what its list promises: arithmetic on the sums per label. Labels as in
// drift_match.hpp; noise as E|noise|^2 per bin.
#pragma once

#include <array>
#include <cstdint>

#include "server/signal/drift_match.hpp"

namespace latticed::signal {

/// Film, edge and thickness together: what knows no unit cells.
inline constexpr std::uint32_t kAperiodicLabels = 1u | 1u << kShapes;
inline constexpr std::uint32_t kReflectionLabels = ((1u << kLabels) - 1u) & ~kAperiodicLabels;

/// Residual power over the noise's: more, and a frame has not moved as a whole.
inline constexpr double kDistorted = 5.0;

/// The noise a match is judged by: of the template, and of this frame.
struct FitNoise {
  TemplateNoise of_template;
  double white = 0.0;
};

/// Of these labels together: what the list promises, and what the match has found.
[[nodiscard]] Expectation expected_of(const MatchList& list, std::uint32_t labels);
[[nodiscard]] double j_of(const MatchResult& match, std::uint32_t labels) noexcept;

/// Labels of a lattice that fills the field.
[[nodiscard]] std::uint32_t filling_labels(const MatchList& list) noexcept;

/// How badly the bins of one label fit, 1 = as well as shot noise allows (MatchList::misfit), and
/// the mean of that over the reflections, by their power.
[[nodiscard]] double misfit_of(const MatchList& list, const MatchResult& match, std::size_t label,
                               const FitNoise& noise);
[[nodiscard]] double typical_misfit(const MatchList& list, const MatchResult& match,
                                    const FitNoise& noise);

/// J of the reflections over what the template promises: 1 = a shifted copy of the lattice.
[[nodiscard]] double reflections_match(const MatchList& list, const MatchResult& match);

/// Neither film and edge agree with the template nor do the reflections as a whole: the frame is no
/// shifted copy of it but one distorted by the scan.
[[nodiscard]] bool is_distorted(const MatchList& list, const MatchResult& match,
                                const FitNoise& noise);

/// Frame noise by label: white noise times what is usual of the label's misfit.
[[nodiscard]] std::array<double, kLabels> noise_by_label(double white,
                                                         const std::array<double, kLabels>& misfit);

/// Whether a lattice that fills the field says nearly all that is known, along both axes.
[[nodiscard]] bool is_filled(const MatchList& list);
/// Whether texture alone fixes the shift to within seven times the error of everything.
[[nodiscard]] bool can_stand_alone(const MatchList& list);

}  // namespace latticed::signal
