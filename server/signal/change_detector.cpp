// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/signal/change_detector.hpp"

#include <algorithm>
#include <cmath>

namespace latticed::signal {

namespace {

constexpr int kFramesBackToClear = 16;
constexpr double kRecent = 0.25;              // memory of the recent mean: about four values
constexpr double kLargestStandardised = 8.0;  // one outlier alone is held below most thresholds
constexpr double kLargestLearnt = 5.0;        // further out is no noise of this baseline
constexpr double kCorrelationDoubt = 0.75;    // standard errors of the measured correlation

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
      threshold_(
          cusum_threshold(config.reference_shift_sigma, config.mean_frames_between_false_alarms)) {}

void ChangeDetector::Moments::add(double u, bool has_before, double before) noexcept {
  count += 1.0;
  sum += u;
  squares += u * u;
  if (!has_before) return;
  pairs += 1.0;
  ends += u + before;
  products += u * before;
}

ChangeDetector::Moments& ChangeDetector::Moments::operator+=(const Moments& o) noexcept {
  count += o.count, sum += o.sum, squares += o.squares;
  pairs += o.pairs, ends += o.ends, products += o.products;
  return *this;
}

void ChangeDetector::reset() noexcept {
  state_ = State::learning;
  accepted_ = waiting_ = {};
  up_ = down_ = 0.0;
  has_last_ = false;
  back_ = 0;
}

double ChangeDetector::baseline() const noexcept {
  return accepted_.count > 0.0 ? origin_ + accepted_.sum / accepted_.count : 0.0;
}

double ChangeDetector::spread() const noexcept {
  const Moments& m = accepted_;
  return m.count > 1.0
             ? std::sqrt(std::max(m.squares - m.sum * m.sum / m.count, 0.0) / (m.count - 1.0))
             : 0.0;
}

double ChangeDetector::correlation() const noexcept {
  const Moments& m = accepted_;
  const double mean = m.sum / m.count;
  const double variance = m.squares / m.count - mean * mean;
  if (m.pairs < 6.0 || variance <= 0.0) return 0.0;
  const double raw = (m.products - mean * m.ends) / m.pairs + mean * mean;
  // A short series with its own mean taken off shows too little (Kendall, Biometrika 41, 1954,
  // 403).
  return std::clamp((raw / variance + 1.0 / m.count) / (1.0 - std::min(4.0 / m.count, 0.5)), -0.5,
                    0.95);
}

double ChangeDetector::standardised(double value) const noexcept {
  const double n = accepted_.count, rho = correlation();
  // Too little taken off leaves a correlation that alarms by itself (1 in 150 frames where 1 in
  // 2000 was wanted, measured), too much only dulls: so what is taken off lies above what was
  // measured.
  const double doubt = kCorrelationDoubt * std::sqrt((1.0 - rho * rho) / n);
  const double taken = has_last_ ? std::clamp(rho + doubt, 0.0, 0.95) : 0.0;
  // The variance of correlated values about their own mean is too small by what the mean followed.
  const double span = std::min((1.0 + std::max(rho, 0.0)) / (1.0 - std::max(rho, 0.0)), 0.5 * n);
  const double sigma = spread() * std::sqrt((n - 1.0) / (n - span)) *
                       std::sqrt(1.0 + taken * taken - 2.0 * taken * rho);
  const double mean = baseline();
  const double innovation = (value - mean) - taken * ((has_last_ ? last_ : mean) - mean);
  if (!(sigma > 0.0))
    return innovation == 0.0 ? 0.0 : std::copysign(kLargestStandardised, innovation);
  // The mean itself is uncertain (n/(n+1)), and the spread too: Student's t, brought to a normal
  // deviate by Wallace's approximation (Ann. Math. Stat. 30, 1959, 1124).
  const double t = innovation / sigma * std::sqrt(n / (n + 1.0));
  const double dof = std::max(n - 2.0, 1.0);
  const double z =
      std::copysign(std::sqrt(dof * std::log1p(t * t / dof)) * (1.0 - 0.75 / (4.0 * dof)), t);
  return std::clamp(z, -kLargestStandardised, kLargestStandardised);
}

bool ChangeDetector::has_returned(double smallest) noexcept {
  const bool is_back = std::abs(recent_ - baseline()) < std::max(spread(), 0.5 * smallest);
  back_ = is_back ? back_ + 1 : 0;
  return back_ >= kFramesBackToClear;
}

ChangeDetector::State ChangeDetector::add(double value, std::uint64_t seq,
                                          double smallest) noexcept {
  if (!has_last_) recent_ = origin_ = value;
  recent_ += kRecent * (value - recent_);
  if (state_ == State::learning) {
    accepted_.add(value - origin_, has_last_, last_ - origin_);
    up_since_ = down_since_ = seq;
    if (accepted_.count >= config_.baseline_frames) state_ = State::quiet;
  } else if (state_ == State::changed) {
    if (has_returned(smallest)) {
      state_ = State::quiet;
      up_ = down_ = 0.0;
      back_ = 0;
    }
  } else {
    watch(value, seq, smallest);
  }
  last_ = value;
  has_last_ = true;
  return state_;
}

void ChangeDetector::watch(double value, std::uint64_t seq, double smallest) noexcept {
  const double z = standardised(value);
  if (up_ == 0.0) up_since_ = seq;
  if (down_ == 0.0) down_since_ = seq;
  up_ = std::max(0.0, up_ + z - config_.reference_shift_sigma);
  down_ = std::max(0.0, down_ - z - config_.reference_shift_sigma);
  const double most = std::max(up_, down_);
  if (std::abs(z) < kLargestLearnt) waiting_.add(value - origin_, true, last_ - origin_);
  if (most > threshold_ && std::abs(recent_ - baseline()) > smallest) {
    state_ = State::changed;
    onset_seq_ = up_ > down_ ? up_since_ : down_since_;
    back_ = 0;
    waiting_ = {};
  } else if (most < 0.5 * threshold_) {
    // What may be the beginning of a change waits. When it was none it is learnt after all: noise
    // without its own excursions would look narrower than it is, and alarm half as often again.
    accepted_ += waiting_;
    waiting_ = {};
  }
}

}  // namespace latticed::signal
