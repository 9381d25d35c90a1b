// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/signal/usual_fit.hpp"

#include <algorithm>
#include <cmath>

namespace latticed::signal {

namespace {

constexpr double kBlend = 0.1;
// Of the slope of film and edge, in standard deviations: one cell too far is 9 of them on a
// particle at 2 e/px. A false alarm costs a search, no flag.
constexpr double kStrangePull = 6.0;
constexpr double kUnusualPull = 2.0;
constexpr double kMostScatter = 1.5;  // what the pull is held to at most
constexpr double kOwnPhaseJ = 50.0;   // fainter reflections have no phase of their own
constexpr double kMovedPhase_rad = 0.1;
constexpr double kBackAgain = 0.4;  // of the limit

}  // namespace

void UsualFit::reset() noexcept {
  *this = {};
  misfit_.fill(1.0);
  turn_.fill(1.0);
}

void UsualFit::forget_labels() noexcept {
  misfit_.fill(misfit_[0]);
  turn_.fill(1.0);
  labels_ = ~0u;
}

void UsualFit::learn(const MatchList& list, const MatchResult& match, const FitNoise& noise,
                     Vector2 pull) {
  for (std::size_t l = 0; l < kLabels; ++l)
    misfit_[l] += kBlend * (misfit_of(list, match, l, noise) - misfit_[l]);
  watch_phases(list, match);

  const double aperiodic =
      j_of(match, kAperiodicLabels) / std::max(expected_of(list, kAperiodicLabels).j, 1e-30);
  const double unusual = std::clamp(aperiodic, 0.0, 1.5) - aperiodic_;
  aperiodic_scatter_ += kBlend * (std::min(std::abs(unusual), 0.1) - aperiodic_scatter_);
  aperiodic_ = std::min(1.0, aperiodic_ + kBlend * unusual);

  const Vector2 change{pull.x - pull_.x, pull.y - pull_.y};
  pull_ = {pull_.x + kBlend * change.x, pull_.y + kBlend * change.y};
  pull_scatter_ +=
      kBlend * (std::min(0.8 * std::hypot(change.x, change.y), kMostScatter) - pull_scatter_);
}

void UsualFit::watch_phases(const MatchList& list, const MatchResult& match) {
  // Only where the rest is enough to stand on may reflections be left out.
  const bool may_leave_out = can_stand_alone(list);
  for (std::size_t l = 1; l < kShapes; ++l) {
    const double expected = list.expected(l).j;
    if (expected < kOwnPhaseJ) continue;
    const MatchSums& sums = match.labels[l];
    // Turns are averaged, not angles: those of half a turn are +pi and -pi by chance.
    const std::complex<double> found{sums.j, sums.j_imag};
    turn_[l] += kBlend * (found / std::max(std::abs(found), 1e-30) - turn_[l]);
    const double phase = std::abs(std::arg(turn_[l]));
    const double sigma = std::sqrt(kBlend / 2.0 / expected) * std::sqrt(misfit_[l]);
    const double limit = std::max(kMovedPhase_rad, 5.0 * sigma);
    const std::uint32_t bit = 1u << l;
    if (may_leave_out && phase > limit)
      labels_ &= ~bit;
    else if (!may_leave_out || phase < kBackAgain * limit)
      labels_ |= bit;
  }
}

bool UsualFit::is_strange(const MatchList& list, const MatchResult& match, const FitNoise& noise,
                          Vector2 pull) const {
  const double expected = std::max(expected_of(list, kAperiodicLabels).j, 1e-30);
  const double found = j_of(match, kAperiodicLabels) / expected;
  const double doubt = std::sqrt((1.0 + noise.of_template.others / noise.white) / expected);
  if (found < aperiodic_ - std::max({0.2, 6.0 * doubt, 5.0 * aperiodic_scatter_})) return true;
  if (found < 0.4 && 1.0 - found > 6.0 * doubt) return true;
  return unusual(pull) > kStrangePull;
}

bool UsualFit::is_unusual(Vector2 pull) const noexcept { return unusual(pull) > kUnusualPull; }

double UsualFit::unusual(Vector2 pull) const noexcept {
  return std::hypot(pull.x - pull_.x, pull.y - pull_.y) / std::max(1.0, pull_scatter_);
}

}  // namespace latticed::signal
