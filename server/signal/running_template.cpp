// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/signal/running_template.hpp"

#include <algorithm>

#include "server/base/hot.hpp"

namespace latticed::signal {

namespace {

constexpr int kStripes = 16;  // parts of the full template, one renewed per frame
constexpr double kStripeBlend = 1.0 / 16.0;
// Frames until then go into the full template whole: bins chosen from one that is noisier than was
// assumed are mostly noise, and what they promise denies the right cell.
constexpr int kYoung = 32;

// mean += blend (frame exp(+2 pi i k s) - mean) over columns first .. last-1.
LATTICED_HOT void blend_columns(const Complex* frame, Complex* mean, const Complex* ramp_x,
                                const Complex* ramp_y, int first, int last, int rows,
                                std::size_t stride, float blend) {
  const float* ey = reinterpret_cast<const float*>(ramp_y);
  for (int kx = first; kx < last; ++kx) {
    const float xr = ramp_x[kx].real(), xi = ramp_x[kx].imag();
    const float* f = reinterpret_cast<const float*>(frame + static_cast<std::size_t>(kx) * stride);
    float* t = reinterpret_cast<float*>(mean + static_cast<std::size_t>(kx) * stride);
    for (int row = 0; row < rows; ++row) {
      const float er = ey[2 * row] * xr - ey[2 * row + 1] * xi;
      const float ei = ey[2 * row] * xi + ey[2 * row + 1] * xr;
      const float fr = f[2 * row] * er - f[2 * row + 1] * ei;
      const float fi = f[2 * row] * ei + f[2 * row + 1] * er;
      t[2 * row] += blend * (fr - t[2 * row]);
      t[2 * row + 1] += blend * (fi - t[2 * row + 1]);
    }
  }
}

// White noise of a running mean: (1 - b)^2 of the old and b^2 of the new.
double noise_after(double before, double blend, double white) {
  return (1.0 - blend) * (1.0 - blend) * before + blend * blend * white;
}

}  // namespace

RunningTemplate::RunningTemplate(const AnalysisGrid& grid, int longest_memory)
    : grid_(grid), longest_memory_(longest_memory), mean_(grid.spectrum_size()) {}

void RunningTemplate::begin(const Spectrum& frame, double white) {
  std::copy_n(frame.data(), frame.size(), mean_.data());
  frames_ = memory_ = filling_memory_ = 1;
  stripe_ = 0;
  shift_ = {};
  full_noise_ = white;
  noise_ = {white, white};
}

void RunningTemplate::learn(const Spectrum& frame, Vector2 shift, double white, int memory,
                            MatchList& list, PhaseRamps& ramps) {
  ++frames_;
  memory_ = std::min(memory_ + 1, memory);
  filling_memory_ = std::min(filling_memory_ + 1, longest_memory_);
  const float blend = 1.0f / static_cast<float>(memory_);
  const float filling_blend = 1.0f / static_cast<float>(filling_memory_);
  const auto part = static_cast<double>(blend);
  ramps.set(shift);
  list.update(frame, ramps, blend, filling_blend);
  shift_.x += part * (shift.x - shift_.x);
  shift_.y += part * (shift.y - shift_.y);
  noise_ = {noise_after(noise_.others, part, white),
            noise_after(noise_.filling, static_cast<double>(filling_blend), white)};
  learn_stripe(frame, white, blend, ramps);
}

void RunningTemplate::learn_stripe(const Spectrum& frame, double white, float blend,
                                   const PhaseRamps& ramps) {
  const bool is_young = frames_ <= kYoung;
  const int first = is_young ? 0 : stripe_ * grid_.kx_count / kStripes;
  const int last = is_young ? grid_.kx_count : (stripe_ + 1) * grid_.kx_count / kStripes;
  blend_columns(frame.data(), mean_.data(), ramps.x(), ramps.y(), first, last, grid_.height,
                grid_.column_stride, is_young ? blend : static_cast<float>(kStripeBlend));
  stripe_ = (stripe_ + 1) % kStripes;
  if (is_young)
    full_noise_ = noise_.others;
  else
    full_noise_ += (noise_after(full_noise_, kStripeBlend, white) - full_noise_) / kStripes;
}

void RunningTemplate::shorten_memory(int frames) noexcept { memory_ = std::min(memory_, frames); }

void RunningTemplate::replaced(Vector2 shift, double noise, double full_noise) noexcept {
  shift_ = shift;
  noise_ = {noise, noise};
  full_noise_ = full_noise;
}

void RunningTemplate::admit_others() noexcept {
  noise_ = {std::max(noise_.others, full_noise_), std::max(noise_.filling, full_noise_)};
}

void RunningTemplate::join_filling() noexcept {
  noise_.filling = noise_.others;
  filling_memory_ = memory_;
}

}  // namespace latticed::signal
