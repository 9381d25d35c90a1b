// SPDX-License-Identifier: GPL-3.0-or-later
// The mean of the last aligned images, older ones counting less and less. Pixels a frame did not
// reach keep what they have.
#pragma once

#include <cstddef>
#include <limits>
#include <span>
#include <vector>

#include "server/publish/image_shift.hpp"

namespace latticed {

class RunningMean {
 public:
  /// After `memory` further images, > 1, an image counts e times less.
  explicit RunningMean(double memory = 16.0) : keep_(1.0 - 1.0 / memory) {}

  void add(std::span<const float> aligned, int width, const ImageShift::Covered& covered);
  void forget() {
    sums_.clear();
    weights_.clear();
    weight_ = squares_ = 0.0;
  }

  [[nodiscard]] bool is_empty() const noexcept { return weight_ == 0.0; }
  /// NaN where no image reached.
  [[nodiscard]] float at(std::size_t i) const noexcept {
    return weights_[i] > 0.0f ? sums_[i] / weights_[i] : std::numeric_limits<float>::quiet_NaN();
  }
  /// at() of all.
  void read(std::vector<float>& out) const;
  /// As many images of equal weight would have as little noise.
  [[nodiscard]] double effective_frames() const noexcept {
    return squares_ > 0.0 ? weight_ * weight_ / squares_ : 0.0;
  }

 private:
  const double keep_;
  std::vector<float> sums_, weights_;
  double weight_ = 0.0, squares_ = 0.0;
};

}  // namespace latticed
