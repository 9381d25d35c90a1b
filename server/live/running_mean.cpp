// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/live/running_mean.hpp"

#include <algorithm>

#include "server/base/hot.hpp"

namespace latticed {
namespace {

LATTICED_HOT void fade(float* sums, float* weights, std::size_t count, float keep) {
  for (std::size_t i = 0; i < count; ++i) {
    sums[i] *= keep;
    weights[i] *= keep;
  }
}

LATTICED_HOT void fade_and_add(float* sums, float* weights, const float* image, std::size_t count,
                               float keep) {
  for (std::size_t i = 0; i < count; ++i) {
    sums[i] = sums[i] * keep + image[i];
    weights[i] = weights[i] * keep + 1.0f;
  }
}

LATTICED_HOT void divide(const float* sums, const float* weights, std::size_t count, float* out) {
  constexpr float kNothing = std::numeric_limits<float>::quiet_NaN();
  for (std::size_t i = 0; i < count; ++i) {
    const float mean = sums[i] / (weights[i] > 0.0f ? weights[i] : 1.0f);
    out[i] = weights[i] > 0.0f ? mean : kNothing;
  }
}

}  // namespace

void RunningMean::add(std::span<const float> aligned, int width,
                      const ImageShift::Covered& covered) {
  if (sums_.size() != aligned.size()) {
    forget();
    sums_.assign(aligned.size(), 0.0f);
    weights_.assign(aligned.size(), 0.0f);
  }
  const auto keep = static_cast<float>(keep_);
  const auto at = [&](int x, int y) {
    return static_cast<std::size_t>(y) * static_cast<std::size_t>(width) +
           static_cast<std::size_t>(x);
  };
  std::size_t done = 0;  // each pixel is touched once
  const auto fade_up_to = [&](std::size_t end) {
    fade(sums_.data() + done, weights_.data() + done, end - done, keep);
    done = end;
  };
  for (int y = covered.y0; y < covered.y1 && covered.x0 < covered.x1; ++y) {
    fade_up_to(at(covered.x0, y));
    const std::size_t end = at(covered.x1, y);
    fade_and_add(sums_.data() + done, weights_.data() + done, aligned.data() + done, end - done,
                 keep);
    done = end;
  }
  fade_up_to(sums_.size());
  weight_ = keep_ * weight_ + 1.0;
  squares_ = keep_ * keep_ * squares_ + 1.0;
}

void RunningMean::read(std::vector<float>& out) const {
  out.resize(sums_.size());
  divide(sums_.data(), weights_.data(), sums_.size(), out.data());
}

}  // namespace latticed
