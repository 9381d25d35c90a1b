// SPDX-License-Identifier: GPL-3.0-or-later
// Which bins of the spectrum the drift match sums, and which part of the specimen each belongs to
// (its label): texture of film and edge, one of up to 23 reflections, or shapes as wide as the
// field. Chosen anew now and then, from the template as it is then.
//
// Used by the drift tracker only. No threads, no allocation after the constructor.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "server/base/fixed_vector.hpp"
#include "server/frame/measurements.hpp"
#include "server/signal/analysis_grid.hpp"
#include "server/signal/drift_match.hpp"
#include "server/signal/frame_fft.hpp"
#include "server/signal/peak_detect.hpp"

namespace latticed::signal {

class WindowPeak;

/// Noise powers the choice is made with, per bin.
struct BinNoise {
  double of_template = 0.0;
  double white = 0.0;                // of one frame
  const RingNoise* rings = nullptr;  // of this frame, as detected
};

class DriftBins {
 public:
  DriftBins(const AnalysisGrid& grid, std::size_t max_blocks);

  /// The blocks with most information on the shift, |T|^2 k^2 above the template's noise.
  /// Reflections (the plain ones of `peaks`) are taken whole. A `young` template promises what was
  /// chosen by its own noise: there the choice is stricter.
  void choose(const Spectrum& mean, const BinNoise& noise, bool is_young,
              std::span<const Peak> peaks);

  /// A lattice that fills the field has tails of the window about its reflections. Blocks of which
  /// a tenth or more is tails go to the reflection, which counts its core only; blocks about a
  /// reflection that are something else go to the texture, unless the template is young: frames
  /// distorted by the scan have such blocks, which are the lattice's. `filling` by label, `mean`
  /// and its noise as chosen from.
  void part_from_lattice(const std::array<FillingReflection, kLabels>& filling,
                         const WindowPeak& window, const Spectrum& mean, double mean_noise,
                         bool is_young);

  /// Sorted by label, in memory order within one; label l's are begin()[l] .. begin()[l + 1] - 1.
  [[nodiscard]] std::span<const MatchBlock> blocks() const noexcept { return chosen_; }
  [[nodiscard]] const std::array<std::uint32_t, kLabels + 1>& label_begin() const noexcept {
    return label_begin_;
  }
  /// Label l is reflections()[l - 1]; strongest first.
  [[nodiscard]] std::span<const Peak> reflections() const noexcept {
    return {reflections_.begin(), reflections_.size()};
  }
  /// Whether the block belongs to a reflection or its wings.
  [[nodiscard]] bool is_periodic(int kx, int block_row) const noexcept {
    const std::uint8_t label = label_of_block_[block_at(kx, block_row)];
    return label > 0 && label < kShapes;
  }
  /// The label of the reflection nearest to this block, and how far that is in bins. 0: none.
  [[nodiscard]] std::pair<std::uint8_t, double> nearest_reflection(MatchBlock block) const;
  /// All reflections lie on one line through the origin: they say nothing of a move across it.
  [[nodiscard]] bool is_one_row() const noexcept;
  /// Reduced cell of the plainest reflections: translations that leave the lattice as it is, cells,
  /// the shortest first. None: no lattice seen; one: a single row, the way from plane to plane.
  [[nodiscard]] std::span<const Vector2> translations_cells() const noexcept {
    return {translations_.begin(), translations_.size()};
  }
  /// Shortest lattice translation, cells; 0: no lattice seen.
  [[nodiscard]] double shortest_period_cells() const noexcept {
    return translations_.empty() ? 0.0 : std::hypot(translations_[0].x, translations_[0].y);
  }
  /// d of the highest plain reflection, cells; 0: none.
  [[nodiscard]] double finest_period_cells() const noexcept { return finest_period_cells_; }
  void reset() noexcept {
    translations_.clear();
    finest_period_cells_ = 0.0;
  }

 private:
  [[nodiscard]] std::size_t block_at(int kx, int block_row) const noexcept {
    return static_cast<std::size_t>(kx * per_column_ + block_row);
  }
  void measure_cell();
  void label_neighbourhoods(std::span<const Peak> peaks);
  [[nodiscard]] bool is_strong(MatchBlock block, double power, const BinNoise& noise) const;
  struct Tails {
    double power = 0.0;      // of all filling reflections, sum over the block's bins
    std::uint8_t label = 0;  // of the strongest
    bool has_core = false;   // the block has bins of a reflection's core
  };
  [[nodiscard]] Tails tails_in(MatchBlock block,
                               const std::array<FillingReflection, kLabels>& filling,
                               const WindowPeak& window) const noexcept;
  void order_blocks();

  AnalysisGrid grid_;
  std::size_t max_blocks_;
  int per_column_;  // blocks of one column
  FixedVector<Peak, kLabels> reflections_;
  FixedVector<Vector2, 2> translations_;
  double finest_period_cells_ = 0.0;
  struct Scored {
    float score;
    std::uint32_t block;  // block_at()
  };
  std::vector<Scored> scored_;
  std::vector<MatchBlock> chosen_;
  std::array<std::uint32_t, kLabels + 1> label_begin_{};
  std::vector<std::uint8_t> label_of_block_;
  std::vector<std::uint8_t> is_wing_;  // by block: of its label's wings
  struct BlockRows {
    std::array<float, kBlock> row{};  // fy^2 of its rows, cycles^2 per cell^2
    double nearest = 1.0;             // the smallest of them
  };
  std::vector<BlockRows> block_fy2_;  // blocks of one column
};

}  // namespace latticed::signal
