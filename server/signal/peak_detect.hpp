// SPDX-License-Identifier: GPL-3.0-or-later
// Spots of one spectrum at a computed false-alarm rate. Stateless: runs on the prepare workers.
//
// The power of noise in a bin is exponential, so a bin of ring mean m exceeds T m with probability
// exp(-T). The ring mean comes from the median of n of its bins (mean = median / ln 2), which spots
// do not move but which is itself uncertain: T is chosen per ring so that, on the average over that
// uncertainty, alpha false alarms a frame are made. Detection is done under a Hann window,
// applied as the three-point convolution [-1/4, 1/2, -1/4] per axis at candidate bins only. Hann's
// window is shut at the field's edges, where a small crystal may lie: there the same convolution
// with [1/4, 1/2, 1/4] along either axis or both looks, at a tenth of the false alarms each. What
// lies on the streak of a straight edge must stand out of that, too (signal/streak).
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "server/base/fixed_vector.hpp"
#include "server/frame/measurements.hpp"
#include "server/signal/analysis_grid.hpp"
#include "server/signal/streak.hpp"

namespace latticed::signal {

inline constexpr std::size_t kRings = 64;
inline constexpr std::size_t kMaxPeaks = 48;

/// A spot before refinement: the bin of its maximum, kx >= 0, ky signed.
struct Peak {
  int kx = 0, ky = 0;
  float power = 0.0f;       // |F|^2 under the Hann window
  float snr = 0.0f;         // amplitude: sqrt(power over the ring's mean)
  bool is_at_edge = false;  // seen only by a window that is open where Hann's is shut
  float window_x = -1.0f, window_y = -1.0f;  // that saw it: Hann's (-1) or open at the edges (1)
};

struct RingNoise {
  std::array<float, kRings> mean_power{};  // E|F|^2 of what is not a spot, ring by ring
  float white = 0.0f;                      // the same at the band's edge: shot and read noise only
};

struct PeakList {
  FixedVector<Peak, kMaxPeaks> peaks;  // strongest first
  RingNoise noise;
  // Sum of |F|^2 ring by ring and how many bins that are; to half a chunk (8 bins) in the radius.
  std::array<double, kRings> ring_power{};
  std::array<std::uint32_t, kRings> ring_bins{};
};

struct DetectConfig {
  double false_alarms_per_frame = 1e-3;
  double min_fringes = 6.0;  // fewer fringes than this across the field is not a lattice
};

/// Ring of a frequency (cycles per cell); kRings when it is outside the band or below min_fringes.
[[nodiscard]] std::size_t ring_at(const AnalysisGrid& grid, double min_fringes,
                                  Vector2 frequency) noexcept;

class PeakDetector {
 public:
  struct Workspace {
    std::vector<float> samples;        // powers, ring after ring
    std::vector<float> chunk_largest;  // per chunk of kChunk rows of a column: largest |F|^2
    std::vector<float> chunk_sum;      // and the sum of |F|^2, both inside the band
    std::vector<float> range_level;    // per range of rings: below it nothing needs a look
    std::vector<Peak> candidates;
  };
  static constexpr int kChunk = 16;

  PeakDetector(const AnalysisGrid& grid, const DetectConfig& config, double hann_noise_ratio);
  [[nodiscard]] Workspace make_workspace() const;

  /// First half: one finished column of the spectrum, while it is in cache. Every kx, any order.
  void survey(int kx, const Complex* column, Workspace& work) const;
  /// Second half, when all columns were surveyed. Does not allocate. Any thread.
  void detect(const Spectrum& spectrum, Workspace& work, PeakList& out) const;

  /// T: a power over the ring's level that noise exceeds with `probability` when the level is the
  /// median of `samples` bins.
  [[nodiscard]] static double threshold(std::size_t samples, double probability);

 private:
  void list_chunks();
  void list_samples(const std::array<std::vector<std::uint32_t>, kRings>& bins_of_ring);
  void measure_rings(Workspace& work, RingNoise& out) const;
  void consider(const Spectrum& spectrum, int kx, int row, std::size_t ring, float ring_mean,
                Workspace& work) const;
  [[nodiscard]] bool is_of_a_streak(const Spectrum& spectrum, const PeakList& known,
                                    std::span<const Peak> maxima, const Peak& peak) const;
  [[nodiscard]] double noise_ratio_of(float window_x, float window_y) const noexcept {
    return (window_x > 0.0f ? edge_ratio_ : hann_ratio_) *
           (window_y > 0.0f ? edge_ratio_ : hann_ratio_);
  }
  void keep_strongest(const Spectrum& spectrum, Workspace& work, PeakList& out) const;

  AnalysisGrid grid_;
  DetectConfig config_;
  double hann_noise_ratio_;
  StreakGauge streaks_;
  std::uint32_t band_bins_ = 0;
  std::vector<std::uint8_t> ring_of_bin_;  // kx-major as the spectrum; kRings = out
  std::size_t chunks_per_column_ = 0;
  struct Chunk {
    std::uint8_t ring = kRings;  // it is counted in; kRings: none of its bins is inside the band
    std::uint16_t range = 0;     // in ring_ranges_: the rings of its bins inside the band
  };
  struct RingRange {
    std::uint8_t low = kRings, high = kRings;
    bool operator==(const RingRange&) const = default;
  };
  struct CutChunk {            // some of its bins are outside the band
    std::uint16_t chunk = 0;   // in its column
    std::uint16_t inside = 0;  // bit i: bin i is inside the band
  };
  struct Sample {
    std::uint32_t row = 0, at = 0;  // in its column; in Workspace::samples
  };
  std::vector<Chunk> chunks_;  // kx-major
  std::vector<RingRange> ring_ranges_;
  // Column kx's own lie from first_..._[kx] to before first_..._[kx + 1].
  std::vector<CutChunk> cut_chunks_;
  std::vector<Sample> samples_;
  std::vector<std::size_t> first_cut_, first_sample_;
  std::array<std::size_t, kRings> samples_of_ring_{};
  std::array<std::uint32_t, kRings> ring_bins_{};
  std::array<float, kRings> threshold_{};       // T under Hann's window
  std::array<float, kRings> edge_threshold_{};  // and under each of the three others
  double hann_ratio_ = 0.0, edge_ratio_ = 0.0;  // of noise along one axis, after over before
};

}  // namespace latticed::signal
