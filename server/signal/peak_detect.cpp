// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/signal/peak_detect.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <utility>

#include "server/base/hot.hpp"
#include "server/signal/taper.hpp"

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

// Where a crystal at the field's edge may be seen, a strong spot of the whole field has wide feet.
constexpr float kEdgeSideLobePower = 0.2f;
constexpr float kEdgeFeet = 0.05f;
// Of the false alarms: those under Hann's window, and under each of the three others.
// A streak's maximum is found in a bin this near to the streak.
constexpr double kMaximumAside = 0.5;
constexpr double kHannShare = 0.7, kEdgeShare = 0.1;

// Noise after over before the convolution [1/4, 1/2, 1/4] along one axis, from the same for
// [-1/4, 1/2, -1/4]: the frame's taper is Tukey's, and that ratio says which.
double edge_ratio_of(double hann_ratio) {
  constexpr int kSamples = 512;
  const auto ratios = [](double alpha) {
    double sum = 0.0, hann_sum = 0.0, edge_sum = 0.0;
    const auto taper = tukey(kSamples, alpha);
    for (int i = 0; i < kSamples; ++i) {
      const auto w = static_cast<double>(taper[static_cast<std::size_t>(i)]);
      const double hann = 0.5 - 0.5 * std::cos(2.0 * std::numbers::pi * (i + 0.5) / kSamples);
      sum += w * w;
      hann_sum += w * w * hann * hann;
      edge_sum += w * w * (1.0 - hann) * (1.0 - hann);
    }
    return std::pair{hann_sum / sum, edge_sum / sum};
  };
  double low = 0.0, high = 1.0;
  for (int i = 0; i < 40; ++i) {
    const double middle = 0.5 * (low + high);
    (ratios(middle).first < hann_ratio ? low : high) = middle;
  }
  return ratios(0.5 * (low + high)).second;
}

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
      streaks_(grid, config.min_fringes, config.false_alarms_per_frame),
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
  list_chunks();
  list_samples(all);
}

void PeakDetector::list_chunks() {
  // The column's padding makes the last chunk whole; its zeros are in no ring.
  chunks_per_column_ = static_cast<std::size_t>((grid_.height + kChunk - 1) / kChunk);
  for (int kx = 0; kx < grid_.kx_count; ++kx) {
    first_cut_.push_back(cut_chunks_.size());
    for (std::size_t c = 0; c < chunks_per_column_; ++c) {
      FixedVector<std::uint8_t, kChunk> rings;
      CutChunk cut{static_cast<std::uint16_t>(c), 0};
      for (std::size_t i = 0; i < kChunk; ++i) {
        const std::uint8_t ring = ring_of_bin_[grid_.at(kx, 0) + c * kChunk + i];
        if (ring == kRings) continue;
        rings.push_back(ring);
        cut.inside = static_cast<std::uint16_t>(cut.inside | 1u << i);
      }
      Chunk chunk;
      RingRange range;
      if (!rings.empty()) {
        chunk.ring = rings[rings.size() / 2];
        range = {*std::min_element(rings.begin(), rings.end()),
                 *std::max_element(rings.begin(), rings.end())};
        ring_bins_[chunk.ring] += static_cast<std::uint32_t>(rings.size());
        if (rings.size() < kChunk) cut_chunks_.push_back(cut);
      }
      const auto known = std::find(ring_ranges_.begin(), ring_ranges_.end(), range);
      chunk.range = static_cast<std::uint16_t>(known - ring_ranges_.begin());
      if (known == ring_ranges_.end()) ring_ranges_.push_back(range);
      chunks_.push_back(chunk);
    }
  }
  first_cut_.push_back(cut_chunks_.size());
}

