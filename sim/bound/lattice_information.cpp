// SPDX-License-Identifier: GPL-3.0-or-later
#include "sim/bound/lattice_information.hpp"

#include <algorithm>
#include <cmath>

#include "sim/render/simd.hpp"

namespace latticed::sim {
namespace {

constexpr double kTurn = 6.283185307179586476925;

/// Each wave has four parameters: g_x and g_y (in units of 1 / unit_nm), amplitude, turns.
constexpr std::size_t kOfWave = 4;

LATTICED_SIMD void add_outer(float* sum, const float* values, std::size_t count) noexcept {
  for (std::size_t i = 0; i < count; ++i) {
    const float left = values[i];
    float* to = sum + i * count;
    for (std::size_t j = 0; j < count; ++j) to[j] += left * values[j];
  }
}

}  // namespace

LatticeInformation::LatticeInformation(std::vector<PlaneWave> waves, const PixelGrid& grid)
    : waves_(std::move(waves)),
      grid_(grid),
      columns_((kOfWave * waves_.size() + 7) / 8 * 8),
      basis_(columns_ * static_cast<std::size_t>(grid.width)),
      row_sum_(columns_ * columns_),
      information_(columns_ * columns_) {}

void LatticeInformation::fill_basis(int y, std::span<const float> envelope,
                                    std::span<const float> precision) {
  for (std::size_t k = 0; k < waves_.size(); ++k) {
    const PlaneWave& wave = waves_[k];
    for (std::size_t x = 0; x < envelope.size(); ++x) {
      if (envelope[x] <= 0.0f) continue;
      const Vector at = grid_.first_nm + grid_.pixel_size_nm *
                                             Vector{static_cast<double>(x), static_cast<double>(y)};
      const SinCos turn = sin_cos_turns(dot(wave.g_per_nm, at) + wave.turns);
      const double weight = static_cast<double>(envelope[x]) * static_cast<double>(precision[x]);
      const double to_phase = -kTurn * wave.amplitude * turn.sine * weight;
      float* out = basis_.data() + x * columns_ + k * kOfWave;
      out[0] = static_cast<float>(to_phase * at.x / grid_.unit_nm);
      out[1] = static_cast<float>(to_phase * at.y / grid_.unit_nm);
      out[2] = static_cast<float>(turn.cosine * weight);
      out[3] = static_cast<float>(to_phase);
    }
  }
}

void LatticeInformation::add_row(int y, std::span<const float> envelope,
                                 std::span<const float> precision) {
  fill_basis(y, envelope, precision);
  std::fill(row_sum_.begin(), row_sum_.end(), 0.0f);
  for (std::size_t x = 0; x < envelope.size(); ++x) {
    if (envelope[x] > 0.0f) add_outer(row_sum_.data(), basis_.data() + x * columns_, columns_);
  }
  for (std::size_t i = 0; i < row_sum_.size(); ++i)
    information_[i] += static_cast<double>(row_sum_[i]);
}

std::optional<std::vector<double>> LatticeInformation::sigma_g_per_nm(
    std::span<const SharedBy> shared, std::size_t vectors) const {
  // theta = J t, t: the shared vectors, then amplitude and turns of each wave; J^T I J.
  struct Term {
    std::size_t of_wave, shared;
    double factor;
  };
  std::vector<Term> terms;
  for (std::size_t s = 0; s < shared.size(); ++s) {
    const std::size_t first = shared[s].wave * kOfWave;
    for (std::size_t v = 0; v < vectors; ++v)
      for (std::size_t axis = 0; axis < 2; ++axis)
        terms.push_back({first + axis, 2 * v + axis, shared[s].index[v]});
    terms.push_back({first + 2, 2 * vectors + 2 * s, 1.0});
    terms.push_back({first + 3, 2 * vectors + 2 * s + 1, 1.0});
  }
  SquareMatrix information(2 * vectors + 2 * shared.size());
  for (const Term& a : terms)
    for (const Term& b : terms)
      information.at(a.shared, b.shared) +=
          a.factor * b.factor * information_[a.of_wave * columns_ + b.of_wave];
  const auto covariance = symmetric_inverse(information);
  if (!covariance) return std::nullopt;
  std::vector<double> out;
  for (const SharedBy& one : shared) {
    const Vector g = waves_[one.wave].g_per_nm;
    const Vector along = (1.0 / length(g)) * g;
    double variance = 0.0;
    for (std::size_t v = 0; v < vectors; ++v) {
      for (std::size_t w = 0; w < vectors; ++w) {
        const Matrix block{covariance->at(2 * v, 2 * w), covariance->at(2 * v, 2 * w + 1),
                           covariance->at(2 * v + 1, 2 * w), covariance->at(2 * v + 1, 2 * w + 1)};
        variance += one.index[v] * one.index[w] * dot(along, block * along);
      }
    }
    out.push_back(std::sqrt(variance) / grid_.unit_nm);
  }
  return out;
}

}  // namespace latticed::sim
