// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/signal/spot_refine.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <numbers>
#include <vector>

#include "server/base/hot.hpp"

namespace latticed::signal {

namespace {

constexpr double kTwoPi = 2.0 * std::numbers::pi;
// Width of the envelope's low-pass, in bins: features down to about a tenth of the field.
constexpr double kEnvelopeSigmaBins = 1.6;
// A crystal that fills less than this of the field is outlined more finely, down to a 25th.
constexpr double kSmallCrystal = 0.16;
constexpr double kFinestSigmaBins = 4.0;
// Spots nearer than this have one outline between them: no mask can tell their crystals apart.
constexpr double kNearestRivalBins = 1.6;
// Further off, the low-pass itself leaves a rival out. At 7 bins it does not where the rival is
// 2.6 times as strong: O2 (002) was lost to its row beside P2's.
constexpr double kFarthestRivalBins = 9.0;
// From here on a rival counts only where its outline is another one: the cosine of both.
constexpr double kFarRivalBins = 6.0;
constexpr double kSameOutline = 0.5;
// Tapered part of the window the frequency is measured under, in place of the frame's own taper. It
// must reach zero smoothly: the block repeats, so a sample at the seam sees both ends of the field,
// where a fringe between two bins has two phases. With it d is 1.3 x the bound; 0.5 makes it 1.5.
constexpr double kWindowTaper = 0.25;
// A crystal's edge, of its typical amplitude. One that fills the field has none: what is left of
// the threshold there only evens out what noise has drawn.
constexpr double kEdge = 0.75, kEdgeOfAll = 0.5;
constexpr double kNotAll = 0.6, kSurelyAll = 0.9;  // of the field
constexpr float kNoCrystal = 0.2f;                 // of the envelope's largest: below is only noise
constexpr float kSurelyCrystal = 0.4f;             // likewise: above is not only noise
constexpr double kOverNoise = 9.0;       // in power: noise goes above it in exp(-9) of the field
constexpr double kFarFromCentre = 0.05;  // bins
constexpr int kNewtonSteps = 9;
constexpr double kConverged = 1e-4;  // bins

// Eight samples of a column of the block. Sums over the block run along x for each, in a fixed
// order, so that every version of a hot loop gives the same bits.
constexpr int kLanes = 8;
typedef float Lanes __attribute__((vector_size(32), may_alias));

const Lanes& lanes(const float* at) { return *reinterpret_cast<const Lanes*>(at); }
Lanes& lanes(float* at) { return *reinterpret_cast<Lanes*>(at); }

double envelope_weight(double bins, double sigma_bins) {
  const double u = bins / sigma_bins;
  return std::exp(-0.5 * u * u);
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
          envelope_weight(k, kEnvelopeSigmaBins) *
          (coefficient * std::polar(1.0, kTwoPi * k * m / size)).real();
  }
  return out;
}

// exp(-2 pi i offset m / size) for m = 0 .. size-1.
void turns(double offset, int size, float* re, float* im) {
  const std::complex<double> step = std::polar(1.0, -kTwoPi * offset / size);
  std::complex<double> turn{1.0, 0.0};
  for (int m = 0; m < size; ++m) {
    re[m] = static_cast<float>(turn.real());
    im[m] = static_cast<float>(turn.imag());
    turn = {turn.real() * step.real() - turn.imag() * step.imag(),
            turn.real() * step.imag() + turn.imag() * step.real()};
  }
}

// A fringe's samples times a turn along x: for each y the sums over x of u h e, and of t and t^2
// times it, where t is the place along x from the middle, in field lengths.
struct ColumnSums {
  alignas(64) float re0[32], im0[32], re1[32], im1[32], re2[32], im2[32];
};

LATTICED_HOT void sum_columns(const float* re, const float* im, const float* weight,
                              const float* turn_re, const float* turn_im, int size,
                              ColumnSums* out) {
  for (int n = 0; n < size; n += kLanes) {
    Lanes re0{}, im0{}, re1{}, im1{}, re2{}, im2{};
    for (int m = 0; m < size; ++m) {
      const int i = m * size + n;
      const float t = static_cast<float>(m) / static_cast<float>(size) - 0.5f;
      const Lanes u = lanes(weight + i), a = u * lanes(re + i), b = u * lanes(im + i);
      const Lanes x = a * turn_re[m] - b * turn_im[m], y = a * turn_im[m] + b * turn_re[m];
      const Lanes tx = x * t, ty = y * t;
      re0 += x;
      im0 += y;
      re1 += tx;
      im1 += ty;
      re2 += tx * t;
      im2 += ty * t;
    }
    lanes(out->re0 + n) = re0;
    lanes(out->im0 + n) = im0;
    lanes(out->re1 + n) = re1;
    lanes(out->im1 + n) = im1;
    lanes(out->re2 + n) = re2;
    lanes(out->im2 + n) = im2;
  }
}

// The same sums of u^2 v, the noise.
struct NoiseSums {
  alignas(64) float b0[32], b1[32], b2[32];
};

LATTICED_HOT void sum_noise(const float* weight, const float* noise, int size, NoiseSums* out) {
  for (int n = 0; n < size; n += kLanes) {
    Lanes b0{}, b1{}, b2{};
    for (int m = 0; m < size; ++m) {
      const int i = m * size + n;
      const float t = static_cast<float>(m) / static_cast<float>(size) - 0.5f;
      const Lanes u = lanes(weight + i);
      const Lanes b = u * u * lanes(noise + i);
      b0 += b;
      b1 += b * t;
      b2 += b * t * t;
    }
    lanes(out->b0 + n) = b0;
    lanes(out->b1 + n) = b1;
    lanes(out->b2 + n) = b2;
  }
}

// For each y the sums over x of u s and of u^2 v times 1, t .. t^4, t from the middle.
struct PowerSums {
  alignas(64) float signal[5][32], noise[5][32];
};

LATTICED_HOT void sum_powers(const float* weight, const float* crystal, const float* taper,
                             const float* noise, int size, PowerSums* out) {
  for (int n = 0; n < size; n += kLanes) {
    Lanes a0{}, a1{}, a2{}, a3{}, a4{}, b0{}, b1{}, b2{}, b3{}, b4{};
    for (int m = 0; m < size; ++m) {
      const int i = m * size + n;
      const float t = static_cast<float>(m) / static_cast<float>(size) - 0.5f;
      const Lanes u = lanes(weight + i);
      Lanes a = u * lanes(crystal + i) * lanes(taper + i), b = u * u * lanes(noise + i);
      a0 += a, b0 += b;
      a = a * t, b = b * t;
      a1 += a, b1 += b;
      a = a * t, b = b * t;
      a2 += a, b2 += b;
      a = a * t, b = b * t;
      a3 += a, b3 += b;
      a4 += a * t, b4 += b * t;
    }
    const Lanes of_signal[5] = {a0, a1, a2, a3, a4}, of_noise[5] = {b0, b1, b2, b3, b4};
    for (int k = 0; k < 5; ++k) {
      lanes(out->signal[k] + n) = of_signal[k];
      lanes(out->noise[k] + n) = of_noise[k];
    }
  }
}

// Without weights: for each y the sum over x of h e.
LATTICED_HOT void sum_plain(const float* re, const float* im, const float* turn_re,
                            const float* turn_im, int size, float* out_re, float* out_im) {
  for (int n = 0; n < size; n += kLanes) {
    Lanes sum_re{}, sum_im{};
    for (int m = 0; m < size; ++m) {
      const Lanes a = lanes(re + m * size + n), b = lanes(im + m * size + n);
      sum_re += a * turn_re[m] - b * turn_im[m];
      sum_im += a * turn_im[m] + b * turn_re[m];
    }
    lanes(out_re + n) = sum_re;
    lanes(out_im + n) = sum_im;
  }
}

LATTICED_HOT void split(const float* parts, int count, float* re, float* im) {
  for (int i = 0; i < count; ++i) {
    re[i] = parts[2 * i];
    im[i] = parts[2 * i + 1];
  }
}

// Bins times a separable low-pass.
LATTICED_HOT void pass_low(const float* bins, const float* along_x, const float* along_y_twice,
                           int size, float* out) {
  for (int m = 0; m < size; ++m)
    for (int n = 0; n < 2 * size; ++n)
      out[m * 2 * size + n] = bins[m * 2 * size + n] * (along_x[m] * along_y_twice[n]);
}

// |h|^2 over the square of what the low-pass makes of the taper.
LATTICED_HOT void show_power(const float* parts, const float* low_inverse, int count, float* out) {
  for (int i = 0; i < count; ++i) {
    const float re = parts[2 * i] * low_inverse[i], im = parts[2 * i + 1] * low_inverse[i];
    out[i] = re * re + im * im;
  }
}

// Amplitude of a crystal: where its rivals' power is not above its own, and not where only noise
// is.
LATTICED_HOT void outline(const float* own, const float* rivals, int count, float least,
                          float* crystal) {
  for (int i = 0; i < count; ++i) {
    const float left = own[i] - rivals[i];
    const float amplitude = left / __builtin_sqrtf(own[i] + 1e-30f);
    crystal[i] = own[i] < least || left < 0.0f ? 0.0f : amplitude;
  }
}

// The low-pass has blurred the outline, and a crystal's ends, where the leverage is, would let in
// more noise than fringes: a soft threshold takes them back.
LATTICED_HOT void sharpen(const float* crystal, float edge, int count, float* out) {
  const float of_one = 1.0f / (edge + 1e-30f);
  for (int i = 0; i < count; ++i) {
    const float q = crystal[i] * of_one, q4 = q * q * q * q;
    out[i] = q4 / (q4 + 1.0f);
  }
}

LATTICED_HOT void multiply(const float* a, const float* b, int count, float* out) {
  for (int i = 0; i < count; ++i) out[i] = a[i] * b[i];
}

}  // namespace

