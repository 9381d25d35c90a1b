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
constexpr int kNewtonSteps = 8;

}  // namespace

// Sums over the block of u h e, where e = exp(-2 pi i offset.t), t in field lengths about the middle.
struct SpotRefiner::Sums {
  std::complex<double> c, cx, cy, cxx, cxy, cyy;
};

SpotRefiner::SpotRefiner(const FrameFft& fft)
    : grid_(fft.grid()),
      size_(std::min(grid_.width, grid_.height) >= 384 ? 32 : 16),
      ifft_(size_),
      taper_squared_(static_cast<std::size_t>(size_ * size_)),
      bins_(static_cast<std::size_t>(size_ * size_)),
      field_(static_cast<std::size_t>(size_ * size_)),
      envelope_(static_cast<std::size_t>(size_ * size_)),
      amplitude_(static_cast<std::size_t>(size_ * size_)) {
  double sum = 0.0;
  for (int m = 0; m < size_; ++m)
    for (int n = 0; n < size_; ++n) {
      const float wx = fft.taper_x()[static_cast<std::size_t>(m * grid_.width / size_)];
      const float wy = fft.taper_y()[static_cast<std::size_t>(n * grid_.height / size_)];
      const float squared = wx * wx * wy * wy;
      taper_squared_[static_cast<std::size_t>(m * size_ + n)] = squared;
      sum += static_cast<double>(squared);
    }
  mean_taper_squared_ = sum / (size_ * size_);
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
      if (std::abs(dx) <= 3 && std::abs(dy) <= 3) *near_power += static_cast<double>(std::norm(value));
      const int m = dx < 0 ? dx + size_ : dx, n = dy < 0 ? dy + size_ : dy;
      bins_[static_cast<std::size_t>(m * size_ + n)] = value;
    }
}

void SpotRefiner::make_weights(double offset_x, double offset_y) {
  // Only bins near the spot: the fringe's envelope, with most of the noise left out.
  std::array<float, 32> along_x{}, along_y{};
  for (int i = 0; i < size_; ++i) {
    const int d = i < size_ / 2 ? i : i - size_;
    const auto gauss = [&](double offset) {
      const double u = (d - offset) / kEnvelopeSigmaBins;
      return static_cast<float>(std::exp(-0.5 * u * u));
    };
    along_x[static_cast<std::size_t>(i)] = gauss(offset_x);
    along_y[static_cast<std::size_t>(i)] = gauss(offset_y);
  }
  for (int m = 0; m < size_; ++m)
    for (int n = 0; n < size_; ++n) {
      const auto i = static_cast<std::size_t>(m * size_ + n);
      envelope_[i] = bins_[i] * (along_x[static_cast<std::size_t>(m)] *
                                 along_y[static_cast<std::size_t>(n)]);
    }
  ifft_.execute(envelope_.data());
  float largest = 0.0f;
  for (std::size_t i = 0; i < amplitude_.size(); ++i) {
    amplitude_[i] = std::abs(envelope_[i]);
    largest = std::max(largest, amplitude_[i]);
  }
  for (std::size_t i = 0; i < amplitude_.size(); ++i) {
    // Below a fifth of the largest there is no crystal, only the envelope's own noise.
    if (amplitude_[i] < 0.2f * largest) amplitude_[i] = 0.0f;
  }
}

