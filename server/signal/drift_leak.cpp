// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/signal/drift_leak.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace latticed::signal {

namespace {

constexpr double kMemory = 5.0;         // frames in a reflection's mean frequency
constexpr int kFirst = 16;              // frames in its first one
constexpr double kPlainSnr = 12.0;      // fainter ones have no frequency worth following
constexpr double kPlainShare = 0.1;     // of the strongest one's snr
constexpr int kPatience = 16;           // frames that tell of something else
constexpr double kDeadBand = 3.0;       // standard deviations of the deformation's own noise
constexpr double kCentreSigma = 0.015;  // of the field: how well a is guessed
constexpr double kWingsSigma = 0.02;    // of the field: b (measured: 0.004 to 0.02)
constexpr double kTooMuchWings = 2.5;   // standard deviations of b that are not believed
constexpr double kFarSigma = 0.1;       // of the field: a, when film and edge contradict the guess
constexpr double kKappaSigma = 0.3;     // of the factor to kappa
constexpr double kCentreWalk_cells = 0.02;  // per frame: crystals change
constexpr double kInsideShare = 0.5;        // of the strongest amplitude: inside the crystal
constexpr double kTwoPi = 2.0 * std::numbers::pi;
constexpr double kOneCrystal = 0.9;  // coherence: measured 0.94 to 0.98, of two crystals 0.83
constexpr double kPlainTaper = 0.6;  // amplitudes are read where the taper is above that

}  // namespace

Complex hann_bin(const AnalysisGrid& grid, const Spectrum& spectrum, int kx, int ky) {
  constexpr float kKernel[3] = {-0.25f, 0.5f, -0.25f};
  float re = 0.0f, im = 0.0f;
  for (int dx = -1; dx <= 1; ++dx)
    for (int dy = -1; dy <= 1; ++dy) {
      int x = kx + dx, y = ky + dy;
      const bool is_mirrored = x < 0;
      if (is_mirrored) x = -x, y = -y;
      if (x >= grid.kx_count) continue;
      y = (y % grid.height + grid.height) % grid.height;
      const Complex value = spectrum[grid.at(x, y)];
      const float weight = kKernel[dx + 1] * kKernel[dy + 1];
      re += weight * value.real();
      im += weight * (is_mirrored ? -value.imag() : value.imag());
    }
  return {re, im};
}

void DeformationGauge::reset() {
  reflections_.clear();
  deformation_ = {};
}

void DeformationGauge::add(std::span<const Peak> peaks) {
  for (const Peak& peak : peaks) {
    const double snr = static_cast<double>(peak.snr);
    if (snr < std::max(kPlainSnr, kPlainShare * static_cast<double>(peaks.front().snr))) return;
    if (reflections_.size() >= 8) return;
    const bool is_known =
        std::any_of(reflections_.begin(), reflections_.end(), [&](const Reflection& r) {
          return std::abs(r.kx - peak.kx) < 4 && std::abs(r.ky - peak.ky) < 4;
        });
    if (!is_known) reflections_.push_back({peak.kx, peak.ky, snr * snr, {}, {}, 0.0, 0, 0});
  }
}

