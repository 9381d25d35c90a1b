// SPDX-License-Identifier: GPL-3.0-or-later
#include "sim/bound/bounds.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "sim/bound/lattice_information.hpp"

namespace latticed::sim {
namespace {

/// Half the step of the central difference. Its error for the finest wave a frame can show is
/// (pi h)^2 / 6, 0.4 %; rounding of the float images is 1e-6 of a slope.
constexpr double kStepPx = 0.05;
constexpr double kLeastAmplitude = 1e-6;  // of a wave that counts, in units of the dose

/// Variance of a pixel, electrons^2. A count's own noise, the read noise and the rounding to whole
/// ADU; for a count of few electrons this is slightly more than what a detector that can tell
/// single electrons leaves open.
double variance_e2(const DetectorModel& detector, double expected_e) {
  const double read_e = detector.read_noise_adu / detector.gain_adu_per_e;
  const double step_e = 1.0 / detector.gain_adu_per_e;
  return expected_e + read_e * read_e + step_e * step_e / 12.0;
}

/// (h, l), in twelfths, divided by their greatest common divisor, and that divisor: harmonics of
/// one family. Twelfths take the halves, thirds and quarters of superlattices too.
struct Harmonic {
  long h, l, order;
};

Harmonic harmonic_of(const PlaneWave& wave) {
  const long h = std::lround(12.0 * wave.h);
  const long l = std::lround(12.0 * wave.l);
  const long common = std::max(1L, std::gcd(h, l));
  return {h / common, l / common, common};
}

/// The waves that the detector shows, with the amplitudes it shows; `from` says which they were.
std::vector<PlaneWave> seen_waves(const DetectorModel& detector, const Domain& domain,
                                  std::vector<std::size_t>& from) {
  std::vector<PlaneWave> seen;
  const double nyquist = 0.5 / detector.pixel_size_nm;
  for (std::size_t i = 0; i < domain.waves.size(); ++i) {
    PlaneWave wave = domain.waves[i];
    if (std::max(std::abs(wave.g_per_nm.x), std::abs(wave.g_per_nm.y)) >= nyquist) continue;
    wave.amplitude *= detector.lattice_scale * mtf_at(detector, length(wave.g_per_nm));
    if (std::abs(wave.amplitude) < kLeastAmplitude) continue;
    seen.push_back(wave);
    from.push_back(i);
  }
  return seen;
}

PixelGrid grid_of(const DetectorModel& detector, Vector shift_nm) {
  const double px = detector.pixel_size_nm;
  const Vector half{0.5 * detector.width * px, 0.5 * detector.height * px};
  return {detector.width, px, -1.0 * (half + shift_nm), std::max(half.x, half.y)};
}

}  // namespace

Bounds::Bounds(const DetectorModel& detector, Renderer& renderer)
    : detector_(detector),
      renderer_(renderer),
      precision_(static_cast<std::size_t>(detector.width) *
                 static_cast<std::size_t>(detector.height)),
      image_(precision_.size()) {}

FrameBounds Bounds::of(const SpecimenState& state) {
  FrameBounds out;
  out.waves.resize(state.domains.size());
  for (std::size_t i = 0; i < state.domains.size(); ++i)
    out.waves[i].resize(state.domains[i].waves.size());
  if (!state.beam_on || !state.specimen_in) return out;
  fill_precision(state);
  out.drift_px = drift_px(state);
  for (std::size_t i = 0; i < state.domains.size(); ++i) out.waves[i] = waves_of(state, i);
  return out;
}

void Bounds::fill_precision(const SpecimenState& state) {
  renderer_.expect(state, image_);
  for (std::size_t i = 0; i < image_.size(); ++i) {
    const double expected_e = detector_.dose_e_per_px * static_cast<double>(image_[i]);
    const bool is_saturated =
        detector_.dark_adu + detector_.gain_adu_per_e * expected_e >= detector_.saturation_adu;
    const double variance = variance_e2(detector_, expected_e);
    precision_[i] = is_saturated || !(variance > 0.0)
                        ? 0.0f
                        : static_cast<float>(detector_.dose_e_per_px / std::sqrt(variance));
  }
}

/// Of each pixel, in units of its noise, for a displacement of one pixel.
std::vector<float> Bounds::slope(SpecimenState state, Vector direction) {
  const Vector zero = state.shift_nm;
  std::vector<float> out(image_.size());
  for (const double side : {kStepPx, -kStepPx}) {
    state.shift_nm = zero + side * detector_.pixel_size_nm * direction;
    renderer_.expect(state, image_);
    const auto factor = static_cast<float>(0.5 / side);
    for (std::size_t i = 0; i < out.size(); ++i) out[i] += factor * image_[i] * precision_[i];
  }
  return out;
}

std::optional<Vector> Bounds::drift_px(const SpecimenState& state) {
  const std::vector<float> x = slope(state, {1.0, 0.0});
  const std::vector<float> y = slope(state, {0.0, 1.0});
  SquareMatrix information(2);
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double to_x = x[i];
    const double to_y = y[i];
    information.at(0, 0) += to_x * to_x;
    information.at(0, 1) += to_x * to_y;
    information.at(1, 1) += to_y * to_y;
  }
  information.at(1, 0) = information.at(0, 1);
  const auto covariance = symmetric_inverse(information);
  if (!covariance) return std::nullopt;
  return Vector{std::sqrt(covariance->at(0, 0)), std::sqrt(covariance->at(1, 1))};
}

std::vector<WaveBound> Bounds::waves_of(const SpecimenState& state, std::size_t number) {
  const Domain& domain = state.domains[number];
  std::vector<WaveBound> out(domain.waves.size());
  std::vector<std::size_t> from;
  LatticeInformation information(seen_waves(detector_, domain, from),
                                 grid_of(detector_, state.shift_nm));
  renderer_.envelope(state, number, image_);
  const auto width = static_cast<std::size_t>(detector_.width);
  for (std::size_t y = 0; y * width < image_.size(); ++y) {
    information.add_row(static_cast<int>(y), std::span(image_).subspan(y * width, width),
                        std::span(precision_).subspan(y * width, width));
  }
  std::vector<SharedBy> lattice;
  std::map<std::pair<long, long>, std::vector<SharedBy>> families;
  for (std::size_t i = 0; i < from.size(); ++i) {
    const PlaneWave& wave = domain.waves[from[i]];
    const Harmonic harmonic = harmonic_of(wave);
    lattice.push_back({i, {wave.h, wave.l}});
    families[{harmonic.h, harmonic.l}].push_back({i, {static_cast<double>(harmonic.order), 0.0}});
  }
  const auto take = [&](std::span<const SharedBy> shared, std::size_t vectors,
                        std::optional<double> WaveBound::*member) {
    const auto sigma = information.sigma_g_per_nm(shared, vectors);
    for (std::size_t i = 0; sigma && i < shared.size(); ++i) {
      const std::size_t wave = from[shared[i].wave];
      const double g = length(domain.waves[wave].g_per_nm);
      out[wave].*member = (*sigma)[i] / (g * g);
    }
  };
  for (const auto& [direction, shared] : families) take(shared, 1, &WaveBound::d_nm);
  take(lattice, 2, &WaveBound::d_lattice_nm);
  return out;
}

}  // namespace latticed::sim