SpotRefiner::Sums SpotRefiner::sum_at(double offset_x, double offset_y) const {
  Sums sums;
  std::array<std::complex<float>, 32> turn_x, turn_y;
  std::array<float, 32> t{};
  for (int i = 0; i < size_; ++i) {
    const double at = static_cast<double>(i) / size_;
    t[static_cast<std::size_t>(i)] = static_cast<float>(at - 0.5);
    turn_x[static_cast<std::size_t>(i)] = std::polar(1.0f, static_cast<float>(-kTwoPi * offset_x * at));
    turn_y[static_cast<std::size_t>(i)] = std::polar(1.0f, static_cast<float>(-kTwoPi * offset_y * at));
  }
  for (int m = 0; m < size_; ++m) {
    float re0 = 0, im0 = 0, re1 = 0, im1 = 0, re2 = 0, im2 = 0;
    for (int n = 0; n < size_; ++n) {
      const auto i = static_cast<std::size_t>(m * size_ + n);
      const Complex h = field_[i], e = turn_y[static_cast<std::size_t>(n)];
      const float u = amplitude_[i], y = t[static_cast<std::size_t>(n)];
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
  bool has_converged = false;
  struct {
    double xx = 0.0, xy = 0.0, yy = 0.0;
  } hessian;  // of log |c|^2, per bin
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
    hessian = {hxx, hxy, hyy};
    const double dx = std::clamp(-(hyy * gx - hxy * gy) / det, -0.5, 0.5);
    const double dy = std::clamp(-(hxx * gy - hxy * gx) / det, -0.5, 0.5);
    x += dx;
    y += dy;
    has_converged = std::abs(dx) < 1e-4 && std::abs(dy) < 1e-4;
    // The envelope was cut about the first guess: once, cut it anew about a better one.
    if (step == 1 && std::hypot(x - begin_x, y - begin_y) > 0.1) make_weights(x, y);
  }
  if (!has_converged || std::abs(x - begin_x) > 1.5 || std::abs(y - begin_y) > 1.5) return out;

  // Random error of the maximum: the curvature found, and the variance of the gradient's noise.
  const double noise = white * size_ * size_ / mean_taper_squared_;
  const double mx = (sums.cx / sums.c).real(), my = (sums.cy / sums.c).real();
  double bxx = 0, bxy = 0, byy = 0, uu = 0;
  for (int m = 0; m < size_; ++m)
    for (int n = 0; n < size_; ++n) {
      const auto i = static_cast<std::size_t>(m * size_ + n);
      const double tx = static_cast<double>(m) / size_ - 0.5 - mx;
      const double ty = static_cast<double>(n) / size_ - 0.5 - my;
      const auto b = static_cast<double>(amplitude_[i] * amplitude_[i] * taper_squared_[i]);
      uu += b;
      bxx += b * tx * tx;
      bxy += b * tx * ty;
      byy += b * ty * ty;
    }
  const double norm = std::norm(sums.c), det = hessian.xx * hessian.yy - hessian.xy * hessian.xy;
  const double per = 4.0 * kTwoPi * kTwoPi * noise / 2.0 / norm;
  const double ixx = hessian.yy / det, ixy = -hessian.xy / det, iyy = hessian.xx / det;
  const double pxx = per * (ixx * bxx + ixy * bxy), pxy = per * (ixx * bxy + ixy * byy);
  const double qxx = per * (ixy * bxx + iyy * bxy), qxy = per * (ixy * bxy + iyy * byy);
  const double w = grid_.width, h = grid_.height;
  out.var_xx = (pxx * ixx + pxy * ixy) / (w * w);
  out.var_xy = (pxx * ixy + pxy * iyy) / (w * h);
  out.var_yy = (qxx * ixy + qxy * iyy) / (h * h);
  out.frequency = {(kx0 + x) / w, (ky0 + y) / h};
  out.snr = std::abs(sums.c) / std::sqrt(uu * noise);

  // The plain coefficient at that frequency, for amplitude and phase: no weights.
  std::complex<double> plain{};
  const std::complex<double> step_y = std::polar(1.0, -kTwoPi * y / size_);
  for (int m = 0; m < size_; ++m) {
    std::complex<double> along_y{}, turn = std::polar(1.0, -kTwoPi * x * m / size_);
    for (int n = 0; n < size_; ++n) {
      along_y += std::complex<double>(field_[static_cast<std::size_t>(m * size_ + n)]) * turn;
      turn *= step_y;
    }
    plain += along_y;
  }
  out.coefficient = plain / (static_cast<double>(size_) * size_);
  out.is_valid = true;
  return out;
}

}  // namespace latticed::signal
