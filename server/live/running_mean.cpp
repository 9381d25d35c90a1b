// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/live/running_mean.hpp"

#include <algorithm>

namespace latticed {

void RunningMean::add(std::span<const float> aligned, int width,
                      const ImageShift::Covered& covered) {
  if (sums_.size() != aligned.size()) {
    forget();
    sums_.assign(aligned.size(), 0.0f);
    weights_.assign(aligned.size(), 0.0f);
  }
  const auto keep = static_cast<float>(keep_);
  for (float& sum : sums_) sum *= keep;
  for (float& weight : weights_) weight *= keep;
  for (int y = covered.y0; y < covered.y1; ++y) {
    const std::size_t row = static_cast<std::size_t>(y) * static_cast<std::size_t>(width);
    for (std::size_t i = row + static_cast<std::size_t>(covered.x0);
         i < row + static_cast<std::size_t>(covered.x1); ++i) {
      sums_[i] += aligned[i];
      weights_[i] += 1.0f;
    }
  }
  weight_ = keep_ * weight_ + 1.0;
  squares_ = keep_ * keep_ * squares_ + 1.0;
}

}  // namespace latticed
