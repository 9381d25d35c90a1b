// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/signal/film_reference.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace latticed::signal {

namespace {

// The leak is told by what is this far from all reflections (measured on a crystal with edges
// 0.5 nm soft: film seems to follow a third of the leak at 5 bins, a tenth at 10).
constexpr double kFarWings_bins = 10.0;
constexpr double kReach = 0.12;        // of the field: further away a new reference is made
constexpr double kSmallestFilm = 0.3;  // of the J it promises
constexpr int kPatience = 48;          // frames in which film is not found

}  // namespace

FilmReference::FilmReference(const FrameFft& fft, std::size_t max_blocks, double taper_excess)
    : grid_(fft.grid()),
      taper_excess_(taper_excess),
      window_(fft.taper_x(), fft.taper_y()),
      ramps_(grid_),
      gauge_(grid_),
      crystal_(grid_, fft.taper_x(), fft.taper_y()),
      leak_(grid_),
      film_(grid_, max_blocks) {
  blocks_.reserve(max_blocks);
}

void FilmReference::reset() {
  gauge_.reset();
  leak_.reset();
  is_made_ = false;
}

void FilmReference::make(const RunningTemplate& mean, const MatchList& list, const DriftBins& bins,
                         double white, Vector2 shift) {
  blocks_.clear();
  for (const MatchBlock& block : list.block_list().first(list.label_begin()[1]))
    if (bins.nearest_reflection(block).second >= kFarWings_bins) blocks_.push_back(block);
  std::array<std::uint32_t, kLabels + 1> begin;
  begin.fill(static_cast<std::uint32_t>(blocks_.size()));
  begin[0] = 0;
  film_.choose(blocks_, begin, mean.mean(), {}, mean.shift());
  std::array<double, kLabels> frame_noise;
  frame_noise.fill(white);
  film_.weigh(mean.noise(), frame_noise);
  place_ = shift;
  mean_shift_ = mean.shift();
  white_ = white;
  frames_without_ = 0;
  is_made_ = true;
  // Its own place is as well known as the frames in it say.
  const Expectation& expected = film_.expected(0);
  const double frames = std::max(1.0, white / std::max(mean.noise().others, 1e-30));
  leak_.begin(crystal_.place(mean.mean(), bins.reflections()),
              {taper_excess_ / (frames * std::max(expected.gxx, 1e-12)),
               taper_excess_ / (frames * std::max(expected.gyy, 1e-12))});
}

void FilmReference::follow(const Frame& frame) {
  gauge_.measure(frame.spectrum);
  const Vector2 shift = frame.match.shift_cells;
  leak_.advance(gauge_.deformation(), shift);
  const double reach = kReach * std::min(grid_.width, grid_.height);
  if (frames_without_ > kPatience || std::hypot(shift.x - place_.x, shift.y - place_.y) > reach)
    is_made_ = false;
  if (!is_made_) return;
  const double variance = std::min(frame.match.covariance.xx, frame.match.covariance.yy);
  if (!frame.is_due && !leak_.matters(variance)) return;
  const Expectation& expected = film_.expected(0);
  if (expected.gxx <= 0.0 || expected.gyy <= 0.0) return;
  film_.load(frame.spectrum);
  const MatchResult film =
      maximise(film_, 1u, shift, 0.25 * frame.half_cell, window_, mean_shift_, ramps_);
  const Vector2 off{shift.x - film.shift_cells.x, shift.y - film.shift_cells.y};
  const double excess = taper_excess_ * frame.white / white_;
  if (!film.is_peak || film.sums.j < kSmallestFilm * expected.j ||
      std::hypot(off.x, off.y) > frame.half_cell) {
    ++frames_without_;
    return;
  }
  frames_without_ = 0;
  leak_.learn(off, {excess * film.covariance.xx, excess * film.covariance.yy});
}

}  // namespace latticed::signal
