// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/signal/match_fit.hpp"

#include <algorithm>

namespace latticed::signal {

namespace {

constexpr double kFilled = 0.5;        // of the information
constexpr double kStandsAlone = 0.02;  // likewise: one over seven squared

constexpr double kRigidMatch = 0.7;  // aperiodic match of a frame that moved as a whole

}  // namespace

Expectation expected_of(const MatchList& list, std::uint32_t labels) {
  Expectation out;
  for (std::size_t l = 0; l < kLabels; ++l)
    if (labels >> l & 1u) out += list.expected(l);
  return out;
}

double j_of(const MatchResult& match, std::uint32_t labels) noexcept {
  double j = 0.0;
  for (std::size_t l = 0; l < kLabels; ++l)
    if (labels >> l & 1u) j += match.labels[l].j;
  return j;
}

std::uint32_t filling_labels(const MatchList& list) noexcept {
  std::uint32_t out = 0;
  for (std::size_t l = 0; l < kLabels; ++l)
    if (list.is_filling(l)) out |= 1u << l;
  return out;
}

double misfit_of(const MatchList& list, const MatchResult& match, std::size_t label,
                 const FitNoise& noise) {
  const TemplateNoise& mean = noise.of_template;
  return list.misfit(label, match.labels[label],
                     list.is_filling(label) ? mean.filling : mean.others, noise.white);
}

double typical_misfit(const MatchList& list, const MatchResult& match, const FitNoise& noise) {
  double sum = 0.0, weights = 0.0;
  for (std::size_t l = 1; l < kShapes; ++l) {
    const double power = list.expected(l).power;
    sum += power * misfit_of(list, match, l, noise);
    weights += power;
  }
  return weights > 0.0 ? sum / weights : 1.0;
}

double reflections_match(const MatchList& list, const MatchResult& match) {
  return j_of(match, kReflectionLabels) / std::max(expected_of(list, kReflectionLabels).j, 1e-30);
}

bool is_distorted(const MatchList& list, const MatchResult& match, const FitNoise& noise) {
  const double aperiodic =
      j_of(match, kAperiodicLabels) / std::max(expected_of(list, kAperiodicLabels).j, 1e-30);
  return aperiodic < kRigidMatch && typical_misfit(list, match, noise) > kDistorted;
}

std::array<double, kLabels> noise_by_label(double white,
                                           const std::array<double, kLabels>& misfit) {
  std::array<double, kLabels> out;
  std::transform(misfit.begin(), misfit.end(), out.begin(),
                 [white](double m) { return white * m; });
  return out;
}

bool is_filled(const MatchList& list) {
  const Expectation all = expected_of(list, ~0u), filling = expected_of(list, filling_labels(list));
  return filling.gxx > kFilled * all.gxx && filling.gyy > kFilled * all.gyy;
}

bool can_stand_alone(const MatchList& list) {
  const Expectation all = expected_of(list, ~0u);
  const Expectation& texture = list.expected(0);
  return texture.gxx > kStandsAlone * all.gxx && texture.gyy > kStandsAlone * all.gyy;
}

}  // namespace latticed::signal