void PeakDetector::list_samples(
    const std::array<std::vector<std::uint32_t>, kRings>& bins_of_ring) {
  hann_ratio_ = std::sqrt(hann_noise_ratio_);
  edge_ratio_ = edge_ratio_of(hann_ratio_);
  const double probability =
      std::min(config_.false_alarms_per_frame / std::max<double>(band_bins_, 1.0), 0.5);
  std::vector<std::vector<Sample>> of_column(static_cast<std::size_t>(grid_.kx_count));
  for (std::size_t ring = 0; ring < kRings; ++ring) {
    // A ring of few bins borrows its neighbours', as many on either side as there are.
    std::vector<std::uint32_t> near = bins_of_ring[ring];
    for (std::size_t d = 1; d < kRings && near.size() < kFewestSamples; ++d)
      for (std::size_t other : {ring - d, ring + d})
        if (other < kRings)  // below zero it has wrapped around
          near.insert(near.end(), bins_of_ring[other].begin(), bins_of_ring[other].end());
    const std::size_t count = std::min(near.size(), kSamplesPerRing);
    for (std::size_t i = 0; i < count; ++i) {
      const std::uint32_t bin = near[i * near.size() / count];
      const auto stride = static_cast<std::uint32_t>(grid_.column_stride);
      of_column[bin / stride].push_back(
          {bin % stride, static_cast<std::uint32_t>(ring * kSamplesPerRing + i)});
    }
    samples_of_ring_[ring] = count;
    threshold_[ring] = static_cast<float>(threshold(count, kHannShare * probability));
    edge_threshold_[ring] = static_cast<float>(threshold(count, kEdgeShare * probability));
  }
  for (const auto& samples : of_column) {
    first_sample_.push_back(samples_.size());
    samples_.insert(samples_.end(), samples.begin(), samples.end());
  }
  first_sample_.push_back(samples_.size());
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
  work.samples.resize(kRings * kSamplesPerRing);
  work.chunk_largest.resize(chunks_.size());
  work.chunk_sum.resize(chunks_.size());
  work.range_level.resize(ring_ranges_.size());
  work.candidates.reserve(kMaxCandidates);
  return work;
}

void PeakDetector::survey(int kx, const Complex* column, Workspace& work) const {
  const auto at_kx = static_cast<std::size_t>(kx);
  float* const largest = work.chunk_largest.data() + at_kx * chunks_per_column_;
  float* const sum = work.chunk_sum.data() + at_kx * chunks_per_column_;
  survey_chunks(reinterpret_cast<const float*>(column), chunks_per_column_, largest, sum);
  for (std::size_t i = first_cut_[at_kx]; i < first_cut_[at_kx + 1]; ++i) {
    const CutChunk& cut = cut_chunks_[i];
    float most = 0.0f, total = 0.0f;
    for (std::size_t bin = 0; bin < kChunk; ++bin) {
      if (!(cut.inside >> bin & 1)) continue;
      const float power = power_of(column[cut.chunk * static_cast<std::size_t>(kChunk) + bin]);
      most = std::max(most, power);
      total += power;
    }
    largest[cut.chunk] = most;
    sum[cut.chunk] = total;
  }
  for (std::size_t i = first_sample_[at_kx]; i < first_sample_[at_kx + 1]; ++i)
    work.samples[samples_[i].at] = power_of(column[samples_[i].row]);
}

void PeakDetector::measure_rings(Workspace& work, RingNoise& out) const {
  for (std::size_t ring = 0; ring < kRings; ++ring) {
    const auto count = static_cast<std::ptrdiff_t>(samples_of_ring_[ring]);
    if (count == 0) continue;
    const auto first = work.samples.begin() + static_cast<std::ptrdiff_t>(ring * kSamplesPerRing);
    std::nth_element(first, first + count / 2, first + count);
    out.mean_power[ring] = first[count / 2] / std::numbers::ln2_v<float>;
  }
  // The outermost rings hold no structure: what is there is shot and read noise.
  std::array<float, 6> edge{};
  std::copy_n(out.mean_power.end() - 6, 6, edge.begin());
  std::sort(edge.begin(), edge.end());
  out.white = 0.5f * (edge[2] + edge[3]);
}

