// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/signal/scan_distortion.hpp"

#include <algorithm>
#include <cmath>

namespace latticed::signal {

namespace {

constexpr double kSmallestSigma_px = 1e-3;  // of a drift; keeps the weights finite
constexpr double kUnknownShear = 0.1;       // v t while nothing is known of v

struct Line {
  double slope = 0.0, sigma = 0.0;
};

// Weighted straight line; the slope's sigma also knows how badly the points lie on one.
template <class Places, class Value>
Line fit_line(const Places& places, Value value) {
  double w = 0, wt = 0, wtt = 0, wy = 0, wty = 0;
  for (const auto& place : places) {
    const auto [y, variance] = value(place);
    const double weight = 1.0 / variance;
    w += weight, wt += weight * place.frame, wtt += weight * place.frame * place.frame;
    wy += weight * y, wty += weight * place.frame * y;
  }
  const double det = w * wtt - wt * wt;
  if (!(det > 0.0)) return {};
  const double slope = (w * wty - wt * wy) / det, at_0 = (wy - slope * wt) / w;
  double chi = 0.0;
  for (const auto& place : places) {
    const auto [y, variance] = value(place);
    const double off = y - at_0 - slope * place.frame;
    chi += off * off / variance;
  }
  const auto free = static_cast<double>(places.size()) - 2.0;
  return {slope, std::sqrt(w / det * std::max(1.0, free > 0.0 ? chi / free : 1.0))};
}

}  // namespace

void ScanDistortion::skip(std::size_t frames) noexcept {
  for (Place& place : places_) place.frame -= static_cast<double>(frames);
  std::size_t kept = 0;
  for (const Place& place : places_)
    if (place.frame > -static_cast<double>(kFrames)) places_[kept++] = place;
  places_.resize(kept);
}

void ScanDistortion::advance(const DriftMeasurement& drift) noexcept {
  if (!is_scanned()) return;
  skip(1);
  if (drift.state != DriftState::lost) {
    const auto variance = [](double sigma) {
      return sigma * sigma + kSmallestSigma_px * kSmallestSigma_px;
    };
    if (places_.size() == kFrames) {
      std::copy(places_.begin() + 1, places_.end(), places_.begin());
      places_.resize(kFrames - 1);
    }
    (void)places_.push_back({0.0,
                             drift.drift_px,
                             {variance(drift.sigma_drift_px.x), variance(drift.sigma_drift_px.y)}});
  }
  find_velocity();
}

void ScanDistortion::find_velocity() noexcept {
  struct Coordinate {
    double value, variance;
  };
  is_known_ = places_.size() >= 2 && frame_period_s_ > 0.0;
  if (!is_known_) return;
  const Line x = fit_line(places_, [](const Place& p) {
    return Coordinate{p.drift_px.x, p.variance.x};
  });
  const Line y = fit_line(places_, [](const Place& p) {
    return Coordinate{p.drift_px.y, p.variance.y};
  });
  velocity_ = {x.slope / frame_period_s_, y.slope / frame_period_s_};
  sigma_ = {x.sigma / frame_period_s_, y.sigma / frame_period_s_};
}

ScanAffine ScanDistortion::affine() const noexcept {
  if (!is_scanned() || !is_known_) return {};
  const double shear = velocity_.x * line_time_s_, stretch = velocity_.y * line_time_s_;
  return {1.0, shear / (1.0 - stretch), 0.0, 1.0 + stretch / (1.0 - stretch)};
}

Vector2 ScanDistortion::true_of(Vector2 seen) const noexcept {
  const ScanAffine a = affine();
  return {a.xx * seen.x + a.yx * seen.y, a.xy * seen.x + a.yy * seen.y};
}

Vector2 ScanDistortion::seen_of(Vector2 truth) const noexcept {
  const ScanAffine a = affine();
  return {truth.x, (truth.y - a.xy * truth.x) / a.yy};
}

double ScanDistortion::sigma_ratio(Vector2 f) const noexcept {
  if (!is_scanned()) return 0.0;
  const double radius = std::hypot(f.x, f.y);
  const double x = f.x / radius, y = f.y / radius;
  const double sx = is_known_ ? sigma_.x * line_time_s_ : kUnknownShear;
  const double sy = is_known_ ? sigma_.y * line_time_s_ : kUnknownShear;
  return std::abs(y) * std::hypot(x * sx, y * sy);
}

}  // namespace latticed::signal
