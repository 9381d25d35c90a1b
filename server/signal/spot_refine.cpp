// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/signal/spot_refine.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <vector>

namespace latticed::signal {

namespace {

constexpr double kTwoPi = 2.0 * std::numbers::pi;
// Width of the envelope's low-pass, in bins: features down to about a tenth of the field.
constexpr double kEnvelopeSigmaBins = 1.6;
// Tapered part of the window the frequency is measured under, in place of the frame's own taper. It
// must reach zero smoothly: the block repeats, so a sample at the seam sees both ends of the field,
// where a fringe between two bins has two phases. With it d is 1.3 x the bound; 0.5 makes it 1.5.
constexpr double kWindowTaper = 0.25;
constexpr float kNoCrystal = 0.2f;       // of the envelope's largest: below is only noise
constexpr double kFarFromCentre = 0.05;  // bins
constexpr int kNewtonSteps = 9;

float envelope_weight(double bins) {
  const double u = bins / kEnvelopeSigmaBins;
  return static_cast<float>(std::exp(-0.5 * u * u));
}

// The variance of noise in each of the block's samples along one axis, 1 = untapered. A sample sees
// the field through the Dirichlet kernel of the block's bins, so it is the kernel's mean of the
// taper squared, not the taper at one pixel: near the ends the difference is all there is.
std::vector<double> noise_along(const std::vector<float>& taper, int size) {
  std::vector<double> out(static_cast<std::size_t>(size));
  const auto length = static_cast<double>(taper.size());
  for (int m = 0; m < size; ++m)
    for (std::size_t x = 0; x < taper.size(); ++x) {
      const double u = static_cast<double>(m) / size - (static_cast<double>(x)) / length;
      const double sine = std::sin(std::numbers::pi * u);
      const double kernel =
          std::abs(sine) < 1e-9 ? 1.0 : std::sin(std::numbers::pi * size * u) / (size * sine);
      const auto w = static_cast<double>(taper[x]);
      out[static_cast<std::size_t>(m)] += w * w * kernel * kernel * size / length;
    }
  return out;
}

// What the envelope's low-pass makes of the taper itself, at the block's samples along one axis.
std::vector<double> smoothed(const std::vector<float>& taper, int size) {
  std::vector<double> out(static_cast<std::size_t>(size));
  const auto length = static_cast<double>(taper.size());
  for (int k = -size / 2; k < size / 2; ++k) {
    std::complex<double> coefficient{};
    for (std::size_t x = 0; x < taper.size(); ++x)
      coefficient += static_cast<double>(taper[x]) *
                     std::polar(1.0 / length, -kTwoPi * k * static_cast<double>(x) / length);
    for (int m = 0; m < size; ++m)
      out[static_cast<std::size_t>(m)] +=
          static_cast<double>(envelope_weight(k)) *
          (coefficient * std::polar(1.0, kTwoPi * k * m / size)).real();
  }
  return out;
}

}  // namespace

// Sums over the block of u h e, where e = exp(-2 pi i offset.t), t in field lengths about the
// middle.
struct SpotRefiner::Sums {
  std::complex<double> c, cx, cy, cxx, cxy, cyy;
};

SpotRefiner::SpotRefiner(const FrameFft& fft)
    : grid_(fft.grid()),
      size_(std::min(grid_.width, grid_.height) >= 64 ? 32 : 16),
      ifft_(size_),
      mean_taper_squared_(0.0),
      along_x_(along(fft.taper_x())),
      along_y_(along(fft.taper_y())),
      bins_(static_cast<std::size_t>(size_ * size_)),
      field_(static_cast<std::size_t>(size_ * size_)),
      envelope_(static_cast<std::size_t>(size_ * size_)),
      weight_(static_cast<std::size_t>(size_ * size_)),
      signal_(static_cast<std::size_t>(size_ * size_)),
      noise_(static_cast<std::size_t>(size_ * size_)) {
  for (int m = 0; m < size_; ++m)
    for (int n = 0; n < size_; ++n) {
      const float noise =
          along_x_[static_cast<std::size_t>(m)].noise * along_y_[static_cast<std::size_t>(n)].noise;
      noise_[static_cast<std::size_t>(m * size_ + n)] = noise;
      mean_taper_squared_ += static_cast<double>(noise) / (size_ * size_);
    }
}

std::vector<SpotRefiner::Sample> SpotRefiner::along(const std::vector<float>& taper) const {
  const auto noise = noise_along(taper, size_), low = smoothed(taper, size_);
  const auto window = tukey(2 * size_, kWindowTaper);  // between its samples lie the block's
  std::vector<Sample> out(static_cast<std::size_t>(size_));
  for (std::size_t m = 1; m < out.size(); ++m) {
    const auto own = taper[m * taper.size() / out.size()];
    const float wanted = 0.5f * (window[2 * m - 1] + window[2 * m]);
    out[m] = {own, wanted / std::max(own, 0.1f), static_cast<float>(noise[m]),
              static_cast<float>(low[m])};
  }
  out[0] = {0.0f, 0.0f, static_cast<float>(noise[0]), static_cast<float>(low[0])};
  return out;
}

void SpotRefiner::cut(const Spectrum& spectrum, int kx0, int ky0, double* near_power) {
  *near_power = 0.0;
  for (int dx = -size_ / 2; dx < size_ / 2; ++dx)
    for (int dy = -size_ / 2; dy < size_ / 2; ++dy) {
      int kx = kx0 + dx, ky = ky0 + dy;
      const bool is_mirrored = kx < 0;
      if (is_mirrored) {
        kx = -kx;
        ky = -ky;
      }
      Complex value{};
      if (kx < grid_.kx_count && std::abs(ky) <= grid_.height / 2) {
        value = spectrum[grid_.at(kx, grid_.row_of(ky))];
        if (is_mirrored) value = std::conj(value);
      }
      if (std::abs(dx) <= 3 && std::abs(dy) <= 3)
        *near_power += static_cast<double>(std::norm(value));
      const int m = dx < 0 ? dx + size_ : dx, n = dy < 0 ? dy + size_ : dy;
      bins_[static_cast<std::size_t>(m * size_ + n)] = value;
    }
}

void SpotRefiner::make_weights(double offset_x, double offset_y) {
  // Only bins near the spot: the fringe's envelope, with most of the noise left out.
  std::array<float, 32> near_x{}, near_y{};
  for (int i = 0; i < size_; ++i) {
    const int d = i < size_ / 2 ? i : i - size_;
    near_x[static_cast<std::size_t>(i)] = envelope_weight(d - offset_x);
    near_y[static_cast<std::size_t>(i)] = envelope_weight(d - offset_y);
  }
  for (int m = 0; m < size_; ++m)
    for (int n = 0; n < size_; ++n) {
      const auto i = static_cast<std::size_t>(m * size_ + n);
      envelope_[i] =
          bins_[i] * (near_x[static_cast<std::size_t>(m)] * near_y[static_cast<std::size_t>(n)]);
    }
  ifft_.execute(envelope_.data());
  // The crystal itself, without the frame's taper.
  float largest = 0.0f;
  for (int m = 0; m < size_; ++m)
    for (int n = 0; n < size_; ++n) {
      const auto i = static_cast<std::size_t>(m * size_ + n);
      signal_[i] = std::abs(envelope_[i]) / (along_x_[static_cast<std::size_t>(m)].smoothed *
                                             along_y_[static_cast<std::size_t>(n)].smoothed);
      largest = std::max(largest, signal_[i]);
    }
  for (int m = 0; m < size_; ++m)
    for (int n = 0; n < size_; ++n) {
      const auto i = static_cast<std::size_t>(m * size_ + n);
      const Sample& x = along_x_[static_cast<std::size_t>(m)];
      const Sample& y = along_y_[static_cast<std::size_t>(n)];
      const float crystal = signal_[i] < kNoCrystal * largest ? 0.0f : signal_[i];
      weight_[i] = crystal * x.weight * y.weight;
      signal_[i] = crystal * x.taper * y.taper;
    }
}

SpotRefiner::Sums SpotRefiner::sum_at(double offset_x, double offset_y) const {
  Sums sums;
  std::array<std::complex<float>, 32> turn_x, turn_y;
  std::array<float, 32> t{};
  for (int i = 0; i < size_; ++i) {
    const double at = static_cast<double>(i) / size_;
    t[static_cast<std::size_t>(i)] = static_cast<float>(at - 0.5);
    turn_x[static_cast<std::size_t>(i)] =
        std::polar(1.0f, static_cast<float>(-kTwoPi * offset_x * at));
    turn_y[static_cast<std::size_t>(i)] =
        std::polar(1.0f, static_cast<float>(-kTwoPi * offset_y * at));
  }
  for (int m = 0; m < size_; ++m) {
    float re0 = 0, im0 = 0, re1 = 0, im1 = 0, re2 = 0, im2 = 0;
    for (int n = 0; n < size_; ++n) {
      const auto i = static_cast<std::size_t>(m * size_ + n);
      const Complex h = field_[i], e = turn_y[static_cast<std::size_t>(n)];
      const float u = weight_[i], y = t[static_cast<std::size_t>(n)];
      const float re = u * (h.real() * e.real() - h.imag() * e.imag());
      const float im = u * (h.real() * e.imag() + h.imag() * e.real());
      re0 += re;
      im0 += im;
      re1 += y * re;
      im1 += y * im;
      re2 += y * y * re;
      im2 += y * y * im;
    }
    const std::complex<double> turn(turn_x[static_cast<std::size_t>(m)]);
    const auto x = static_cast<double>(t[static_cast<std::size_t>(m)]);
    const auto c0 = std::complex<double>(re0, im0) * turn;
    const auto c1 = std::complex<double>(re1, im1) * turn;
    const auto c2 = std::complex<double>(re2, im2) * turn;
    sums.c += c0;
    sums.cx += x * c0;
    sums.cxx += x * x * c0;
    sums.cy += c1;
    sums.cxy += x * c1;
    sums.cyy += c2;
  }
  return sums;
}

RefinedSpot SpotRefiner::refine(const Spectrum& spectrum, Vector2 start, double white) {
  RefinedSpot out;
  const int kx0 = static_cast<int>(std::lround(start.x * grid_.width));
  const int ky0 = static_cast<int>(std::lround(start.y * grid_.height));
  cut(spectrum, kx0, ky0, &out.power);
  std::copy_n(bins_.data(), bins_.size(), field_.data());
  ifft_.execute(field_.data());

  const double begin_x = start.x * grid_.width - kx0, begin_y = start.y * grid_.height - ky0;
  double x = begin_x, y = begin_y;
  make_weights(x, y);
  Sums sums;
  bool has_converged = false, is_recentred = false;
  for (int step = 0; step < kNewtonSteps && !has_converged; ++step) {
    sums = sum_at(x, y);
    // L = log |c|^2; with t about the middle, dc/dx = -2 pi i cx and so on.
    const double norm = std::norm(sums.c);
    if (!(norm > 0.0)) return out;
    const auto rx = sums.cx / sums.c, ry = sums.cy / sums.c;
    const double gx = 2.0 * kTwoPi * rx.imag(), gy = 2.0 * kTwoPi * ry.imag();
    const double k = -2.0 * kTwoPi * kTwoPi;
    const double hxx = k * ((sums.cxx / sums.c) - rx * rx).real();
    const double hyy = k * ((sums.cyy / sums.c) - ry * ry).real();
    const double hxy = k * ((sums.cxy / sums.c) - rx * ry).real();
    const double det = hxx * hyy - hxy * hxy;
    if (!(hxx < 0.0) || !(det > 0.0)) return out;  // not on the spot's main lobe
    const double dx = std::clamp(-(hyy * gx - hxy * gy) / det, -0.5, 0.5);
    const double dy = std::clamp(-(hxx * gy - hxy * gx) / det, -0.5, 0.5);
    x += dx;
    y += dy;
    has_converged = std::abs(dx) < 1e-4 && std::abs(dy) < 1e-4;
    // The envelope was laid about the first guess: once more about where it led.
    if (!is_recentred && (has_converged || step == 1) &&
        std::hypot(x - begin_x, y - begin_y) > kFarFromCentre) {
      make_weights(x, y);
      is_recentred = true;
      has_converged = false;
    }
  }
  if (!has_converged || std::abs(x - begin_x) > 1.5 || std::abs(y - begin_y) > 1.5) return out;

  // Random error of the maximum: slope of the noiseless gradient and variance of its noise.
  const double noise = white * size_ * size_ / mean_taper_squared_;
  double ua = 0, uu = 0, mx = 0, my = 0;
  for (int m = 0; m < size_; ++m)
    for (int n = 0; n < size_; ++n) {
      const auto i = static_cast<std::size_t>(m * size_ + n);
      const double product = static_cast<double>(weight_[i] * signal_[i]);
      ua += product;
      mx += product * m;
      my += product * n;
      uu += static_cast<double>(weight_[i] * weight_[i] * noise_[i]);
    }
  if (!(ua > 0.0)) return out;
  mx /= ua;
  my /= ua;
  double axx = 0, axy = 0, ayy = 0, bxx = 0, bxy = 0, byy = 0;
  for (int m = 0; m < size_; ++m)
    for (int n = 0; n < size_; ++n) {
      const auto i = static_cast<std::size_t>(m * size_ + n);
      const double tx = (m - mx) / size_, ty = (n - my) / size_;
      const auto a = static_cast<double>(weight_[i] * signal_[i]);
      const auto b = static_cast<double>(weight_[i] * weight_[i] * noise_[i]) * noise / 2.0;
      axx += a * tx * tx;
      axy += a * tx * ty;
      ayy += a * ty * ty;
      bxx += b * tx * tx;
      bxy += b * tx * ty;
      byy += b * ty * ty;
    }
  const double det = axx * ayy - axy * axy;
  if (!(det > 0.0)) return out;
  // cov = A^-1 B A^-1 / (2 pi)^2, in bins; then cycles per cell.
  const double ixx = ayy / det, ixy = -axy / det, iyy = axx / det;
  const double pxx = ixx * bxx + ixy * bxy, pxy = ixx * bxy + ixy * byy;
  const double qxx = ixy * bxx + iyy * bxy, qxy = ixy * bxy + iyy * byy;
  const double scale = 1.0 / (kTwoPi * kTwoPi);
  const double w = grid_.width, h = grid_.height;
  out.var_xx = scale * (pxx * ixx + pxy * ixy) / (w * w);
  out.var_xy = scale * (pxx * ixy + pxy * iyy) / (w * h);
  out.var_yy = scale * (qxx * ixy + qxy * iyy) / (h * h);
  out.frequency = {(kx0 + x) / w, (ky0 + y) / h};
  out.snr = ua / std::sqrt(uu * noise);

  out.coefficient = plain_coefficient(x, y);
  out.is_valid = true;
  return out;
}

// The coefficient at this frequency as it is, for amplitude and phase: no weights.
std::complex<double> SpotRefiner::plain_coefficient(double offset_x, double offset_y) const {
  std::complex<double> plain{};
  const std::complex<double> step_y = std::polar(1.0, -kTwoPi * offset_y / size_);
  for (int m = 0; m < size_; ++m) {
    std::complex<double> along_y{}, turn = std::polar(1.0, -kTwoPi * offset_x * m / size_);
    for (int n = 0; n < size_; ++n) {
      along_y += std::complex<double>(field_[static_cast<std::size_t>(m * size_ + n)]) * turn;
      turn *= step_y;
    }
    plain += along_y;
  }
  return plain / (static_cast<double>(size_) * size_);
}

RefinedSpot SpotRefiner::demodulate(const Spectrum& spectrum, Vector2 frequency, double white) {
  RefinedSpot out;
  const int kx0 = static_cast<int>(std::lround(frequency.x * grid_.width));
  const int ky0 = static_cast<int>(std::lround(frequency.y * grid_.height));
  cut(spectrum, kx0, ky0, &out.power);
  std::copy_n(bins_.data(), bins_.size(), field_.data());
  ifft_.execute(field_.data());
  const double x = frequency.x * grid_.width - kx0, y = frequency.y * grid_.height - ky0;
  // The field as the frame's taper shows it: nothing is known of where the crystal is.
  double noise = 0.0;
  for (int m = 0; m < size_; ++m)
    for (int n = 0; n < size_; ++n) {
      const auto i = static_cast<std::size_t>(m * size_ + n);
      weight_[i] = along_x_[static_cast<std::size_t>(m)].weight *
                   along_y_[static_cast<std::size_t>(n)].weight;
      noise += static_cast<double>(weight_[i] * weight_[i] * noise_[i]);
    }
  noise *= white * size_ * size_ / mean_taper_squared_;
  if (noise > 0.0) out.snr = std::abs(sum_at(x, y).c) / std::sqrt(noise);
  out.frequency = frequency;
  out.coefficient = plain_coefficient(x, y);
  out.is_valid = true;
  return out;
}

}  // namespace latticed::signal
