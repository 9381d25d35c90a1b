// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/signal/drift_landing.hpp"

#include <algorithm>
#include <cmath>

namespace latticed::signal {

namespace {

constexpr double kLeastShare = 0.4;  // of the field: less of it is worse than the one that is left
constexpr double kAgreement = 0.85;  // of the J that the known field promises: the same specimen
constexpr double kSameLeak = 0.25;   // of a frame's sigma
constexpr double kSameBeam = 1.25;   // noise over noise: more, and the beam is another one
constexpr double kMuchBetter = 0.1;  // of the variance

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
  known.is_known = true;
}

std::optional<DriftLanding::Found> DriftLanding::find(const Jump& jump, const Known& known) {
  // Shot noise tells how bright the beam was; its own error is not to change the template.
  const double brighter = jump.white / std::max(known.field.white, 1e-30);
  const double gain = brighter > kSameBeam || brighter < 1.0 / kSameBeam ? brighter : 1.0;
  mosaic_.lay_template(known.mean, known.field.shift, gain);
  mosaic_.lay_frame(jump.frame, jump.near_cells);
  mosaic_.cut(mean_cut_, frame_cut_);
  list_.choose(jump.list.block_list(), jump.list.label_begin(), mean_cut_, {}, {});
  const double white = mosaic_.cut_noise() * jump.white;
  const double noise = mosaic_.cut_noise() * gain * gain * known.field.noise;
  // What fits worse than it does usually counts less: one step of reweighting.
  std::array<double, kLabels> misfit = jump.misfit;
  MatchResult match;
  for (const bool is_second : {false, true}) {
    std::array<double, kLabels> frame_noise;
    for (std::size_t l = 0; l < kLabels; ++l) {
      if (is_second)
        misfit[l] = std::max(misfit[l], list_.misfit(l, match.labels[l], noise, white));
      frame_noise[l] = white * misfit[l];
    }
    list_.weigh({noise, noise}, frame_noise);
    list_.load(frame_cut_);
    match = maximise(list_, jump.used, {}, jump.most_step_cells, window_, {}, ramps_);
    if (!match.is_peak) return {};
  }
  Expectation expected;
  for (std::size_t l = 0; l < kLabels; ++l)
    if (jump.used >> l & 1u) expected += list_.expected(l);
  if (match.sums.j < kAgreement * expected.j) return {};
  const double excess = mosaic_.cut_excess();
  const Covariance& c = match.covariance;
  const Vector2 shift{jump.near_cells.x + match.shift_cells.x,
                      jump.near_cells.y + match.shift_cells.y};
  const Vector2 at = known.field.shift;
  return Found{shift,
               {excess * c.xx, excess * c.xy, excess * c.yy},
               window_.share({shift.x - at.x, shift.y - at.y}),
               gain * gain * known.field.noise,
               gain * gain * known.field.full_noise};
}

std::optional<DriftLanding::Landing> DriftLanding::land(const Jump& jump, const Field& left,
                                                        Spectrum& mean) {
  std::optional<Found> found;
  const Known* held_to = nullptr;
  for (Known* known : {&first_, &there_}) {
    if (found || !is_in_reach(*known, jump.near_cells)) continue;
    const Vector2 leak = known->field.leak;
    // A lattice that has swelled meanwhile would be held to where it was.
    if (std::hypot(left.leak.x - leak.x, left.leak.y - leak.y) < kSameLeak * jump.sigma_cells)
      found = find(jump, *known);
    held_to = known;
    known->is_known = found.has_value();  // not any more, if it does not fit
  }
  if (!found) {
    Known& fresh = first_.is_known ? there_ : first_;
    keep(left, mean, fresh);
    held_to = &fresh;
    found = find(jump, fresh);
    fresh.is_known = found.has_value();
  }
  if (!found) return {};
  mosaic_.lay_frame(jump.frame, found->shift_cells);
  mosaic_.join(jump.white / std::max(found->noise, 1e-30), mean);
  const double share = found->share, is_new = 1.0 - share;
  const Field field{found->shift_cells,
                    share * found->noise + is_new * jump.white,
                    share * found->full_noise + is_new * jump.white,
                    jump.white,
                    held_to->field.variance,
                    left.leak};
  return Landing{found->shift_cells, found->covariance, field};
}

}  // namespace latticed::signal