void DeformationGauge::measure(const Spectrum& frame) {
  for (Reflection& r : reflections_) {
    const auto log_power = [&](int dx, int dy) {
      const Complex value = hann_bin(grid_, frame, r.kx + dx, r.ky + dy);
      const double re = static_cast<double>(value.real()), im = static_cast<double>(value.imag());
      return std::log(std::max(re * re + im * im, 1e-30));
    };
    // Log-parabola: exact for a Gaussian, 0.013 bins off at most for Hann. That is a few percent of
    // the deformation, and the same few in what is learnt of the leak.
    const double top = log_power(0, 0);
    const double left = log_power(-1, 0), right = log_power(1, 0);
    const double up = log_power(0, -1), down = log_power(0, 1);
    const double bend_x = left - 2.0 * top + right, bend_y = up - 2.0 * top + down;
    const double x = bend_x < -0.2 ? 0.5 * (left - right) / bend_x : 2.0;
    const double y = bend_y < -0.2 ? 0.5 * (up - down) / bend_y : 2.0;
    if (std::abs(x) > 1.0 || std::abs(y) > 1.0) {
      ++r.missed;
      continue;
    }
    r.missed = 0;
    const Vector2 f{(r.kx + x) / grid_.width, (r.ky + y) / grid_.height};
    if (std::abs(x) > 0.7) r.kx += x > 0.0 ? 1 : -1;
    if (std::abs(y) > 0.7) r.ky += y > 0.0 ? 1 : -1;
    ++r.age;
    const double n =
        std::min(static_cast<double>(r.age), r.age <= kFirst ? double{kFirst} : kMemory);
    const Vector2 off{f.x - r.mean.x, f.y - r.mean.y};
    if (r.age > 1) {
      const double scatter = 0.5 * (off.x * off.x + off.y * off.y);
      r.variance += (scatter - r.variance) / std::min(static_cast<double>(r.age - 1), 64.0);
    }
    r.mean = {r.mean.x + off.x / n, r.mean.y + off.y / n};
    if (r.age == kFirst) {
      // Its frequency at no deformation: g' = g - E^T g, undone to first order.
      const Matrix2& e = deformation_;
      r.first = {r.mean.x + e.xx * r.mean.x + e.yx * r.mean.y,
                 r.mean.y + e.xy * r.mean.x + e.yy * r.mean.y};
    }
  }
  // The order does not matter: the last takes the place of one that is gone.
  for (std::size_t i = 0; i < reflections_.size();)
    if (reflections_[i].missed > kPatience) {
      reflections_[i] = reflections_[reflections_.size() - 1];
      reflections_.resize(reflections_.size() - 1);
    } else {
      ++i;
    }
  fit();
}

// g' - g = -E^T g for every reflection, by weighted least squares. Of collinear ones the component
// across them is taken for nought (a ridge of a thousandth).
void DeformationGauge::fit() {
  double axx = 0.0, axy = 0.0, ayy = 0.0;
  Matrix2 b;
  for (const Reflection& r : reflections_) {
    if (r.age <= kFirst) continue;
    const Vector2 off{r.mean.x - r.first.x, r.mean.y - r.first.y};
    axx += r.weight * r.first.x * r.first.x;
    axy += r.weight * r.first.x * r.first.y;
    ayy += r.weight * r.first.y * r.first.y;
    b.xx += r.weight * off.x * r.first.x, b.xy += r.weight * off.x * r.first.y;
    b.yx += r.weight * off.y * r.first.x, b.yy += r.weight * off.y * r.first.y;
  }
  const double ridge = 1e-3 * (axx + ayy);
  if (ridge <= 0.0) return;
  axx += ridge, ayy += ridge;
  const double det = axx * ayy - axy * axy;
  const double ixx = ayy / det, ixy = -axy / det, iyy = axx / det;
  // E = -(B A^-1)^T.
  const Matrix2 fitted{-(b.xx * ixx + b.xy * ixy), -(b.yx * ixx + b.yy * ixy),
                       -(b.xx * ixy + b.xy * iyy), -(b.yx * ixy + b.yy * iyy)};
  // Variances of E's rows: those of the means now and at first, and what no deformation of all
  // explains: two crystals' reflections that overlap seem to move when the field shows more of one.
  double variance_x = 0.0, variance_y = 0.0;
  for (const Reflection& r : reflections_) {
    if (r.age <= kFirst) continue;
    const double left_x = r.mean.x - r.first.x + fitted.xx * r.first.x + fitted.yx * r.first.y;
    const double left_y = r.mean.y - r.first.y + fitted.xy * r.first.x + fitted.yy * r.first.y;
    const double v = r.variance * (1.0 / kFirst + 1.0 / (2.0 * kMemory - 1.0)) +
                     0.5 * (left_x * left_x + left_y * left_y);
    const double wx = r.weight * (ixx * r.first.x + ixy * r.first.y);
    const double wy = r.weight * (ixy * r.first.x + iyy * r.first.y);
    variance_x += v * wx * wx;
    variance_y += v * wy * wy;
  }
  const auto follow = [](double& to, double value, double variance) {
    const double band = kDeadBand * std::sqrt(variance), off = value - to;
    if (off > band) to = value - band;
    if (off < -band) to = value + band;
  };
  follow(deformation_.xx, fitted.xx, variance_x);
  follow(deformation_.xy, fitted.xy, variance_x);
  follow(deformation_.yx, fitted.yx, variance_y);
  follow(deformation_.yy, fitted.yy, variance_y);
}

