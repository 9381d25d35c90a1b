// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/signal/change_detector.hpp"

#include <algorithm>
#include <cmath>

namespace latticed::signal {

namespace {

constexpr int kFramesBackToClear = 16;
constexpr double kRecent = 0.25;  // memory of the recent mean: about four values
constexpr double kLargestStandardised = 8.0;  // one outlier alone is held below most thresholds

}  // namespace

double cusum_threshold(double k, double frames) {
  // ARL of one side = (exp(2 k b) - 2 k b - 1) / (2 k^2), b = h + 1.166; two sides halve it.
  const double wanted = 2.0 * frames;
  double low = 0.0, high = 200.0;
  for (int i = 0; i < 80; ++i) {
    const double h = 0.5 * (low + high), u = 2.0 * k * (h + 1.166);
    const double frames_at_h = u > 600.0 ? 1e300 : (std::exp(u) - u - 1.0) / (2.0 * k * k);
    (frames_at_h < wanted ? low : high) = h;
  }
  return 0.5 * (low + high);
}

ChangeDetector::ChangeDetector(const ChangeConfig& config)
    : config_(config),
      threshold_(cusum_threshold(config.reference_shift_sigma,
                                 config.mean_frames_between_false_alarms)) {}

void ChangeDetector::reset() noexcept {
  state_ = State::learning;
  count_ = 0;
  mean_ = squares_ = lagged_ = up_ = down_ = 0.0;
  has_last_ = false;
  back_ = 0;
}

double ChangeDetector::spread() const noexcept {
  return count_ > 1 ? std::sqrt(squares_ / static_cast<double>(count_ - 1)) : 0.0;
}

double ChangeDetector::correlation() const noexcept {
  if (count_ < 8 || squares_ <= 0.0) return 0.0;
  // Shrunk by its own standard error 1/sqrt(n): a short baseline must not invent a correlation.
  const double raw = lagged_ / squares_;
  const double error = 1.0 / std::sqrt(static_cast<double>(count_));
  return std::clamp(raw - error, 0.0, 0.95);
}

void ChangeDetector::learn(double value) noexcept {
  ++count_;
  const double before = value - mean_;
  mean_ += before / static_cast<double>(count_);
  squares_ += before * (value - mean_);
  if (has_last_) lagged_ += (last_ - mean_) * (value - mean_);
}

double ChangeDetector::standardised(double value) const noexcept {
  const double rho = has_last_ ? correlation() : 0.0;
  const double sigma = spread() * std::sqrt(1.0 - rho * rho);
  const auto n = static_cast<double>(count_);
  const double innovation = (value - mean_) - rho * ((has_last_ ? last_ : mean_) - mean_);
  if (sigma <= 0.0) return innovation == 0.0 ? 0.0 : std::copysign(kLargestStandardised, innovation);
  // The mean itself is uncertain (n/(n+1)), and the spread too: Student's t, brought to a normal
  // deviate by Wallace's approximation (Ann. Math. Stat. 30, 1959, 1124).
  const double t = innovation / sigma * std::sqrt(n / (n + 1.0));
  const double dof = std::max(n - 1.0, 1.0);
  const double z = std::copysign(std::sqrt(dof * std::log1p(t * t / dof)) * (1.0 - 0.75 / (4.0 * dof)), t);
  return std::clamp(z, -kLargestStandardised, kLargestStandardised);
}

ChangeDetector::State ChangeDetector::add(double value, std::uint64_t seq,
                                          double smallest) noexcept {
  recent_ = has_last_ ? recent_ + kRecent * (value - recent_) : value;
  if (count_ < static_cast<std::uint64_t>(config_.baseline_frames)) {
    learn(value);
    last_ = value;
    has_last_ = true;
    up_since_ = down_since_ = seq;
    state_ = count_ < static_cast<std::uint64_t>(config_.baseline_frames) ? State::learning
                                                                         : State::quiet;
    return state_;
  }
  const double z = standardised(value);
  if (state_ == State::changed) {
    const bool is_back = std::abs(recent_ - mean_) < std::max(spread(), 0.5 * smallest);
    back_ = is_back ? back_ + 1 : 0;
    if (back_ >= kFramesBackToClear) {
      state_ = State::quiet;
      up_ = down_ = 0.0;
      back_ = 0;
    }
    last_ = value;
    return state_;
  }
  if (up_ == 0.0) up_since_ = seq;
  if (down_ == 0.0) down_since_ = seq;
  up_ = std::max(0.0, up_ + z - config_.reference_shift_sigma);
  down_ = std::max(0.0, down_ - z - config_.reference_shift_sigma);
  const bool is_large = std::abs(recent_ - mean_) > smallest;
  if (std::max(up_, down_) > threshold_ && is_large) {
    state_ = State::changed;
    onset_seq_ = up_ > down_ ? up_since_ : down_since_;
    back_ = 0;
  } else if (std::max(up_, down_) < 0.5 * threshold_) {
    learn(value);  // what may be the beginning of a change is not taken into the baseline
  }
  last_ = value;
  has_last_ = true;
  return state_;
}

}  // namespace latticed::signal