struct SpotRefiner::Look {
  const RefineOptions& options;
  double white;
};

// Sums over the block of u h e, where e = exp(-2 pi i offset.t), t in field lengths about the
// middle, and what follows for L = log |c|.
struct SpotRefiner::Sums {
  std::complex<double> c, cx, cy, cxx, cxy, cyy;

  struct Slope {
    double gx, gy, hxx, hxy, hyy;
  };
  // With t about the middle, dc/dx = -2 pi i cx and so on.
  [[nodiscard]] Slope slope() const noexcept {
    const auto rx = cx / c, ry = cy / c;
    constexpr double k = -kTwoPi * kTwoPi;
    return {kTwoPi * rx.imag(), kTwoPi * ry.imag(), k * (cxx / c - rx * rx).real(),
            k * (cxy / c - rx * ry).real(), k * (cyy / c - ry * ry).real()};
  }
};

SpotRefiner::SpotRefiner(const FrameFft& fft)
    : grid_(fft.grid()),
      size_(std::min(grid_.width, grid_.height) >= 64 ? 32 : 16),
      ifft_(size_),
      mean_taper_squared_(0.0),
      along_x_(along(fft.taper_x())),
      along_y_(along(fft.taper_y())) {
  const auto samples = static_cast<std::size_t>(size_ * size_);
  bins_ = AlignedBuffer<Complex>(samples);
  envelope_ = AlignedBuffer<Complex>(samples);
  for (AlignedBuffer<float>* field :
       {&taper_, &noise_, &window_, &low_inverse_, &own_, &others_, &rival_})
    *field = AlignedBuffer<float>(samples);
  slots_.resize(kSlots);
  for (Slot& slot : slots_)
    for (AlignedBuffer<float>* field : {&slot.re, &slot.im, &slot.weight, &slot.crystal})
      *field = AlignedBuffer<float>(samples);
  for (int m = 0; m < size_; ++m)
    for (int n = 0; n < size_; ++n) {
      const Sample& x = along_x_[static_cast<std::size_t>(m)];
      const Sample& y = along_y_[static_cast<std::size_t>(n)];
      const auto i = static_cast<std::size_t>(m * size_ + n);
      taper_[i] = x.taper * y.taper;
      noise_[i] = x.noise * y.noise;
      window_[i] = x.weight * y.weight;
      low_inverse_[i] = 1.0f / (x.smoothed * y.smoothed);
      mean_taper_squared_ += static_cast<double>(noise_[i]) / (size_ * size_);
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

// The block of bins around the slot's, in the transform's order, and back into the field's samples.
void SpotRefiner::cut(const Spectrum& spectrum, Slot& slot, double* near_power) {
  const int half = size_ / 2;
  *near_power = 0.0;
  for (int dx = -half; dx < half; ++dx) {
    const int kx = std::abs(slot.kx0 + dx);
    const bool is_mirrored = slot.kx0 + dx < 0;
    Complex* to = bins_.data() + (dx < 0 ? dx + size_ : dx) * size_;
    if (kx >= grid_.kx_count) {
      std::fill_n(to, size_, Complex{});
      continue;
    }
    const int low = slot.ky0 - half, high = slot.ky0 + half - 1;
    const bool is_plain = !is_mirrored && low >= -grid_.height / 2 && high <= grid_.height / 2 &&
                          (low >= 0 || high < 0);
    if (is_plain) {
      const Complex* from = spectrum.data() + grid_.at(kx, grid_.row_of(low));
      std::copy_n(from + half, half, to);
      std::copy_n(from, half, to + half);
      continue;
    }
    for (int dy = -half; dy < half; ++dy) {
      const int ky = is_mirrored ? -(slot.ky0 + dy) : slot.ky0 + dy;
      Complex value{};
      if (std::abs(ky) <= grid_.height / 2) {
        value = spectrum[grid_.at(kx, grid_.row_of(ky))];
        if (is_mirrored) value = std::conj(value);
      }
      to[dy < 0 ? dy + size_ : dy] = value;
    }
  }
  for (int dx = -3; dx <= 3; ++dx)
    for (int dy = -3; dy <= 3; ++dy)
      *near_power += static_cast<double>(std::norm(bins_[static_cast<std::size_t>(
          (dx < 0 ? dx + size_ : dx) * size_ + (dy < 0 ? dy + size_ : dy))]));
  std::copy_n(bins_.data(), bins_.size(), envelope_.data());
  ifft_.execute(envelope_.data());
  split(reinterpret_cast<const float*>(envelope_.data()), size_ * size_, slot.re.data(),
        slot.im.data());
}

// Only bins near an offset from the slot's: the fringe's envelope there, with most noise left out.
// Its power, without the frame's taper.
void SpotRefiner::show_envelope(double offset_x, double offset_y, double sigma_bins, float* power) {
  std::array<float, kLargest> near_x{};
  std::array<float, 2 * kLargest> near_y{};
  for (int i = 0; i < size_; ++i) {
    const int d = i < size_ / 2 ? i : i - size_;
    const auto at = static_cast<std::size_t>(i);
    near_x[at] = static_cast<float>(envelope_weight(d - offset_x, sigma_bins));
    near_y[2 * at] = static_cast<float>(envelope_weight(d - offset_y, sigma_bins));
    near_y[2 * at + 1] = near_y[2 * at];
  }
  pass_low(reinterpret_cast<const float*>(bins_.data()), near_x.data(), near_y.data(), size_,
           reinterpret_cast<float*>(envelope_.data()));
  ifft_.execute(envelope_.data());
  show_power(reinterpret_cast<const float*>(envelope_.data()), low_inverse_.data(), size_ * size_,
             power);
}

namespace {

// Part of the field that carries the power: 1 for an even one.
double participation(const AlignedBuffer<float>& power) {
  double sum = 0.0, squares = 0.0;
  for (float value : power.span()) {
    sum += static_cast<double>(value);
    squares += static_cast<double>(value) * static_cast<double>(value);
  }
  return squares > 0.0 ? sum * sum / (squares * static_cast<double>(power.size())) : 0.0;
}

// The part of the field a crystal fills, and its amplitude there.
struct Drawn {
  double extent = 0.0, amplitude = 0.0;
};
Drawn drawn(const AlignedBuffer<float>& crystal) {
  double squares = 0.0, cubes = 0.0, fourth = 0.0;
  for (float value : crystal.span()) {
    const auto a = static_cast<double>(value);
    squares += a * a;
    cubes += a * a * a;
    fourth += a * a * a * a;
  }
  if (!(squares > 0.0)) return {};
  return {squares * squares / (fourth * static_cast<double>(crystal.size())), cubes / squares};
}

// The amplitude at which its outline ends.
float edge_of(const Drawn& crystal) {
  const double is_all = std::clamp((crystal.extent - kNotAll) / (kSurelyAll - kNotAll), 0.0, 1.0);
  return static_cast<float>(std::lerp(kEdge, kEdgeOfAll, is_all) * crystal.amplitude);
}

// The cosine between two outlines.
double alikeness(const AlignedBuffer<float>& a, const AlignedBuffer<float>& b) {
  double both = 0.0, of_a = 0.0, of_b = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const auto x = static_cast<double>(a[i]), y = static_cast<double>(b[i]);
    both += x * y;
    of_a += x * x;
    of_b += y * y;
  }
  return of_a > 0.0 && of_b > 0.0 ? both / std::sqrt(of_a * of_b) : 0.0;
}

}  // namespace

void SpotRefiner::outline_own(const Look& look, Slot& slot, double x, double y) {
  const auto samples = static_cast<std::size_t>(size_ * size_);
  double nearest = kFarthestRivalBins;
  std::fill_n(others_.data(), samples, 0.0f);
  const auto offset_of = [&](Vector2 rival) {
    return Vector2{rival.x * grid_.width - slot.kx0, rival.y * grid_.height - slot.ky0};
  };
  for (const Vector2 rival : look.options.rivals) {
    const Vector2 at = offset_of(rival);
    const double apart = std::hypot(at.x - x, at.y - y);
    if (apart >= kNearestRivalBins) nearest = std::min(nearest, apart);
  }
  // So narrow that little of a rival is let through: a seventieth, three deviations off.
  const double widest = nearest < kFarthestRivalBins ? nearest / 3.0 : kFinestSigmaBins;
  double sigma_bins = std::min(kEnvelopeSigmaBins, widest);
  show_envelope(x, y, sigma_bins, own_.data());
  if (const double fills = participation(own_); fills < kSmallCrystal && sigma_bins < widest) {
    sigma_bins = std::min({sigma_bins * kSmallCrystal / fills, kFinestSigmaBins, widest});
    show_envelope(x, y, sigma_bins, own_.data());
  }
  for (const Vector2 rival : look.options.rivals) {
    const Vector2 at = offset_of(rival);
    const double apart = std::hypot(at.x - x, at.y - y);
    if (apart < kNearestRivalBins || apart >= kFarthestRivalBins) continue;
    show_envelope(at.x, at.y, sigma_bins, rival_.data());
    // So far off it may as well be another spot of the same crystal.
    if (apart >= kFarRivalBins && alikeness(own_, rival_) > kSameOutline) continue;
    for (std::size_t i = 0; i < samples; ++i) others_[i] += rival_[i];
  }
  const float largest = *std::max_element(own_.data(), own_.data() + samples);
  // What noise alone draws is no crystal, where the crystal is plainer than noise.
  const double noise = look.white * std::numbers::pi * sigma_bins * sigma_bins;
  const float least =
      std::clamp(static_cast<float>(kOverNoise * noise), kNoCrystal * kNoCrystal * largest,
                 kSurelyCrystal * kSurelyCrystal * largest);
  outline(own_.data(), others_.data(), size_ * size_, least, slot.crystal.data());
}

double SpotRefiner::alike(std::size_t a, std::size_t b) const noexcept {
  return alikeness(slots_[a].crystal, slots_[b].crystal);
}

SpotRefiner::Sums SpotRefiner::sum_at(const Slot& slot, double offset_x, double offset_y) const {
  alignas(64) std::array<float, kLargest> x_re, x_im, y_re, y_im;
  turns(offset_x, size_, x_re.data(), x_im.data());
  turns(offset_y, size_, y_re.data(), y_im.data());
  ColumnSums columns;
  sum_columns(slot.re.data(), slot.im.data(), slot.weight.data(), x_re.data(), x_im.data(), size_,
              &columns);
  Sums sums;
  for (int n = 0; n < size_; ++n) {
    const auto at = static_cast<std::size_t>(n);
    const double t = static_cast<double>(n) / size_ - 0.5;
    const auto re = static_cast<double>(y_re[at]), im = static_cast<double>(y_im[at]);
    const auto turned = [&](float a, float b) {
      const auto p = static_cast<double>(a), q = static_cast<double>(b);
      return std::complex<double>{p * re - q * im, p * im + q * re};
    };
    const auto c0 = turned(columns.re0[n], columns.im0[n]);
    const auto c1 = turned(columns.re1[n], columns.im1[n]);
    sums.c += c0;
    sums.cy += t * c0;
    sums.cyy += t * t * c0;
    sums.cx += c1;
    sums.cxy += t * c1;
    sums.cxx += turned(columns.re2[n], columns.im2[n]);
  }
  return sums;
}

// Random error of the maximum: slope of its gradient, as observed (what the outline promises where
// only noise drew it is not there), and the variance of the gradient's noise about the middle of
// what is summed, as observed too: beside another crystal or on film that is not the outline's.
// False: there is nothing.
bool SpotRefiner::find_errors(Slot& slot, const Sums& sums, double noise_ratio, double* snr) const {
  NoiseSums columns;
  sum_noise(slot.weight.data(), noise_.data(), size_, &columns);
  double b = 0, bx = 0, by = 0, bxx = 0, bxy = 0, byy = 0;
  for (int n = 0; n < size_; ++n) {
    const double t = static_cast<double>(n) / size_ - 0.5;
    const auto b0 = static_cast<double>(columns.b0[n]), b1 = static_cast<double>(columns.b1[n]);
    b += b0, bx += b1, by += t * b0, bxy += t * b1, byy += t * t * b0;
    bxx += static_cast<double>(columns.b2[n]);
  }
  if (!(std::norm(sums.c) > 0.0) || !(b > 0.0)) return false;
  const double mx = (sums.cx / sums.c).real(), my = (sums.cy / sums.c).real();
  const double signal = std::abs(sums.c), scale = -signal / (kTwoPi * kTwoPi);
  const Sums::Slope at = sums.slope();
  slot.slope = {scale * at.hxx, scale * at.hxy, scale * at.hyy};
  // Of a sample, for white = 1.
  const double noise = noise_ratio * size_ * size_ / mean_taper_squared_;
  slot.scatter = {noise / 2.0 * (bxx - 2.0 * mx * bx + mx * mx * b),
                  noise / 2.0 * (bxy - mx * by - my * bx + mx * my * b),
                  noise / 2.0 * (byy - 2.0 * my * by + my * my * b)};
  *snr = signal / std::sqrt(b * noise);
  return slot.slope.xx > 0.0 && slot.slope.xx * slot.slope.yy > slot.slope.xy * slot.slope.xy;
}

namespace {

// cov = A^-1 B A^-1 / (2 pi)^2, in bins.
Covariance2 sandwich(const Covariance2& a, const Covariance2& b) {
  const double det = a.xx * a.yy - a.xy * a.xy;
  const double ixx = a.yy / det, ixy = -a.xy / det, iyy = a.xx / det;
  const double pxx = ixx * b.xx + ixy * b.xy, pxy = ixx * b.xy + ixy * b.yy;
  const double qxx = ixy * b.xx + iyy * b.xy, qxy = ixy * b.xy + iyy * b.yy;
  constexpr double scale = 1.0 / (kTwoPi * kTwoPi);
  return {scale * (pxx * ixx + pxy * ixy), scale * (pxx * ixy + pxy * iyy),
          scale * (qxx * ixy + qxy * iyy)};
}

}  // namespace

namespace {

using Square3 = std::array<std::array<double, 3>, 3>;
using Vector3 = std::array<double, 3>;

// Means over a crystal of the products of 1, x, y, x^2, x y, y^2, about its middle.
class Products {
 public:
  Products(const float (*columns)[32], int size, Vector2 middle);
  [[nodiscard]] double of(std::size_t i, std::size_t j) const noexcept { return mean_[i][j]; }
  [[nodiscard]] Vector2 middle() const noexcept { return middle_; }

 private:
  static constexpr std::array<int, 6> kPowerX{0, 1, 0, 2, 1, 0}, kPowerY{0, 0, 1, 0, 1, 2};
  std::array<std::array<double, 6>, 6> mean_{};
  Vector2 middle_;
};

// columns: for each y the sums over x of 1 .. x^4, x and y from the field's middle. middle: where
// the crystal's is, unless it is not finite: then it is found here.
Products::Products(const float (*columns)[32], int size, Vector2 middle) : middle_(middle) {
  double raw[5][5] = {};
  for (int n = 0; n < size; ++n) {
    double y = 1.0;
    for (int j = 0; j < 5; ++j, y *= static_cast<double>(n) / size - 0.5)
      for (int k = 0; k + j < 5; ++k) raw[k][j] += y * static_cast<double>(columns[k][n]);
  }
  if (!std::isfinite(middle.x)) middle_ = {raw[1][0] / raw[0][0], raw[0][1] / raw[0][0]};
  // (x - a)^k = sum of binomials.
  constexpr double kChoose[5][5] = {{1}, {1, 1}, {1, 2, 1}, {1, 3, 3, 1}, {1, 4, 6, 4, 1}};
  double by_x[5] = {1.0}, by_y[5] = {1.0}, central[5][5] = {};
  for (int k = 1; k < 5; ++k)
    by_x[k] = -middle_.x * by_x[k - 1], by_y[k] = -middle_.y * by_y[k - 1];
  for (int k = 0; k < 5; ++k)
    for (int j = 0; k + j < 5; ++j)
      for (int p = 0; p <= k; ++p)
        for (int q = 0; q <= j; ++q)
          central[k][j] +=
              kChoose[k][p] * kChoose[j][q] * by_x[k - p] * by_y[j - q] * raw[p][q] / raw[0][0];
  for (std::size_t i = 0; i < 6; ++i)
    for (std::size_t j = 0; j < 6; ++j)
      mean_[i][j] = central[kPowerX[i] + kPowerX[j]][kPowerY[i] + kPowerY[j]];
}

// False: singular.
bool invert(const Square3& a, Square3* out) {
  const auto cofactor = [&](std::size_t i, std::size_t j) {
    const std::size_t r = (i + 1) % 3, s = (i + 2) % 3, c = (j + 1) % 3, d = (j + 2) % 3;
    return a[r][c] * a[s][d] - a[r][d] * a[s][c];
  };
  const double det = a[0][0] * cofactor(0, 0) + a[0][1] * cofactor(0, 1) + a[0][2] * cofactor(0, 2);
  if (!(det > 0.0)) return false;
  for (std::size_t i = 0; i < 3; ++i)
    for (std::size_t j = 0; j < 3; ++j) (*out)[i][j] = cofactor(j, i) / det;
  return true;
}

// x^2, x y and y^2 with what a constant and a slope can take of them taken off, in terms of the
// six; `of` says over what.
std::array<std::array<double, 6>, 3> curved(const Products& of) {
  const double xx = of.of(1, 1), xy = of.of(1, 2), yy = of.of(2, 2), det = xx * yy - xy * xy;
  std::array<std::array<double, 6>, 3> out{};
  for (std::size_t f = 0; f < 3; ++f) {
    const double x = of.of(1, 3 + f), y = of.of(2, 3 + f);
    out[f][3 + f] = 1.0;
    out[f][0] = -of.of(0, 3 + f);
    out[f][1] = -(yy * x - xy * y) / det;
    out[f][2] = -(xx * y - xy * x) / det;
  }
  return out;
}

Square3 covariance_of(const std::array<std::array<double, 6>, 3>& f, const Products& over) {
  Square3 out{};
  for (std::size_t a = 0; a < 3; ++a)
    for (std::size_t b = 0; b < 3; ++b)
      for (std::size_t i = 0; i < 6; ++i)
        for (std::size_t j = 0; j < 6; ++j) out[a][b] += f[a][i] * f[b][j] * over.of(i, j);
  return out;
}

// Of the slope along (dx, dy) of a x^2 + b x y + c y^2, the mean square is a form in a, b, c.
Square3 slope_form(const Products& over, double dx, double dy) {
  const Vector3 of_x{2.0 * dx, dy, 0.0}, of_y{0.0, dx, 2.0 * dy};
  Square3 out{};
  for (std::size_t i = 0; i < 3; ++i)
    for (std::size_t j = 0; j < 3; ++j)
      out[i][j] = over.of(1, 1) * of_x[i] * of_x[j] + over.of(2, 2) * of_y[i] * of_y[j] +
                  over.of(1, 2) * (of_x[i] * of_y[j] + of_y[i] * of_x[j]);
  return out;
}

}  // namespace

// At the maximum the phase has neither a mean nor a slope over the crystal, so that its second
// moments, Im(cxx / c) and so on, are those of its curvature alone, psi = a x^2 + b x y + c y^2:
// three linear equations, with the moments of the crystal's own outline, since a strip's narrow
// side is bent by noise much more than its long one. The slope of psi along g is the local
// frequency's difference. A streak bends the phase as another crystal does: it is no noise here.
void SpotRefiner::find_spread(const Slot& slot, const Sums& sums, double snr,
                              RefinedSpot* out) const {
  PowerSums powers;
  sum_powers(slot.weight.data(), slot.crystal.data(), taper_.data(), noise_.data(), size_, &powers);
  constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();
  const Products signal(powers.signal, size_, {kUnknown, kUnknown});
  const Products noise(powers.noise, size_, signal.middle());
  const auto functions = curved(signal);
  Square3 inverse;
  if (!invert(covariance_of(functions, signal), &inverse)) return;
  const Vector3 seen{(sums.cxx / sums.c).imag(), (sums.cxy / sums.c).imag(),
                     (sums.cyy / sums.c).imag()};
  const Square3 scatter = covariance_of(functions, noise);
  Vector3 bend{};
  Square3 of_noise{};  // covariance of the bend, for snr = 1
  for (std::size_t i = 0; i < 3; ++i)
    for (std::size_t j = 0; j < 3; ++j) {
      bend[i] += inverse[i][j] * seen[j];
      for (std::size_t k = 0; k < 3; ++k)
        for (std::size_t l = 0; l < 3; ++l)
          of_noise[i][l] += 0.5 * inverse[i][j] * scatter[j][k] * inverse[k][l];
    }

  const double radius = std::hypot(out->frequency.x * grid_.width, out->frequency.y * grid_.height);
  const double gx = out->frequency.x * grid_.width / radius;
  const double gy = out->frequency.y * grid_.height / radius;
  const double length = std::hypot(out->frequency.x, out->frequency.y) / radius;  // of a bin
  const double scale = length * length / (kTwoPi * kTwoPi);
  const auto tell = [&](double dx, double dy, double* spread, double* by_noise) {
    const Square3 form = slope_form(signal, dx, dy);
    for (std::size_t i = 0; i < 3; ++i)
      for (std::size_t j = 0; j < 3; ++j) {
        *spread += scale * form[i][j] * bend[i] * bend[j];
        *by_noise += scale * form[i][j] * of_noise[j][i] / (snr * snr);
      }
  };
  tell(gx, gy, &out->spread, &out->spread_of_noise);
  tell(-gy, gx, &out->spread_across, &out->spread_across_of_noise);
  // A strip of a sample's width has no bend to tell: less than nothing, or more than a peak is
  // wide.
  const double most = length * length / std::max(out->extent, 1e-3);
  for (double* spread :
       {&out->spread, &out->spread_across, &out->spread_of_noise, &out->spread_across_of_noise})
    *spread = *spread >= 0.0 ? std::min(*spread, most) : most;
}

RefinedSpot SpotRefiner::refine(const Spectrum& spectrum, Vector2 start, double white,
                                const RefineOptions& options) {
  RefinedSpot out;
  out.noise_ratio = options.noise_ratio;
  Slot& slot = slots_[options.slot];
  slot.kx0 = static_cast<int>(std::lround(start.x * grid_.width));
  slot.ky0 = static_cast<int>(std::lround(start.y * grid_.height));
  cut(spectrum, slot, &out.power);

  const double begin_x = start.x * grid_.width - slot.kx0;
  const double begin_y = start.y * grid_.height - slot.ky0;
  double x = begin_x, y = begin_y;
  const bool is_own = options.outline == RefineOptions::kOwnOutline;
  Drawn crystal;
  const auto make_weights = [&] {
    if (is_own)
      outline_own({options, white}, slot, x, y);
    else
      std::copy_n(slots_[options.outline].crystal.data(), slot.crystal.size(), slot.crystal.data());
    crystal = drawn(slot.crystal);
    sharpen(slot.crystal.data(), edge_of(crystal), size_ * size_, slot.weight.data());
    multiply(slot.weight.data(), window_.data(), size_ * size_, slot.weight.data());
  };
  make_weights();
  Sums sums;
  bool has_converged = false, is_recentred = !is_own;
  for (int step = 0; step < kNewtonSteps && !has_converged; ++step) {
    sums = sum_at(slot, x, y);
    if (!(std::norm(sums.c) > 0.0)) return out;
    const Sums::Slope at = sums.slope();
    const double det = at.hxx * at.hyy - at.hxy * at.hxy;
    if (!(at.hxx < 0.0) || !(det > 0.0)) return out;  // not on the spot's main lobe
    const double dx = std::clamp(-(at.hyy * at.gx - at.hxy * at.gy) / det, -0.5, 0.5);
    const double dy = std::clamp(-(at.hxx * at.gy - at.hxy * at.gx) / det, -0.5, 0.5);
    x += dx;
    y += dy;
    has_converged = std::abs(dx) < kConverged && std::abs(dy) < kConverged;
    // The envelope was laid about the first guess: once more about where it led.
    if (!is_recentred && (has_converged || step == 1) &&
        std::hypot(x - begin_x, y - begin_y) > kFarFromCentre) {
      make_weights();
      is_recentred = true;
      has_converged = false;
    }
  }
  if (!has_converged || std::abs(x - begin_x) > 1.5 || std::abs(y - begin_y) > 1.5) return out;
  double matched = 0.0;
  if (!find_errors(slot, sums, options.noise_ratio, &matched)) return out;
  const Covariance2 cov = sandwich(slot.slope, slot.scatter);
  const double w = grid_.width, h = grid_.height;
  out.var_xx = white * cov.xx / (w * w);
  out.var_xy = white * cov.xy / (w * h);
  out.var_yy = white * cov.yy / (h * h);
  out.frequency = {(slot.kx0 + x) / w, (slot.ky0 + y) / h};
  out.snr = matched / std::sqrt(white);
  out.extent = crystal.extent;
  out.coefficient =
      options.is_shared ? sums.c * field_over_outline(slot) : plain_coefficient(slot, x, y);
  find_spread(slot, sums, out.snr * std::sqrt(options.noise_ratio), &out);
  out.is_valid = true;
  return out;
}

// The orders' log-likelihoods are |c_n|^2 over their noise; near their maxima that is the sum of
// lambda_n |c_n|, lambda_n = |c_n| over the noise, which is taken from slope over scatter.
RowFit SpotRefiner::join(std::span<const RowMember> members, Vector2 start, double white) const {
  RowFit out;
  const double begin_x = start.x * grid_.width, begin_y = start.y * grid_.height;
  double x = begin_x, y = begin_y;
  const auto lambda = [](const Slot& slot) {
    return (slot.slope.xx + slot.slope.yy) / (slot.scatter.xx + slot.scatter.yy);
  };
  bool has_converged = false;
  for (int step = 0; step < kNewtonSteps && !has_converged; ++step) {
    double gx = 0, gy = 0, hxx = 0, hxy = 0, hyy = 0;
    for (const RowMember& member : members) {
      const Slot& slot = slots_[member.slot];
      const int n = member.order;
      const Sums sums = sum_at(slot, n * x - slot.kx0, n * y - slot.ky0);
      const double size = std::abs(sums.c), weight = lambda(slot) * size;
      if (!(size > 0.0)) return out;
      const Sums::Slope at = sums.slope();
      gx += n * weight * at.gx;
      gy += n * weight * at.gy;
      hxx += n * n * weight * at.hxx;
      hxy += n * n * weight * at.hxy;
      hyy += n * n * weight * at.hyy;
    }
    const double det = hxx * hyy - hxy * hxy;
    if (!(hxx < 0.0) || !(det > 0.0)) return out;
    const double dx = std::clamp(-(hyy * gx - hxy * gy) / det, -0.2, 0.2);
    const double dy = std::clamp(-(hxx * gy - hxy * gx) / det, -0.2, 0.2);
    x += dx;
    y += dy;
    has_converged = std::abs(dx) < kConverged && std::abs(dy) < kConverged;
  }
  if (!has_converged || std::hypot(x - begin_x, y - begin_y) > 1.0) return out;
  Covariance2 slope, scatter;
  for (const RowMember& member : members) {
    const Slot& slot = slots_[member.slot];
    const double one = member.order * member.order * lambda(slot), two = one * lambda(slot);
    slope.xx += one * slot.slope.xx;
    slope.xy += one * slot.slope.xy;
    slope.yy += one * slot.slope.yy;
    scatter.xx += two * slot.scatter.xx;
    scatter.xy += two * slot.scatter.xy;
    scatter.yy += two * slot.scatter.yy;
  }
  const Covariance2 cov = sandwich(slope, scatter);
  const double w = grid_.width, h = grid_.height;
  out.frequency = {x / w, y / h};
  out.covariance = {white * cov.xx / (w * w), white * cov.xy / (w * h), white * cov.yy / (h * h)};
  out.is_valid = true;
  return out;
}

// The coefficient at this frequency as it is, for amplitude and phase: no weights.
std::complex<double> SpotRefiner::plain_coefficient(const Slot& slot, double offset_x,
                                                    double offset_y) const {
  alignas(64) std::array<float, kLargest> x_re, x_im, y_re, y_im;
  turns(offset_x, size_, x_re.data(), x_im.data());
  turns(offset_y, size_, y_re.data(), y_im.data());
  alignas(64) std::array<float, kLargest> re, im;
  sum_plain(slot.re.data(), slot.im.data(), x_re.data(), x_im.data(), size_, re.data(), im.data());
  std::complex<double> plain{};
  for (std::size_t n = 0; n < static_cast<std::size_t>(size_); ++n)
    plain += std::complex<double>(re[n], im[n]) * std::complex<double>(y_re[n], y_im[n]);
  return plain / (static_cast<double>(size_) * size_);
}

// What makes of a weighted sum the whole field's when the fringe is where the outline says.
double SpotRefiner::field_over_outline(const Slot& slot) const noexcept {
  double plain = 0.0, weighted = 0.0;
  for (std::size_t i = 0; i < taper_.size(); ++i) {
    const auto fringe = static_cast<double>(slot.crystal[i] * taper_[i]);
    plain += fringe;
    weighted += static_cast<double>(slot.weight[i]) * fringe;
  }
  return weighted > 0.0 ? plain / (weighted * size_ * size_) : 0.0;
}

RefinedSpot SpotRefiner::demodulate(const Spectrum& spectrum, Vector2 frequency, double white,
                                    const RefineOptions& options) {
  RefinedSpot out;
  out.noise_ratio = options.noise_ratio;
  Slot& slot = slots_[options.slot];
  slot.kx0 = static_cast<int>(std::lround(frequency.x * grid_.width));
  slot.ky0 = static_cast<int>(std::lround(frequency.y * grid_.height));
  cut(spectrum, slot, &out.power);
  const double x = frequency.x * grid_.width - slot.kx0;
  const double y = frequency.y * grid_.height - slot.ky0;
  if (options.outline == RefineOptions::kOwnOutline)  // nothing is known of where the crystal is
    std::copy_n(taper_.data(), taper_.size(), slot.crystal.data());
  else
    std::copy_n(slots_[options.outline].crystal.data(), slot.crystal.size(), slot.crystal.data());
  multiply(slot.crystal.data(), window_.data(), size_ * size_, slot.weight.data());
  double matched = 0.0;
  const Sums sums = sum_at(slot, x, y);
  (void)find_errors(slot, sums, options.noise_ratio, &matched);
  if (white > 0.0) out.snr = matched / std::sqrt(white);
  out.frequency = frequency;
  out.coefficient = plain_coefficient(slot, x, y);
  if (options.outline != RefineOptions::kOwnOutline)
    out.coefficient = sums.c * field_over_outline(slot);
  out.is_valid = true;
  return out;
}

}  // namespace latticed::signal
