// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/signal/cell_doubt.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace latticed::signal {

namespace {

constexpr double kRarestStep_nats = 14.0;
constexpr double kAmplitudeSigma = 0.15;
constexpr double kOutOfQuestion_nats = 40.0;

}  // namespace

double step_nats(double step_cells, double usual_step_cells) noexcept {
  const double ratio = step_cells / std::max(usual_step_cells, 1e-9);
  return -std::min(kRarestStep_nats, 2.0 * std::log1p(ratio * ratio));
}

double presence_nats(double j, double expected_j) noexcept {
  constexpr double kPrior = 1.0 / (kAmplitudeSigma * kAmplitudeSigma);
  const double amplitude = std::max(0.0, (j + kPrior) / (expected_j + kPrior));
  const double off = 1.0 - amplitude;
  return amplitude * j - 0.5 * amplitude * amplitude * expected_j - 0.5 * kPrior * off * off;
}

void CellDoubt::open() noexcept {
  places_.clear();
  frames_ = frames_elsewhere_ = 0;
  misfit_sum_ = 0.0;
  is_open_ = true;
}

bool CellDoubt::add(Vector2 offset, double prior_nats, double apart_cells) noexcept {
  for (const Place& place : places_)
    if (std::hypot(place.offset_cells.x - offset.x, place.offset_cells.y - offset.y) < apart_cells)
      return false;
  return places_.push_back({offset, prior_nats, 0.0});
}

void CellDoubt::weigh(std::span<const double> nats, std::span<const Vector2> offsets, double misfit,
                      bool may_be_elsewhere) noexcept {
  for (std::size_t i = 0; i < places_.size(); ++i) {
    places_[i].sum_nats += misfit * nats[i];
    places_[i].offset_cells = offsets[i];
  }
  misfit_sum_ += misfit;
  ++frames_;
  frames_elsewhere_ += may_be_elsewhere ? 1 : 0;
}

// The mean of n frames has the variance v (1 / n + misfit - 1).
double CellDoubt::evidence(const Place& place) const noexcept {
  if (frames_ == 0) return place.prior_nats;
  const double misfit = misfit_sum_ / frames_;
  return place.prior_nats + place.sum_nats / (1.0 + frames_ * (misfit - 1.0));
}

// Elsewhere J is nought; the step there was one of the rarest.
double CellDoubt::elsewhere_evidence() const noexcept {
  return frames_elsewhere_ > 0 ? -kRarestStep_nats : -std::numeric_limits<double>::infinity();
}

std::size_t CellDoubt::leader() const noexcept {
  std::size_t best = 0;
  for (std::size_t i = 1; i < places_.size(); ++i)
    if (evidence(places_[i]) > evidence(places_[best])) best = i;
  return best;
}

double CellDoubt::lead_nats() const noexcept {
  if (places_.empty()) return -std::numeric_limits<double>::infinity();
  const std::size_t best = leader();
  double second = elsewhere_evidence();
  for (std::size_t i = 0; i < places_.size(); ++i)
    if (i != best) second = std::max(second, evidence(places_[i]));
  return evidence(places_[best]) - second;
}

void CellDoubt::go_on_from_leader() noexcept {
  if (places_.empty()) return;
  const Place best = places_[leader()];
  const double least = evidence(best) - kOutOfQuestion_nats;
  std::size_t kept = 0;
  for (std::size_t i = 0; i < places_.size(); ++i) {
    Place place = places_[i];
    if (evidence(place) < least) continue;
    place.offset_cells.x -= best.offset_cells.x;
    place.offset_cells.y -= best.offset_cells.y;
    places_[kept++] = place;
  }
  places_.resize(kept);
}

Vector2 CellDoubt::spread(Vector2 far_cells) const noexcept {
  if (places_.empty()) return far_cells;
  const Place& best = places_[leader()];
  const double least = std::max(evidence(best), elsewhere_evidence()) - kSure_nats;
  Vector2 out;
  if (elsewhere_evidence() >= least) out = far_cells;
  for (const Place& place : places_) {
    if (evidence(place) < least) continue;
    out.x = std::max(out.x, std::abs(place.offset_cells.x - best.offset_cells.x));
    out.y = std::max(out.y, std::abs(place.offset_cells.y - best.offset_cells.y));
  }
  return out;
}

}  // namespace latticed::signal
