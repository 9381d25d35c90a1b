// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/signal/drift_landing.hpp"

#include <algorithm>
#include <cmath>

#include "server/signal/cell_doubt.hpp"

namespace latticed::signal {

namespace {

constexpr double kLeastShare = 0.4;  // of the field: less of it is worse than the one that is left
constexpr double kAgreement = 0.85;  // between frame and field, 1 = but for noise and brightness
constexpr double kSignificant = 36.0;  // J: six times its own noise
constexpr double kToldJ = 50.0;        // of film and edge: enough to tell
constexpr double kRightCell = 0.6;     // of what they promise
// Of a cell: the top of a parabola through what they say of the cells on both sides. Measured in
// fields that share 0.15 to 0.5, 2 to 20 e/px: up to 0.1, from the wrong cell 0.23 and more.
constexpr double kOffMiddle = 0.15;
constexpr double kLeastCut = 0.05;  // of a field's noise: less of both is no comparison
constexpr double kSameLeak = 0.25;  // of a frame's sigma
constexpr double kSameBeam = 1.25;  // brightness: more, and the beam is another one
constexpr double kMostBeam = 8.0;
constexpr double kMuchBetter = 0.1;  // of the variance
constexpr int kPatience = 3;         // frames in a row that do not fit: the field has changed

// cos of the angle between the two over these labels, noise taken off: amplitude is free.
double agreement(const MatchList& list, std::uint32_t used, const MatchResult& match,
                 const FitNoise& noise) {
  double is = 0.0;
  for (std::size_t l = 0; l < kLabels; ++l)
    if (used >> l & 1u)
      is +=
          2.0 * (list.frame_power(l) - list.expected(l).weight * noise.white) / list.label_noise(l);
  const double expected = expected_of(list, used).j;
  return is > 0.0 && expected > 0.0 ? match.sums.j / std::sqrt(is * expected) : 0.0;
}

}  // namespace

DriftLanding::DriftLanding(const FrameFft& fft, std::size_t max_blocks)
    : window_(fft.taper_x(), fft.taper_y()),
      mosaic_(fft),
      ramps_(fft.grid()),
      list_(fft.grid(), max_blocks),
      mean_cut_(fft.grid().spectrum_size()),
      frame_cut_(fft.grid().spectrum_size()),
      first_{Spectrum(fft.grid().spectrum_size()), {}},
      there_{Spectrum(fft.grid().spectrum_size()), {}} {}

bool DriftLanding::is_in_reach(const Known& known, Vector2 shift) const noexcept {
  const Vector2 at = known.field.shift;
  return known.is_known && window_.share({shift.x - at.x, shift.y - at.y}) >= kLeastShare;
}

bool DriftLanding::is_near_home(Vector2 shift, Vector2 variance) const noexcept {
  return is_in_reach(first_, shift) && (first_.field.variance.x < kMuchBetter * variance.x ||
                                        first_.field.variance.y < kMuchBetter * variance.y);
}

void DriftLanding::keep(const Field& field, const Spectrum& mean, Known& known) {
  std::copy_n(mean.data(), mean.size(), known.mean.data());
  known.field = field;
  known.refused = 0;
  known.is_known = true;
}

void DriftLanding::forget() noexcept {
  first_.is_known = there_.is_known = false;
  first_.refused = there_.refused = 0;
  frames_ = rest_ = kShortestRest;
}

// Frame and field as both show them, the field `gain` times as bright.
DriftLanding::Cut DriftLanding::match_cut(const Jump& jump, const Known& known, double gain) {
  mosaic_.lay_template(known.mean, known.field.shift, gain);
  mosaic_.lay_frame(jump.frame, jump.near_cells);
  const double part = mosaic_.cut_noise();
  Cut out;
  if (part < kLeastCut) return out;
  mosaic_.cut(mean_cut_, frame_cut_);
  list_.choose(jump.list.block_list(), jump.list.label_begin(), mean_cut_, {}, {});
  const double noise = part * gain * gain * known.field.noise;
  out.noise = {{noise, noise}, part * jump.white};
  // What fits worse than it does usually counts less: one step of reweighting.
  std::array<double, kLabels> misfit = jump.misfit;
  for (const bool is_second : {false, true}) {
    for (std::size_t l = 0; is_second && l < kLabels; ++l)
      misfit[l] = std::max(misfit[l], misfit_of(list_, out.match, l, out.noise));
    list_.weigh(out.noise.of_template, noise_by_label(out.noise.white, misfit));
    if (!is_second) out.aperiodic_j = expected_of(list_, kAperiodicLabels).j;
    list_.load(frame_cut_);
    out.match = maximise(list_, jump.used, {}, jump.most_step_cells, window_, {}, ramps_);
    if (!out.match.is_peak) break;
  }
  return out;
}

// A lattice agrees in every cell; film and edge, where they are something, in one.
bool DriftLanding::has_cell(const Jump& jump, const Cut& cut) {
  if (cut.aperiodic_j < kToldJ) return !jump.is_far;
  const double here = j_of(cut.match, kAperiodicLabels);
  if (here < kRightCell * expected_of(list_, kAperiodicLabels).j) return false;
  return !jump.is_far || is_middle_cell(jump, cut.match.shift_cells, here);
}

// An edge fits nearly as well a cell away, and where the cut is not quite the same in both it may
// lead there by more than noise does. But it falls off alike to both sides of the right cell.
bool DriftLanding::is_middle_cell(const Jump& jump, Vector2 at, double here) {
  const auto lead_over = [&](Vector2 way, double sign) {
    ramps_.set({at.x + sign * way.x, at.y + sign * way.y});
    return here - list_.sum(0, ramps_).j - list_.sum(kShapes, ramps_).j;
  };
  return std::all_of(jump.cells_around.begin(), jump.cells_around.end(), [&](Vector2 way) {
    const double before = lead_over(way, -1.0), after = lead_over(way, 1.0);
    return std::min(before, after) > CellDoubt::kSure_nats &&
           0.5 * std::abs(before - after) < kOffMiddle * (before + after);
  });
}

// The same specimen, moved as a whole and no further than it was said to be.
bool DriftLanding::is_same(const Jump& jump, const Cut& cut) {
  const MatchResult& match = cut.match;
  return match.is_peak && match.sums.j > kSignificant &&
         std::hypot(match.shift_cells.x, match.shift_cells.y) < 2.0 * jump.most_step_cells &&
         agreement(list_, jump.used, match, cut.noise) > kAgreement && has_cell(jump, cut) &&
         !is_distorted(list_, match, cut.noise);
}

std::optional<DriftLanding::Found> DriftLanding::find(const Jump& jump, const Known& known) {
  double gain = 1.0;
  Cut cut = match_cut(jump, known, gain);
  const double brighter = cut.match.sums.j / std::max(expected_of(list_, jump.used).j, 1e-30);
  // Its own error is not to change the template.
  if (cut.match.is_peak && (brighter > kSameBeam || brighter < 1.0 / kSameBeam)) {
    gain = std::clamp(brighter, 1.0 / kMostBeam, kMostBeam);
    cut = match_cut(jump, known, gain);
  }
  if (!is_same(jump, cut)) return {};
  const double noise = gain * gain * known.field.noise;
  const double excess = mosaic_.cut_excess() * (1.0 + noise / jump.white);
  const Covariance& c = cut.match.covariance;
  const Vector2 shift{jump.near_cells.x + cut.match.shift_cells.x,
                      jump.near_cells.y + cut.match.shift_cells.y};
  const Vector2 at = known.field.shift;
  return Found{shift,
               {excess * c.xx, excess * c.xy, excess * c.yy},
               window_.share({shift.x - at.x, shift.y - at.y}),
               noise,
               gain * gain * known.field.full_noise};
}

// One frame that does not fit may be a bad one. A lattice that has swelled meanwhile would be held
// to where it was.
std::optional<DriftLanding::Found> DriftLanding::ask(const Jump& jump, const Field& left,
                                                     Known& known) {
  if (!is_in_reach(known, jump.near_cells)) return {};
  const Vector2 leak = known.field.leak;
  if (std::hypot(left.leak.x - leak.x, left.leak.y - leak.y) >= kSameLeak * jump.sigma_cells) {
    known.is_known = false;
    return {};
  }
  const std::optional<Found> found = find(jump, known);
  if (found) known.refused = 0;
  if (!found && is_new_frame_) ++known.refused;
  if (known.refused >= kPatience) known.is_known = false;
  return found;
}

std::optional<DriftLanding::Landing> DriftLanding::land(const Jump& jump, const Field& left, To to,
                                                        Spectrum& mean) {
  is_new_frame_ = frames_ > 0;
  frames_ = 0;
  const Known* held_to = &first_;
  std::optional<Found> found = ask(jump, left, first_);
  if (!found && to == To::any) {
    held_to = &there_;
    found = ask(jump, left, there_);
  }
  if (!found && to == To::any) {
    Known& fresh = first_.is_known ? there_ : first_;
    keep(left, mean, fresh);
    held_to = &fresh;
    found = find(jump, fresh);
    fresh.is_known = found.has_value();
  }
  if (!found) {
    if (is_new_frame_) was_vain();
    return {};
  }
  if (to == To::any) rest_ = kShortestRest;
  mosaic_.lay_frame(jump.frame, found->shift_cells);
  mosaic_.join(jump.white / std::max(found->noise, 1e-30), mean);
  const double share = found->share, is_new = 1.0 - share;
  const Field field{found->shift_cells, share * found->noise + is_new * jump.white,
                    share * found->full_noise + is_new * jump.white, held_to->field.variance,
                    left.leak};
  return Landing{found->shift_cells, found->covariance, field};
}

}  // namespace latticed::signal
