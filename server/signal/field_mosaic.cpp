// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/signal/field_mosaic.hpp"

#include <algorithm>
#include <cmath>

#include "server/base/hot.hpp"

namespace latticed::signal {

namespace {

double mean_of_squares(const std::vector<float>& window) {
  double sum = 0.0;
  for (const float w : window) sum += static_cast<double>(w) * static_cast<double>(w);
  return sum / static_cast<double>(window.size());
}

double folded(double at, int size) { return at - size * std::floor(at / size); }

// The window between its samples; nothing outside of it.
float window_at(const std::vector<float>& taper, double at) {
  const auto last = static_cast<double>(taper.size()) - 1.0;
  if (at <= -1.0 || at >= last + 1.0) return 0.0f;
  const auto below = static_cast<std::ptrdiff_t>(std::floor(at));
  const auto sample = [&](std::ptrdiff_t i) {
    return i < 0 || i > static_cast<std::ptrdiff_t>(last) ? 0.0f
                                                          : taper[static_cast<std::size_t>(i)];
  };
  const auto part = static_cast<float>(at - static_cast<double>(below));
  return sample(below) + part * (sample(below + 1) - sample(below));
}

// to = column * ramp_x ramp_y / cells: the spectrum of a surface moved back.
LATTICED_HOT void turn(const Complex* column, Complex ramp_x, const Complex* ramp_y, int rows,
                       float scale, Complex* to) {
  const float xr = scale * ramp_x.real(), xi = scale * ramp_x.imag();
  const float* ey = reinterpret_cast<const float*>(ramp_y);
  const float* c = reinterpret_cast<const float*>(column);
  float* out = reinterpret_cast<float*>(to);
  for (int row = 0; row < rows; ++row) {
    const float er = ey[2 * row] * xr - ey[2 * row + 1] * xi;
    const float ei = ey[2 * row] * xi + ey[2 * row + 1] * xr;
    out[2 * row] = c[2 * row] * er - c[2 * row + 1] * ei;
    out[2 * row + 1] = c[2 * row] * ei + c[2 * row + 1] * er;
  }
}

// Gauss with pivots on the diagonal: the matrix is positive definite.
std::array<double, 3> solved(std::array<std::array<double, 4>, 3> a) {
  for (std::size_t i = 0; i < 3; ++i)
    for (std::size_t j = i + 1; j < 3; ++j) {
      const double factor = a[j][i] / std::max(a[i][i], 1e-30);
      for (std::size_t k = i; k < 4; ++k) a[j][k] -= factor * a[i][k];
    }
  std::array<double, 3> out{};
  for (std::size_t i = 3; i-- > 0;) {
    double rest = a[i][3];
    for (std::size_t k = i + 1; k < 3; ++k) rest -= a[i][k] * out[k];
    out[i] = rest / std::max(a[i][i], 1e-30);
  }
  return out;
}

}  // namespace

FieldMosaic::FieldMosaic(const FrameFft& fft)
    : grid_(fft.grid()),
      taper_x_(fft.taper_x()),
      taper_y_(fft.taper_y()),
      window_squares_(mean_of_squares(taper_x_) * mean_of_squares(taper_y_)),
      fft_(grid_, 0.0),
      work_(fft_.make_workspace()),
      surface_ifft_(grid_),
      ramps_(grid_),
      half_(static_cast<std::size_t>(grid_.width / 2 + 1) * static_cast<std::size_t>(grid_.height)),
      mean_(static_cast<std::size_t>(grid_.width) * static_cast<std::size_t>(grid_.height)),
      frame_(mean_.size()),
      image_(mean_.size()) {
  for (Axis* axis : {&x_, &y_}) {
    const auto size = static_cast<std::size_t>(axis == &x_ ? grid_.width : grid_.height);
    axis->mean_window.resize(size);
    axis->frame_window.resize(size);
    axis->place.resize(size);
  }
}

void FieldMosaic::to_real(const Spectrum& spectrum, Vector2 back, double gain,
                          AlignedBuffer<float>& surface) {
  const auto height = static_cast<std::size_t>(grid_.height);
  const auto kept = static_cast<std::size_t>(grid_.kx_count) * height;
  std::fill_n(half_.data() + kept, half_.size() - kept, Complex{});
  ramps_.set(back);
  const auto scale = static_cast<float>(gain / (grid_.width * static_cast<double>(grid_.height)));
  for (int kx = 0; kx < grid_.kx_count; ++kx) {
    Complex* to = half_.data() + static_cast<std::size_t>(kx) * height;
    turn(spectrum.data() + grid_.at(kx, 0), ramps_.x()[kx], ramps_.y(), grid_.height, scale, to);
    std::fill(to + grid_.k_band + 1, to + grid_.height - grid_.k_band, Complex{});
  }
  surface_ifft_.execute(half_.data(), surface.data());
}

void FieldMosaic::lay_template(const Spectrum& mean, Vector2 shift, double gain) {
  mean_shift_ = shift;
  to_real(mean, {}, gain, mean_);
}

void FieldMosaic::lay_windows(Axis& axis, const std::vector<float>& taper, double mean_shift,
                              double shift) const {
  const auto size = static_cast<int>(taper.size());
  for (int cell = 0; cell < size; ++cell) {
    const auto i = static_cast<std::size_t>(cell);
    const double in_frame = folded(cell + shift, size);
    axis.frame_window[i] = window_at(taper, in_frame);
    // Not folded: what lies beyond the edge of the template's field is another part of the
    // specimen.
    axis.mean_window[i] = window_at(taper, in_frame - (shift - mean_shift));
    axis.place[i] = static_cast<float>(in_frame / size - 0.5);
  }
}

void FieldMosaic::lay_frame(const Spectrum& frame, Vector2 shift) {
  to_real(frame, shift, 1.0, frame_);
  lay_windows(x_, taper_x_, mean_shift_.x, shift.x);
  lay_windows(y_, taper_y_, mean_shift_.y, shift.y);
  double squares = 1.0, excess = 1.0;
  for (const Axis* axis : {&x_, &y_}) {
    double second = 0.0, fourth = 0.0;
    for (std::size_t i = 0; i < axis->place.size(); ++i) {
      const double w =
          static_cast<double>(axis->mean_window[i]) * static_cast<double>(axis->frame_window[i]);
      second += w * w;
      fourth += w * w * w * w;
    }
    const auto size = static_cast<double>(axis->place.size());
    squares *= second / size;
    excess *= fourth * size / std::max(second * second, 1e-30);
  }
  cut_noise_ = squares / window_squares_;
  cut_excess_ = excess;
  fit_level();
}

// Each frame has its own plane taken off: least squares over what both show.
void FieldMosaic::fit_level() {
  std::array<std::array<double, 4>, 3> sums{};
  const auto height = static_cast<std::size_t>(grid_.height);
  for (std::size_t x = 0; x < x_.place.size(); ++x) {
    const float mean_x = x_.mean_window[x], frame_x = x_.frame_window[x];
    if (mean_x * frame_x == 0.0f) continue;
    const std::array<double, 3> at_column{1.0, static_cast<double>(x_.place[x]), 0.0};
    // Per column, so that single precision is enough for the cells.
    float w2 = 0.0f, w2y = 0.0f, w2yy = 0.0f, d = 0.0f, dy = 0.0f;
    for (std::size_t y = 0; y < height; ++y) {
      const float wm = mean_x * y_.mean_window[y], wf = frame_x * y_.frame_window[y];
      const float w = wm * wf, place = y_.place[y];
      const float off = w * (frame_[x * height + y] * wm - mean_[x * height + y] * wf);
      w2 += w * w, w2y += w * w * place, w2yy += w * w * place * place;
      d += off, dy += off * place;
    }
    const double px = at_column[1];
    sums[0][0] += w2, sums[0][1] += px * w2, sums[0][2] += w2y, sums[0][3] += d;
    sums[1][1] += px * px * w2, sums[1][2] += px * w2y, sums[1][3] += px * d;
    sums[2][2] += w2yy, sums[2][3] += dy;
  }
  sums[1][0] = sums[0][1], sums[2][0] = sums[0][2], sums[2][1] = sums[1][2];
  level_ = solved(sums);
}

float FieldMosaic::level_at(std::size_t x, std::size_t y) const noexcept {
  return static_cast<float>(level_[0]) + static_cast<float>(level_[1]) * x_.place[x] +
         static_cast<float>(level_[2]) * y_.place[y];
}

template <class Value>
void FieldMosaic::transform(const Value& value_at, Spectrum& out) {
  const auto width = static_cast<std::size_t>(grid_.width);
  const auto height = static_cast<std::size_t>(grid_.height);
  constexpr std::size_t kTile = 16;  // surfaces run along y, the image along x
  for (std::size_t x0 = 0; x0 < width; x0 += kTile)
    for (std::size_t y = 0; y < height; ++y)
      for (std::size_t x = x0; x < std::min(x0 + kTile, width); ++x)
        image_[y * width + x] = value_at(x, y);
  fft_.execute(image_.data(), {}, work_, out);
}

void FieldMosaic::cut(Spectrum& mean, Spectrum& frame) {
  const auto height = static_cast<std::size_t>(grid_.height);
  transform(
      [&](std::size_t x, std::size_t y) {
        const float w = x_.frame_window[x] * y_.frame_window[y];
        const float own = x_.mean_window[x] * y_.mean_window[y];
        // Beyond the edge of its field the surface shows the opposite edge.
        return own > 0.0f ? w * (mean_[x * height + y] + own * level_at(x, y)) : 0.0f;
      },
      mean);
  transform(
      [&](std::size_t x, std::size_t y) {
        return x_.mean_window[x] * y_.mean_window[y] * frame_[x * height + y];
      },
      frame);
}

void FieldMosaic::join(double frames, Spectrum& out) {
  const auto height = static_cast<std::size_t>(grid_.height);
  const auto n = static_cast<float>(frames);
  transform(
      [&](std::size_t x, std::size_t y) {
        const float wm = x_.mean_window[x] * y_.mean_window[y];
        const float wf = x_.frame_window[x] * y_.frame_window[y];
        // The template's weight; where its window ends it says nothing any more.
        const float known = n * wm * wm, of_all = known + wf * wf;
        if (of_all <= 0.0f) return 0.0f;
        const float mean = n * wm * wf * (mean_[x * height + y] + wm * level_at(x, y)) / of_all;
        return mean + (1.0f - known / of_all) * frame_[x * height + y];
      },
      out);
}

}  // namespace latticed::signal