CrystalMap::CrystalMap(const AnalysisGrid& grid, const std::vector<float>& taper_x,
                       const std::vector<float>& taper_y)
    : grid_(grid), ifft_(kSide), block_(kSide * kSide), power_(kSide * kSide) {
  for (const bool is_y : {false, true}) {
    const std::vector<float>& taper = is_y ? taper_y : taper_x;
    std::vector<float>& to = taper_[is_y];
    for (int i = 0; i < kSide; ++i)
      to.push_back(taper[static_cast<std::size_t>(i) * taper.size() / kSide]);
    for (int i = 0; i < kSide; ++i) {
      int inner = i;
      while (inner < kSide / 2 && to[static_cast<std::size_t>(inner)] < kPlainTaper) ++inner;
      while (inner > kSide / 2 && to[static_cast<std::size_t>(inner)] < kPlainTaper) --inner;
      inner_[is_y][static_cast<std::size_t>(i)] = inner;
    }
  }
}

double CrystalMap::add_powers(const Spectrum& mean, const Peak& reflection) {
  constexpr int kHalf = kSide / 2;
  constexpr double kWidth = 0.45 * kHalf;  // a Gaussian keeps the block's rim from ringing
  for (int dx = -kHalf; dx < kHalf; ++dx)
    for (int dy = -kHalf; dy < kHalf; ++dy) {
      int x = reflection.kx + dx, y = reflection.ky + dy;
      const bool is_mirrored = x < 0;
      if (is_mirrored) x = -x, y = -y;
      y = (y % grid_.height + grid_.height) % grid_.height;
      const auto weight =
          static_cast<float>(std::exp(-0.5 * (dx * dx + dy * dy) / (kWidth * kWidth)));
      const Complex value = x < grid_.kx_count ? mean[grid_.at(x, y)] : Complex{};
      block_[static_cast<std::size_t>(((dx + kSide) % kSide) * kSide + (dy + kSide) % kSide)] = {
          weight * value.real(), weight * (is_mirrored ? -value.imag() : value.imag())};
    }
  ifft_.execute(block_.data());
  const double length = std::hypot(reflection.kx / static_cast<double>(grid_.width),
                                   reflection.ky / static_cast<double>(grid_.height));
  const auto information = static_cast<float>(length * length);
  for (std::size_t i = 0; i < power_.size(); ++i)
    power_[i] +=
        information * (block_[i].real() * block_[i].real() + block_[i].imag() * block_[i].imag());
  return block_coherence();
}

// The largest sum of the map's values under a phase ramp of at most a bin, over that of their
// moduli.
double CrystalMap::block_coherence() const {
  double moduli = 0.0;
  for (std::size_t i = 0; i < block_.size(); ++i)
    moduli += std::abs(std::complex<double>(block_[i]));
  double highest = 0.0;
  for (int fx = -4; fx <= 4; ++fx)
    for (int fy = -4; fy <= 4; ++fy) {
      const std::complex<double> turn_x = std::polar(1.0, -kTwoPi * 0.25 * fx / kSide);
      const std::complex<double> turn_y = std::polar(1.0, -kTwoPi * 0.25 * fy / kSide);
      std::complex<double> sum{}, at_x{1.0};
      for (std::size_t x = 0; x < kSide; ++x, at_x *= turn_x) {
        std::complex<double> at = at_x;
        for (std::size_t y = 0; y < kSide; ++y, at *= turn_y)
          sum += at * std::complex<double>(block_[x * kSide + y]);
      }
      highest = std::max(highest, std::abs(sum));
    }
  return moduli > 0.0 ? highest / moduli : 1.0;
}

// Of the crystal, the taper taken off; near the field's rim that of the nearest point inside.
double CrystalMap::amplitude(int x, int y) const {
  const auto ix = static_cast<std::size_t>(inner_[0][static_cast<std::size_t>(x)]);
  const auto iy = static_cast<std::size_t>(inner_[1][static_cast<std::size_t>(y)]);
  return std::sqrt(static_cast<double>(power_[ix * kSide + iy])) /
         static_cast<double>(taper_[0][ix] * taper_[1][iy]);
}

// Centre of what the match weighs, in points and seen on the crystal, when the crystal has moved.
Vector2 CrystalMap::match_centre(int moved_x, int moved_y) const {
  const auto taper_at = [](const std::vector<float>& taper, int i) {
    return i < 0 || i >= kSide ? 0.0 : static_cast<double>(taper[static_cast<std::size_t>(i)]);
  };
  double weights = 0.0;
  Vector2 sum;
  for (int x = 0; x < kSide; ++x)
    for (int y = 0; y < kSide; ++y) {
      const double seen =
          amplitude(x, y) * taper_at(taper_[0], x + moved_x) * taper_at(taper_[1], y + moved_y);
      weights += seen * seen;
      sum.x += seen * seen * x, sum.y += seen * seen * y;
    }
  if (weights <= 0.0) return {};
  return {sum.x / weights, sum.y / weights};
}

