// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/signal/scan_distortion.hpp"

#include <algorithm>
#include <cmath>

namespace latticed::signal {

namespace {

constexpr double kSmallestSigma_px = 1e-3;  // of a drift; keeps the weights finite
constexpr double kUnknownShear = 0.1;       // v t while nothing is known of v

struct Slope {
  double value = 0.0, sigma = 0.0;
};

// Weighted polynomial of `terms` coefficients (2 or 3) through the places; its slope at frame 0.
// The slope's sigma also knows how badly the points lie on it. Normal equations by Gauss-Jordan.
template <class Places, class Value>
Slope fit_slope(const Places& places, int terms, Value value) {
  double a[3][6] = {};  // the matrix, and beside it what becomes its inverse
  double right[3] = {};
  for (int i = 0; i < terms; ++i) a[i][3 + i] = 1.0;
  for (const auto& place : places) {
    const auto [y, variance] = value(place);
    const double power[3] = {1.0, place.frame, place.frame * place.frame};
    for (int i = 0; i < terms; ++i) {
      right[i] += power[i] * y / variance;
      for (int j = 0; j < terms; ++j) a[i][j] += power[i] * power[j] / variance;
    }
  }
  for (int i = 0; i < terms; ++i) {
    if (!(a[i][i] > 0.0)) return {};
    for (int j = 0; j < terms; ++j) {
      if (j == i) continue;
      const double factor = a[j][i] / a[i][i];
      for (int k = 0; k < 6; ++k) a[j][k] -= factor * a[i][k];
    }
  }
  double coefficient[3] = {};
  for (int i = 0; i < terms; ++i)
    for (int j = 0; j < terms; ++j) coefficient[i] += a[i][3 + j] / a[i][i] * right[j];
  double chi = 0.0;
  for (const auto& place : places) {
    const auto [y, variance] = value(place);
    const double off = y - coefficient[0] - coefficient[1] * place.frame -
                       coefficient[2] * place.frame * place.frame;
    chi += off * off / variance;
  }
  const double free = static_cast<double>(places.size()) - terms;
  return {coefficient[1],
          std::sqrt(a[1][4] / a[1][1] * std::max(1.0, free > 0.0 ? chi / free : 1.0))};
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
  const int terms = places_.size() < 4 ? 2 : 3;
  const Slope x = fit_slope(places_, terms, [](const Place& p) {
    return Coordinate{p.drift_px.x, p.variance.x};
  });
  const Slope y = fit_slope(places_, terms, [](const Place& p) {
    return Coordinate{p.drift_px.y, p.variance.y};
  });
  velocity_ = {x.value / frame_period_s_, y.value / frame_period_s_};
  sigma_ = {x.sigma / frame_period_s_, y.sigma / frame_period_s_};
}

void ScanDistortion::set_velocity(const MeanVelocity& mean) noexcept {
  is_known_ = mean.is_known && frame_period_s_ > 0.0;
  if (!is_known_) return;
  velocity_ = {mean.px_per_frame.x / frame_period_s_, mean.px_per_frame.y / frame_period_s_};
  sigma_ = {mean.sigma.x / frame_period_s_, mean.sigma.y / frame_period_s_};
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
