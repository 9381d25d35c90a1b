// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/signal/drift_landing.hpp"

#include <algorithm>
#include <cmath>

namespace latticed::signal {

namespace {

constexpr double kHomeShare = 0.4;   // of the field: less of its home is worse than a new one
constexpr double kAgreement = 0.85;  // of the J that the known field promises: the same specimen
constexpr double kSameLeak = 0.25;   // of a frame's sigma

}  // namespace

DriftLanding::DriftLanding(const FrameFft& fft, std::size_t max_blocks)
    : window_(fft.taper_x(), fft.taper_y()),
      mosaic_(fft),
      ramps_(fft.grid()),
      list_(fft.grid(), max_blocks),
      mean_cut_(fft.grid().spectrum_size()),
      frame_cut_(fft.grid().spectrum_size()),
      home_mean_(fft.grid().spectrum_size()) {}

double DriftLanding::share(const Field& known, Vector2 shift) const noexcept {
  return window_.share({shift.x - known.shift.x, shift.y - known.shift.y});
}

std::optional<DriftLanding::Found> DriftLanding::find(const Jump& jump, const Field& known,
                                                      const Spectrum& mean) {
  mosaic_.lay_template(mean, known.shift);
  mosaic_.lay_frame(jump.frame, jump.near_cells);
  mosaic_.cut(mean_cut_, frame_cut_);
  list_.choose(jump.list.block_list(), jump.list.label_begin(), mean_cut_, {}, {});
  const double white = mosaic_.cut_noise() * jump.white;
  const double noise = mosaic_.cut_noise() * known.noise;
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
  return Found{shift, {excess * c.xx, excess * c.xy, excess * c.yy}, share(known, shift)};
}

std::optional<DriftLanding::Landing> DriftLanding::land(const Jump& jump, const Field& left,
                                                        Spectrum& mean) {
  std::optional<Found> found;
  // A lattice that has swelled meanwhile would be held to where it was.
  const double swelled = std::hypot(left.leak.x - home_.leak.x, left.leak.y - home_.leak.y);
  if (has_home_ && share(home_, jump.near_cells) >= kHomeShare &&
      swelled < kSameLeak * jump.sigma_cells)
    found = find(jump, home_, home_mean_);
  if (!found) {
    std::copy_n(mean.data(), mean.size(), home_mean_.data());
    home_ = left;
    has_home_ = true;
    found = find(jump, home_, home_mean_);
  }
  if (!found) return {};
  mosaic_.lay_frame(jump.frame, found->shift_cells);
  mosaic_.join(jump.white / std::max(home_.noise, 1e-30), mean);
  // What is new in the field lies where this frame was said to be.
  const double share = found->share, is_new = 1.0 - share;
  const Covariance& c = found->covariance;
  const Field field{
      found->shift_cells,
      share * home_.noise + is_new * jump.white,
      share * home_.full_noise + is_new * jump.white,
      {home_.variance.x + is_new * is_new * c.xx, home_.variance.y + is_new * is_new * c.yy},
      left.leak};
  return Landing{found->shift_cells, found->covariance, field};
}

}  // namespace latticed::signal