CrystalPlace CrystalMap::place(const Spectrum& mean, std::span<const Peak> reflections) {
  std::fill(power_.begin(), power_.end(), 0.0f);
  const auto plain = reflections.first(std::min<std::size_t>(reflections.size(), 6));
  double coherence = 0.0;
  for (const Peak& peak : plain)
    coherence += add_powers(mean, peak) / static_cast<double>(plain.size());
  double strongest = 0.0;
  for (int x = 0; x < kSide; ++x)
    for (int y = 0; y < kSide; ++y) strongest = std::max(strongest, amplitude(x, y));
  double area = 0.0;
  Vector2 crystal;
  for (int x = 0; x < kSide; ++x)
    for (int y = 0; y < kSide; ++y) {
      if (amplitude(x, y) < kInsideShare * strongest || strongest <= 0.0) continue;
      area += 1.0;
      crystal.x += x + 0.5, crystal.y += y + 0.5;  // a point stands for what lies to its right
    }
  if (area <= 0.0) return {};
  const double point_x = static_cast<double>(grid_.width) / kSide;
  const double point_y = static_cast<double>(grid_.height) / kSide;
  const Vector2 here = match_centre(0, 0);
  CrystalPlace out;
  out.coherence = coherence;
  out.centre = {(here.x - crystal.x / area) * point_x, (here.y - crystal.y / area) * point_y};
  out.kappa = {0.5 * (match_centre(-1, 0).x - match_centre(1, 0).x),
               0.5 * (match_centre(0, -1).y - match_centre(0, 1).y)};
  return out;
}

LatticeLeak::LatticeLeak(const AnalysisGrid& grid)
    : field_cells_(std::min(grid.width, grid.height)) {
  reset();
}

void LatticeLeak::reset() {
  state_ = {};
  covariance_ = prior_ = {};
  last_ = since_ = {};
  carried_ = place_ = before_ = before_random_ = before_systematic_ = {};
  is_first_ = is_followed_ = true;
}

void LatticeLeak::begin(const CrystalPlace& crystal, Vector2 variance) {
  const Doubt doubt_now = doubt();
  before_ = leak();
  before_random_ = doubt_now.random;
  before_systematic_ = doubt_now.systematic;
  since_ = {};
  carried_ = {};
  is_first_ = true;
  is_followed_ = crystal.coherence > kOneCrystal;
  contradictions_ = 0;
  kappa_ = crystal.kappa;
  state_ = {crystal.centre.x, crystal.centre.y, 1.0, 0.0, 0.0, 0.0, 0.0};
  prior_ = {};
  const double a = kCentreSigma * field_cells_, b = kWingsSigma * field_cells_;
  prior_[0][0] = prior_[1][1] = a * a;
  prior_[2][2] = kKappaSigma * kKappaSigma;
  prior_[3][3] = variance.x;
  prior_[4][4] = variance.y;
  prior_[5][5] = prior_[6][6] = b * b;
  covariance_ = prior_;
}

void LatticeLeak::advance(const Matrix2& now, Vector2 shift) {
  if (is_first_) {
    place_ = shift;
    is_first_ = false;
  }
  const Matrix2 d{now.xx - last_.xx, now.xy - last_.xy, now.yx - last_.yx, now.yy - last_.yy};
  last_ = now;
  since_ = {since_.xx + d.xx, since_.xy + d.xy, since_.yx + d.yx, since_.yy + d.yy};
  const Vector2 way = d.times({kappa_.x * (shift.x - place_.x), kappa_.y * (shift.y - place_.y)});
  carried_ = {carried_.x + way.x, carried_.y + way.y};
  // Only what is being learnt may walk: without a deformation nothing is.
  if (since_.xx == 0.0 && since_.xy == 0.0 && since_.yx == 0.0 && since_.yy == 0.0) return;
  const double walk = kCentreWalk_cells * kCentreWalk_cells;
  for (std::size_t i : {0u, 1u}) {
    covariance_[i][i] += walk;
    prior_[i][i] += walk;
  }
}

