// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/publish/image_shift.hpp"

#include <algorithm>
#include <cmath>

#include "server/base/hot.hpp"

namespace latticed {
namespace {

LATTICED_HOT void blend_rows(const float* a, const float* b, const float* c, const float* d,
                             const float* weights, int count, float* out) {
  const float wa = weights[0], wb = weights[1], wc = weights[2], wd = weights[3];
  for (int i = 0; i < count; ++i) out[i] = wa * a[i] + wb * b[i] + wc * c[i] + wd * d[i];
}

LATTICED_HOT void blend_columns(const float* in, const float* weights, int count, float* out) {
  const float wa = weights[0], wb = weights[1], wc = weights[2], wd = weights[3];
  for (int i = 0; i < count; ++i)
    out[i] = wa * in[i] + wb * in[i + 1] + wc * in[i + 2] + wd * in[i + 3];
}

}  // namespace

// R. Keys, IEEE Trans. ASSP 29, 1153 (1981), a = -1/2: third order, its response flat to half
// Nyquist.
ImageShift::Taps ImageShift::taps_of(double shift, int size) {
  Taps taps;
  const double whole = std::floor(shift);
  if (!(std::abs(shift) < size)) return taps;
  taps.offset = static_cast<int>(whole);
  const double t = shift - whole;
  if (t > 1e-6) {
    taps.weights = {static_cast<float>(((-0.5 * t + 1.0) * t - 0.5) * t),
                    static_cast<float>((1.5 * t - 2.5) * t * t + 1.0),
                    static_cast<float>(((-1.5 * t + 2.0) * t + 0.5) * t),
                    static_cast<float>((0.5 * t - 0.5) * t * t)};
    taps.reach_before = 1;
    taps.reach_behind = 2;
  }
  taps.first = std::max(0, taps.reach_before - taps.offset);
  taps.last = std::max(taps.first, std::min(size, size - taps.reach_behind - taps.offset));
  return taps;
}

ImageShift::Covered ImageShift::aim(Vector2 shift_cells) {
  x_ = taps_of(shift_cells.x, width_);
  y_ = taps_of(shift_cells.y, height_);
  // blended_[0] is the first tap of the first output. A whole shift has one tap only: the other
  // places stay finite and are weighted with 0.
  std::fill(blended_.begin(), blended_.end(), 0.0f);
  return {x_.first, x_.last, y_.first, y_.last};
}

void ImageShift::row(const float* image, int y, float* out) {
  const int count = x_.last - x_.first;
  const int needed = count + x_.reach_before + x_.reach_behind;
  const int from = x_.first + x_.offset - x_.reach_before;
  const int at = y + y_.offset;
  const auto input = [&](int row) {
    return image + static_cast<std::size_t>(row) * static_cast<std::size_t>(width_) + from;
  };
  blend_rows(input(at - y_.reach_before), input(at), input(at + std::min(1, y_.reach_behind)),
             input(at + y_.reach_behind), y_.weights.data(), needed,
             blended_.data() + 1 - x_.reach_before);
  blend_columns(blended_.data(), x_.weights.data(), count, out + x_.first);
}

}  // namespace latticed
