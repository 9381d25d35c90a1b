// SPDX-License-Identifier: GPL-3.0-or-later
// Kalman filter of N numbers that walk at random, measured all at once with a covariance. How fast
// they walk is learnt: the variance of a step grows while innovations are larger than they should
// be, and shrinks while they are smaller. Used for prediction and for the `track` values only; no
// number that a frame is measured by goes through it.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>

namespace latticed::signal {

template <std::size_t N>
class RandomWalkFilter {
 public:
  using Vector = std::array<double, N>;
  using Matrix = std::array<Vector, N>;

  RandomWalkFilter() = default;
  /// `smallest_step`: standard deviation of a step per frame that is always allowed for.
  explicit RandomWalkFilter(double smallest_step) : smallest_(smallest_step * smallest_step) {}

  [[nodiscard]] bool has_state() const noexcept { return has_state_; }
  [[nodiscard]] const Vector& value() const noexcept { return value_; }
  [[nodiscard]] const Matrix& covariance() const noexcept { return covariance_; }
  void forget() noexcept { has_state_ = false; }

  /// One frame passes.
  void advance() noexcept {
    for (std::size_t i = 0; i < N; ++i) covariance_[i][i] += step_;
  }

  void update(const Vector& measured, const Matrix& noise) noexcept {
    if (!has_state_) {
      value_ = measured;
      covariance_ = noise;
      double mean = 0.0;
      for (std::size_t i = 0; i < N; ++i) mean += noise[i][i] / N;
      step_ = std::max(smallest_, kFirstStep * mean);
      has_state_ = true;
      return;
    }
    Matrix sum;
    for (std::size_t i = 0; i < N; ++i)
      for (std::size_t j = 0; j < N; ++j) sum[i][j] = covariance_[i][j] + noise[i][j];
    Vector innovation;
    for (std::size_t i = 0; i < N; ++i) innovation[i] = measured[i] - value_[i];
    Matrix inverse;
    if (!invert(sum, inverse)) return;
    double size = 0.0;
    Matrix gain;
    for (std::size_t i = 0; i < N; ++i)
      for (std::size_t j = 0; j < N; ++j) {
        size += innovation[i] * inverse[i][j] * innovation[j] / N;
        gain[i][j] = 0.0;
        for (std::size_t k = 0; k < N; ++k) gain[i][j] += covariance_[i][k] * inverse[k][j];
      }
    Matrix next = covariance_;
    for (std::size_t i = 0; i < N; ++i) {
      for (std::size_t j = 0; j < N; ++j) {
        value_[i] += gain[i][j] * innovation[j];
        for (std::size_t k = 0; k < N; ++k) next[i][j] -= gain[i][k] * covariance_[k][j];
      }
    }
    for (std::size_t i = 0; i < N; ++i)
      for (std::size_t j = 0; j < N; ++j) covariance_[i][j] = 0.5 * (next[i][j] + next[j][i]);
    step_ = std::max(smallest_, step_ * std::exp(kLearning * (std::min(size, kLargest) - 1.0)));
  }

 private:
  static constexpr double kFirstStep = 0.02;  // of the first measurement's variance
  static constexpr double kLearning = 0.1;
  static constexpr double kLargest = 9.0;  // one wild frame does not open the filter

  // Gauss-Jordan; the matrix is symmetric and positive definite.
  static bool invert(Matrix a, Matrix& out) noexcept {
    for (std::size_t i = 0; i < N; ++i)
      for (std::size_t j = 0; j < N; ++j) out[i][j] = i == j ? 1.0 : 0.0;
    for (std::size_t i = 0; i < N; ++i) {
      if (!(a[i][i] > 0.0)) return false;
      const double scale = 1.0 / a[i][i];
      for (std::size_t j = 0; j < N; ++j) {
        a[i][j] *= scale;
        out[i][j] *= scale;
      }
      for (std::size_t k = 0; k < N; ++k) {
        if (k == i) continue;
        const double factor = a[k][i];
        for (std::size_t j = 0; j < N; ++j) {
          a[k][j] -= factor * a[i][j];
          out[k][j] -= factor * out[i][j];
        }
      }
    }
    return true;
  }

  Vector value_{};
  Matrix covariance_{};
  double step_ = 0.0, smallest_ = 0.0;  // variances
  bool has_state_ = false;
};

}  // namespace latticed::signal