LatticeLeak::Row LatticeLeak::row(bool is_y) const noexcept {
  if (is_y) return {since_.yx, since_.yy, -carried_.y, 0.0, 0.0, 0.0, 0.0};
  return {since_.xx, since_.xy, -carried_.x, 0.0, 0.0, 0.0, 0.0};
}

Vector2 LatticeLeak::since_begin() const noexcept {
  const auto dot = [&](const Row& h) {
    double sum = 0.0;
    for (std::size_t i = 0; i < kStates; ++i) sum += h[i] * state_[i];
    return sum;
  };
  return {dot(row(false)), dot(row(true))};
}

Vector2 LatticeLeak::leak() const noexcept {
  if (!is_followed_) return before_;
  const Vector2 since = since_begin();
  return {before_.x + since.x, before_.y + since.y};
}

Vector2 LatticeLeak::variance(const std::array<Row, kStates>& covariance) const noexcept {
  const auto of = [&](const Row& h) {
    double sum = 0.0;
    for (std::size_t i = 0; i < kStates; ++i)
      for (std::size_t j = 0; j < kStates; ++j) sum += h[i] * covariance[i][j] * h[j];
    return std::max(sum, 0.0);
  };
  return {of(row(false)), of(row(true))};
}

LatticeLeak::Doubt LatticeLeak::doubt() const noexcept {
  const Vector2 now = variance(covariance_), assumed = variance(prior_);
  const auto part = [](double v, double prior) {
    const double share = prior > 0.0 ? std::min(v / prior, 1.0) : 0.0;
    return v * share;
  };
  if (!is_followed_) {
    const Vector2 since = since_begin();
    return {before_random_,
            {before_systematic_.x + now.x + since.x * since.x,
             before_systematic_.y + now.y + since.y * since.y}};
  }
  const Vector2 systematic{part(now.x, assumed.x), part(now.y, assumed.y)};
  return {{before_random_.x + now.x - systematic.x, before_random_.y + now.y - systematic.y},
          {before_systematic_.x + systematic.x, before_systematic_.y + systematic.y}};
}

bool LatticeLeak::matters(double match_variance) const noexcept {
  if (!is_followed_) return false;
  const Vector2 v = variance(covariance_);
  return std::max(v.x, v.y) > 0.05 * match_variance;
}

bool LatticeLeak::update(const Row& h, double residual, double variance) {
  Row gain{};
  double total = variance;
  for (std::size_t i = 0; i < kStates; ++i) {
    for (std::size_t j = 0; j < kStates; ++j) gain[i] += covariance_[i][j] * h[j];
    total += h[i] * gain[i];
  }
  if (residual * residual > 25.0 * total) return false;
  for (std::size_t i = 0; i < kStates; ++i) state_[i] += gain[i] / total * residual;
  for (std::size_t i = 0; i < kStates; ++i)
    for (std::size_t j = 0; j < kStates; ++j) covariance_[i][j] -= gain[i] * gain[j] / total;
  return true;
}

void LatticeLeak::learn(Vector2 offset, Vector2 variance) {
  if (!is_followed_) return;
  // What there was of the leak before begin() is in the reference's own place.
  const auto told = [&](Row h, std::size_t axis, double measured, double v) {
    h[3 + axis] = 1.0;
    h[5] = -h[0];
    h[6] = -h[1];
    double expected = 0.0;
    for (std::size_t i = 0; i < kStates; ++i) expected += h[i] * state_[i];
    return update(h, measured - expected, v);
  };
  const bool is_x_believed = told(row(false), 0, offset.x, variance.x);
  const bool is_y_believed = told(row(true), 1, offset.y, variance.y);
  contradictions_ = is_x_believed && is_y_believed ? 0 : contradictions_ + 1;
  const double wings = std::hypot(state_[5], state_[6]) / (kWingsSigma * field_cells_);
  if (contradictions_ < kPatience && wings < kTooMuchWings) return;
  // What stays is nowhere near the centre of the crystal: film that seemed not to follow is right.
  contradictions_ = 0;
  const double far = kFarSigma * field_cells_;
  for (const std::size_t axis : {0u, 1u}) {
    state_[axis] -= state_[5 + axis];
    state_[5 + axis] = 0.0;
    covariance_[axis][axis] += far * far;
    prior_[axis][axis] += far * far;
  }
}

}  // namespace latticed::signal
