// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/signal/drift_anchor.hpp"

#include <algorithm>
#include <cmath>

#include "server/signal/match_fit.hpp"

namespace latticed::signal {

namespace {

constexpr double kPull = 0.2;      // of the anchor's disagreement
constexpr double kReach = 0.04;    // of the field: further away a new anchor is made
constexpr int kSameBin = 1;        // to either side: the same reflection
constexpr double kAgrees = 0.5;    // of the J it promises: may pull
constexpr double kForeign = 0.2;   // likewise: less, and it is of another field
constexpr double kMostOff = 0.25;  // of half a cell

}  // namespace

DriftAnchor::DriftAnchor(const FrameFft& fft, std::size_t max_blocks)
    : grid_(fft.grid()),
      window_(fft.taper_x(), fft.taper_y()),
      ramps_(grid_),
      list_(grid_, max_blocks) {}

void DriftAnchor::make(const RunningTemplate& mean, const MatchList& list, const DriftBins& bins,
                       const std::array<FillingReflection, kLabels>& filling,
                       const std::array<double, kLabels>& frame_noise, Vector2 shift) {
  list_.choose(list.block_list(), list.label_begin(), mean.mean(), filling, mean.shift());
  list_.weigh(mean.noise(), frame_noise);
  reflections_.clear();
  for (const Peak& peak : bins.reflections()) (void)reflections_.push_back(peak);
  place_ = shift;
  mean_shift_ = mean.shift();
  is_made_ = true;
}

bool DriftAnchor::is_far(Vector2 shift) const noexcept {
  return std::hypot(shift.x - place_.x, shift.y - place_.y) >
         kReach * std::min(grid_.width, grid_.height);
}

void DriftAnchor::move_on(Vector2 shift) {
  if (is_far(shift) && !is_filled(list_)) is_made_ = false;
}

// Its labels that are used as the list's are. When the field has moved far, those of the lattice
// that fills it.
std::uint32_t DriftAnchor::used_of(std::uint32_t labels, std::span<const Peak> now,
                                   bool is_far) const {
  std::uint32_t out = is_far ? 0u : labels & kAperiodicLabels;
  for (std::size_t l = 1; l <= reflections_.size(); ++l) {
    if (is_far && !list_.is_filling(l)) continue;
    const Peak& then = reflections_[l - 1];
    for (std::size_t m = 1; m <= now.size(); ++m)
      if (labels >> m & 1u && std::abs(then.kx - now[m - 1].kx) <= kSameBin &&
          std::abs(then.ky - now[m - 1].ky) <= kSameBin)
        out |= 1u << l;
  }
  return out;
}

Vector2 DriftAnchor::pulled(const Frame& frame, const DriftBins& bins) {
  if (!is_made_) return frame.shift;
  const bool far = is_far(frame.shift);
  const std::uint32_t used = used_of(frame.labels, bins.reflections(), far);
  list_.load(frame.spectrum);
  const MatchResult match =
      maximise(list_, used, frame.shift, kMostOff * frame.half_cell, window_, mean_shift_, ramps_);
  const double agreement = match.sums.j / std::max(expected_of(list_, used).j, 1e-30);
  const Vector2 off{match.shift_cells.x - frame.shift.x, match.shift_cells.y - frame.shift.y};
  if (!match.is_peak || agreement < kAgrees ||
      std::hypot(off.x, off.y) > kMostOff * frame.half_cell) {
    // Far away it can only say where within a cell: what it is off by there has grown with the way.
    if (agreement < kForeign || far) is_made_ = false;
    return frame.shift;
  }
  return {frame.shift.x + kPull * off.x, frame.shift.y + kPull * off.y};
}

}  // namespace latticed::signal
