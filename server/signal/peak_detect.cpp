// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/signal/peak_detect.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "server/base/hot.hpp"

namespace latticed::signal {

namespace {

constexpr std::size_t kSamplesPerRing = 160;
constexpr std::size_t kFewestSamples = 96;
constexpr std::size_t kMaxCandidates = 4096;
// A bin worth a look under the Hann window: half-way between two bins a spot has lost 84 % of its
// power, so the first look is far more generous than the test itself.
constexpr float kFirstLook = 6.0f;
// Nearer than this to a spot 1000 times stronger, a maximum is that spot's side lobe.
constexpr int kSideLobeReach = 14;
constexpr float kSideLobePower = 1e-3f;

float power_of(Complex value) noexcept {
  return value.real() * value.real() + value.imag() * value.imag();
}

// Largest and sum of |F|^2 over each chunk of a column.
LATTICED_HOT void survey_chunks(const float* parts, std::size_t chunks, float* largest,
                                float* sum) {
  constexpr int kChunk = PeakDetector::kChunk;
  for (std::size_t c = 0; c < chunks; ++c) {
    const float* at = parts + c * 2 * kChunk;
    float power[kChunk];
    for (int i = 0; i < kChunk; ++i)
      power[i] = at[2 * i] * at[2 * i] + at[2 * i + 1] * at[2 * i + 1];
    float most = power[0], total = 0.0f;
    for (int i = 0; i < kChunk; ++i) most = power[i] > most ? power[i] : most;
    for (int i = 0; i < kChunk; ++i) total += power[i];
    largest[c] = most;
    sum[c] = total;
  }
}

}  // namespace

std::size_t ring_at(const AnalysisGrid& grid, double min_fringes, Vector2 frequency) noexcept {
  // Radius in cycles per cell, so that oblong frames have round rings.
  const double radius = std::hypot(frequency.x, frequency.y);
  const double lowest = min_fringes / std::min(grid.width, grid.height);
  const double highest = 0.5 * grid.band;
  if (radius < lowest || radius >= highest) return kRings;
  // Square-root spacing: narrow rings where the spectrum is steep, wide ones where it is flat.
  const double u =
      (std::sqrt(radius) - std::sqrt(lowest)) / (std::sqrt(highest) - std::sqrt(lowest));
  return std::min(static_cast<std::size_t>(u * static_cast<double>(kRings)), kRings - 1);
}

PeakDetector::PeakDetector(const AnalysisGrid& grid, const DetectConfig& config,
                           double hann_noise_ratio)
    : grid_(grid),
      config_(config),
      hann_noise_ratio_(hann_noise_ratio),
      ring_of_bin_(grid.spectrum_size(), static_cast<std::uint8_t>(kRings)) {
  std::array<std::vector<std::uint32_t>, kRings> all;
  for (int kx = 0; kx < grid_.kx_count; ++kx)
    for (int row = 0; row < grid_.height; ++row) {
      const std::size_t ring = ring_at(grid_, config_.min_fringes,
                                       {static_cast<double>(kx) / grid_.width,
                                        static_cast<double>(grid_.signed_ky(row)) / grid_.height});
      if (ring == kRings) continue;
      ring_of_bin_[grid_.at(kx, row)] = static_cast<std::uint8_t>(ring);
      ++band_bins_;
      // The axes carry the frame's edges, so they do not speak for the noise of a ring.
      if (kx > 1 && std::abs(grid_.signed_ky(row)) > 1)
        all[ring].push_back(static_cast<std::uint32_t>(grid_.at(kx, row)));
    }
  // The column's padding makes the last chunk whole; its zeros are in no ring.
  chunks_per_column_ = static_cast<std::size_t>((grid_.height + kChunk - 1) / kChunk);
  for (int kx = 0; kx < grid_.kx_count; ++kx)
    for (std::size_t c = 0; c < chunks_per_column_; ++c) {
      ChunkRings rings{kRings, 0, true, 0};
      for (std::size_t i = 0; i < kChunk; ++i) {
        const std::uint8_t ring = ring_of_bin_[grid_.at(kx, 0) + c * kChunk + i];
        if (ring == kRings) {
          rings.is_whole = false;
          continue;
        }
        rings.low = std::min(rings.low, ring);
        rings.high = std::max(rings.high, ring);
      }
      rings.middle = ring_of_bin_[grid_.at(kx, 0) + c * kChunk + kChunk / 2];
      for (std::size_t i = 0; i < kChunk; ++i)
        if (const std::uint8_t ring = ring_of_bin_[grid_.at(kx, 0) + c * kChunk + i];
            ring != kRings)
          ++ring_bins_[rings.is_whole ? rings.middle : ring];
      chunk_rings_.push_back(rings);
    }
  const double probability =
      std::min(config_.false_alarms_per_frame / std::max<double>(band_bins_, 1.0), 0.5);
  for (std::size_t ring = 0; ring < kRings; ++ring) {
    // A ring of few bins borrows its neighbours', as many on either side as there are.
    std::vector<std::uint32_t> near = all[ring];
    for (std::size_t d = 1; d < kRings && near.size() < kFewestSamples; ++d) {
      if (ring >= d) near.insert(near.end(), all[ring - d].begin(), all[ring - d].end());
      if (ring + d < kRings) near.insert(near.end(), all[ring + d].begin(), all[ring + d].end());
    }
    const std::size_t count = std::min(near.size(), kSamplesPerRing);
    for (std::size_t i = 0; i < count; ++i)
      samples_of_ring_[ring].push_back(near[i * near.size() / count]);
    threshold_[ring] = static_cast<float>(threshold(count, probability));
  }
}

// The r-th smallest of n exponential variables is a sum of r independent ones of rates n, n-1, ...
// (Renyi 1953), so the mean of exp(-T x median / ln 2) over the median is a product.
double PeakDetector::threshold(std::size_t samples, double probability) {
  const auto exceeded = [&](double t) {
    double product = 1.0;
    for (std::size_t i = 0; i <= samples / 2; ++i) {
      const auto rate = static_cast<double>(samples - i);
      product *= rate / (rate + t / std::numbers::ln2);
    }
    return product;
  };
  if (samples == 0) return std::numeric_limits<float>::max();
  double low = 0.0, high = 1e9;
  for (int i = 0; i < 80; ++i) {
    const double middle = 0.5 * (low + high);
    (exceeded(middle) > probability ? low : high) = middle;
  }
  return high;
}

PeakDetector::Workspace PeakDetector::make_workspace() const {
  Workspace work;
  work.samples.resize(kSamplesPerRing);
  work.chunk_largest.resize(chunk_rings_.size());
  work.chunk_sum.resize(chunk_rings_.size());
  work.candidates.reserve(kMaxCandidates);
  return work;
}

void PeakDetector::survey(int kx, const Complex* column, Workspace& work) const {
  const std::size_t at = static_cast<std::size_t>(kx) * chunks_per_column_;
  survey_chunks(reinterpret_cast<const float*>(column), chunks_per_column_,
                work.chunk_largest.data() + at, work.chunk_sum.data() + at);
}

void PeakDetector::measure_rings(const Spectrum& spectrum, Workspace& work, RingNoise& out) const {
  for (std::size_t ring = 0; ring < kRings; ++ring) {
    const auto& samples = samples_of_ring_[ring];
    if (samples.empty()) continue;
    for (std::size_t i = 0; i < samples.size(); ++i)
      work.samples[i] = power_of(spectrum[samples[i]]);
    const auto middle = work.samples.begin() + static_cast<std::ptrdiff_t>(samples.size() / 2);
    std::nth_element(work.samples.begin(), middle,
                     work.samples.begin() + static_cast<std::ptrdiff_t>(samples.size()));
    out.mean_power[ring] = *middle / std::numbers::ln2_v<float>;
  }
  // The outermost rings hold no structure: what is there is shot and read noise.
  std::array<float, 6> edge{};
  std::copy_n(out.mean_power.end() - 6, 6, edge.begin());
  std::sort(edge.begin(), edge.end());
  out.white = 0.5f * (edge[2] + edge[3]);
}

void PeakDetector::consider(const Spectrum& spectrum, int kx, int row, std::size_t ring,
                            float ring_mean, Workspace& work) const {
  if (work.candidates.size() == kMaxCandidates) return;
  // The 5 x 5 neighbourhood, with conjugates left of kx = 0 and wrapped rows.
  std::array<std::array<Complex, 5>, 5> near;
  for (int dx = -2; dx <= 2; ++dx)
    for (int dy = -2; dy <= 2; ++dy) {
      int x = kx + dx, y = row + dy;
      const bool is_mirrored = x < 0;
      if (is_mirrored) {
        x = -x;
        y = -y;
      }
      y = (y % grid_.height + grid_.height) % grid_.height;
      if (x >= grid_.kx_count) return;
      const Complex value = spectrum[grid_.at(x, y)];
      near[static_cast<std::size_t>(dx + 2)][static_cast<std::size_t>(dy + 2)] =
          is_mirrored ? std::conj(value) : value;
    }
  const auto hann_power = [&](std::size_t x, std::size_t y) {
    constexpr float kKernel[3] = {-0.25f, 0.5f, -0.25f};
    Complex sum{};
    for (std::size_t i = 0; i < 3; ++i)
      for (std::size_t j = 0; j < 3; ++j)
        sum += kKernel[i] * kKernel[j] * near[x + i - 1][y + j - 1];
    return power_of(sum);
  };
  const float centre = hann_power(2, 2);
  const float noise = ring_mean * static_cast<float>(hann_noise_ratio_);
  if (!(centre > threshold_[ring] * noise) || !(noise > 0.0f)) return;
  for (std::size_t x = 1; x <= 3; ++x)
    for (std::size_t y = 1; y <= 3; ++y)
      if ((x != 2 || y != 2) && hann_power(x, y) > centre) return;
  work.candidates.push_back({kx, grid_.signed_ky(row), centre, std::sqrt(centre / noise)});
}

void PeakDetector::keep_strongest(Workspace& work, PeakList& out) const {
  std::sort(work.candidates.begin(), work.candidates.end(),
            [](const Peak& a, const Peak& b) { return a.power > b.power; });
  for (const Peak& peak : work.candidates) {
    const bool is_side_lobe =
        std::any_of(out.peaks.begin(), out.peaks.end(), [&](const Peak& strong) {
          const auto is_near = [&](int kx, int ky) {
            const int dx = std::abs(peak.kx - kx), dy = std::abs(peak.ky - ky);
            if (dx <= 2 && dy <= 2) return true;  // the same maximum, seen twice
            return dx <= kSideLobeReach && dy <= kSideLobeReach &&
                   peak.power < kSideLobePower * strong.power;
          };
          return is_near(strong.kx, strong.ky) || is_near(-strong.kx, -strong.ky);
        });
    if (!is_side_lobe && !out.peaks.push_back(peak)) return;
  }
}

void PeakDetector::detect(const Spectrum& spectrum, Workspace& work, PeakList& out) const {
  out.peaks.clear();
  out.ring_power.fill(0.0);
  out.ring_bins = ring_bins_;
  work.candidates.clear();
  measure_rings(spectrum, work, out.noise);

  std::array<float, kRings + 1> level{};
  for (std::size_t ring = 0; ring < kRings; ++ring)
    level[ring] = kFirstLook * out.noise.mean_power[ring];
  level[kRings] = std::numeric_limits<float>::max();

  std::size_t chunk = 0;
  for (int kx = 0; kx < grid_.kx_count; ++kx)
    for (std::size_t c = 0; c < chunks_per_column_; ++c, ++chunk) {
      const ChunkRings rings = chunk_rings_[chunk];
      if (rings.low > rings.high) continue;
      if (rings.is_whole)
        out.ring_power[rings.middle] += static_cast<double>(work.chunk_sum[chunk]);
      float lowest = level[rings.low];
      for (std::size_t ring = rings.low; ring <= rings.high; ++ring)
        lowest = std::min(lowest, level[ring]);
      if (rings.is_whole && work.chunk_largest[chunk] <= lowest) continue;
      const int first = static_cast<int>(c) * kChunk;
      for (int row = first; row < std::min(first + kChunk, grid_.height); ++row) {
        const std::size_t at = grid_.at(kx, row);
        const std::size_t ring = ring_of_bin_[at];
        if (ring == kRings) continue;
        const float power = power_of(spectrum[at]);
        if (!rings.is_whole) out.ring_power[ring] += static_cast<double>(power);
        if (power <= level[ring] || (kx == 0 && grid_.signed_ky(row) < 0)) continue;
        consider(spectrum, kx, row, ring, out.noise.mean_power[ring], work);
      }
    }
  keep_strongest(work, out);
}

}  // namespace latticed::signal