void PeakDetector::consider(const Spectrum& spectrum, int kx, int row, std::size_t ring,
                            float ring_mean, Workspace& work) const {
  if (work.candidates.size() == kMaxCandidates || kx + 2 >= grid_.kx_count) return;
  // The 5 x 5 neighbourhood: column dx - 2 from near[dx]. At the edges a copy of it, with
  // conjugates left of kx = 0 and wrapped rows.
  std::array<const Complex*, 5> near;
  std::array<std::array<Complex, 5>, 5> copy;
  const bool is_inside = kx >= 2 && row >= 2 && row + 2 < grid_.height;
  for (int dx = 0; dx < 5; ++dx) {
    const auto i = static_cast<std::size_t>(dx);
    const int x = kx + dx - 2;
    near[i] = is_inside ? spectrum.data() + grid_.at(x, row - 2) : copy[i].data();
    for (int dy = 0; dy < 5 && !is_inside; ++dy) {
      const int y = (x < 0 ? -1 : 1) * (row + dy - 2);
      const int wrapped = (y % grid_.height + grid_.height) % grid_.height;
      const Complex value = spectrum[grid_.at(std::abs(x), wrapped)];
      copy[i][static_cast<std::size_t>(dy)] = x < 0 ? std::conj(value) : value;
    }
  }
  // Under the window that is Hann's (-1) or open at the edges (1) along x and y.
  const auto power = [&near](std::size_t x, std::size_t y, float sx, float sy) {
    const auto along_y = [y, sy](const Complex* column) {
      return 0.5f * column[y] + 0.25f * sy * (column[y - 1] + column[y + 1]);
    };
    return power_of(0.5f * along_y(near[x]) +
                    0.25f * sx * (along_y(near[x - 1]) + along_y(near[x + 1])));
  };
  if (!(ring_mean > 0.0f)) return;
  struct Window {
    float x, y;
  };
  constexpr Window kWindows[] = {{-1.0f, -1.0f}, {1.0f, 1.0f}, {1.0f, -1.0f}, {-1.0f, 1.0f}};
  for (const Window window : kWindows) {
    const bool is_at_edge = window.x > 0.0f || window.y > 0.0f;
    const double ratio = noise_ratio_of(window.x, window.y);
    const float centre = power(2, 2, window.x, window.y);
    const float noise = ring_mean * static_cast<float>(ratio);
    if (!(centre > (is_at_edge ? edge_threshold_ : threshold_)[ring] * noise)) continue;
    bool is_largest = true;
    for (std::size_t x = 1; x <= 3; ++x)
      for (std::size_t y = 1; y <= 3; ++y)
        is_largest =
            is_largest && ((x == 2 && y == 2) || power(x, y, window.x, window.y) <= centre);
    if (!is_largest) return;  // this maximum belongs to a neighbour
    work.candidates.push_back({kx, grid_.signed_ky(row), centre, std::sqrt(centre / noise),
                               is_at_edge, window.x, window.y});
    return;
  }
}

// A maximum of a straight edge's streak: not so much brighter than the rest of it.
bool PeakDetector::is_of_a_streak(const Spectrum& spectrum, const PeakList& out,
                                  std::span<const Peak> maxima, const Peak& peak) const {
  const Vector2 bins{static_cast<double>(peak.kx), static_cast<double>(peak.ky)};
  // A crystal in a corner is looked for under another window: so is the streak.
  const StreakGauge::Frame frame{
      spectrum, out.noise, {out.peaks.begin(), out.peaks.size()}, maxima};
  const StreakGauge::Level streak =
      peak.is_at_edge ? streaks_.near(frame, bins, kMaximumAside,
                                      {peak.window_x, peak.window_y,
                                       noise_ratio_of(peak.window_x, peak.window_y)})
                      : streaks_.near(frame, bins, kMaximumAside);
  if (streak.samples == 0) return false;
  const auto mean = static_cast<double>(
      out.noise.mean_power[ring_of_bin_[grid_.at(peak.kx, grid_.row_of(peak.ky))]]);
  const double power = mean * static_cast<double>(peak.snr) * static_cast<double>(peak.snr);
  return power < streaks_.threshold(streak.samples) * std::max(streak.power, mean);
}

void PeakDetector::keep_strongest(const Spectrum& spectrum, Workspace& work, PeakList& out) const {
  std::sort(work.candidates.begin(), work.candidates.end(),
            [](const Peak& a, const Peak& b) { return a.power > b.power; });
  FixedVector<Peak, 2 * kMaxPeaks> maxima;
  for (const Peak& peak : work.candidates) {
    const auto is_lobe_of = [&](const Peak& strong) {
      const auto is_near = [&](int kx, int ky) {
        const int dx = std::abs(peak.kx - kx), dy = std::abs(peak.ky - ky);
        if (dx <= 2 && dy <= 2) return true;  // the same maximum, seen twice
        // A fringe of the whole field ends at the edges: its feet run along both axes.
        if (peak.is_at_edge && std::min(dx, dy) <= 2 && peak.power < kEdgeFeet * strong.power)
          return true;
        return dx <= kSideLobeReach && dy <= kSideLobeReach &&
               peak.power < (peak.is_at_edge ? kEdgeSideLobePower : kSideLobePower) * strong.power;
      };
      return is_near(strong.kx, strong.ky) || is_near(-strong.kx, -strong.ky);
    };
    if (std::any_of(maxima.begin(), maxima.end(), is_lobe_of)) continue;
    if (!maxima.push_back(peak)) break;
  }
  for (const Peak& peak : maxima)
    if (!is_of_a_streak(spectrum, out, {maxima.begin(), maxima.size()}, peak) &&
        !out.peaks.push_back(peak))
      return;
}

void PeakDetector::detect(const Spectrum& spectrum, Workspace& work, PeakList& out) const {
  out.peaks.clear();
  out.ring_bins = ring_bins_;
  work.candidates.clear();
  measure_rings(work, out.noise);

  std::array<float, kRings> level{};
  for (std::size_t ring = 0; ring < kRings; ++ring)
    level[ring] = kFirstLook * out.noise.mean_power[ring];
  for (std::size_t range = 0; range < ring_ranges_.size(); ++range) {
    const auto [low, high] = ring_ranges_[range];
    work.range_level[range] =
        low == kRings ? std::numeric_limits<float>::infinity()
                      : *std::min_element(level.begin() + low, level.begin() + high + 1);
  }

  // Four sums a ring, since neighbouring chunks mostly add to the same one.
  std::array<std::array<double, kRings + 1>, 4> power{};
  std::size_t chunk = 0;
  for (int kx = 0; kx < grid_.kx_count; ++kx)
    for (std::size_t c = 0; c < chunks_per_column_; ++c, ++chunk) {
      power[chunk % 4][chunks_[chunk].ring] += static_cast<double>(work.chunk_sum[chunk]);
      if (work.chunk_largest[chunk] <= work.range_level[chunks_[chunk].range]) continue;
      const int first = static_cast<int>(c) * kChunk;
      for (int row = first; row < std::min(first + kChunk, grid_.height); ++row) {
        const std::size_t at = grid_.at(kx, row);
        const std::size_t ring = ring_of_bin_[at];
        if (ring == kRings) continue;
        if (power_of(spectrum[at]) <= level[ring] || (kx == 0 && grid_.signed_ky(row) < 0))
          continue;
        consider(spectrum, kx, row, ring, out.noise.mean_power[ring], work);
      }
    }
  for (std::size_t ring = 0; ring < kRings; ++ring)
    out.ring_power[ring] = power[0][ring] + power[1][ring] + power[2][ring] + power[3][ring];
  keep_strongest(spectrum, work, out);
}

}  // namespace latticed::signal
