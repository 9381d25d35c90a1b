// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/signal/drift_bins.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "server/base/hot.hpp"
#include "server/signal/filling_lattice.hpp"

namespace latticed::signal {

namespace {

constexpr int kReflectionReach = 4;  // bins round a reflection that are taken whole
constexpr float kPlainReflectionSnr = 6.0f;
constexpr float kPlain = 0.15f;       // of the strongest one's snr: tells of the cell
constexpr double kOffNode = 0.2;      // turns over a translation: a reflection of another lattice
constexpr double kLowFringes = 14.0;  // fewer across the field: shapes, not texture
// The lattice's wings: what is that near to a reflection, or that much above its ring, goes with
// the lattice.
constexpr double kWings_bins = 5.0;
constexpr double kWingPower = 4.0;
constexpr double kMostTails = 0.1;   // of a block's power
constexpr double kAboveNoise = 2.4;  // four standard deviations of a block's

LATTICED_HOT float block_score(const Complex* block, float noise, float fx2, const float* fy2,
                               float* power_out) {
  const float* part = reinterpret_cast<const float*>(block);
  float power = 0.0f, information = 0.0f;
  for (int i = 0; i < kBlock; ++i) {
    const float p = part[2 * i] * part[2 * i] + part[2 * i + 1] * part[2 * i + 1];
    power += p;
    information += (p - noise) * (fx2 + fy2[i]);
  }
  *power_out = power;
  return information;
}

}  // namespace

DriftBins::DriftBins(const AnalysisGrid& grid, std::size_t max_blocks)
    : grid_(grid), max_blocks_(max_blocks), per_column_((grid.height + kBlock - 1) / kBlock) {
  const auto all = static_cast<std::size_t>(per_column_) * static_cast<std::size_t>(grid_.kx_count);
  scored_.reserve(all);
  chosen_.reserve(max_blocks_);
  label_of_block_.resize(all);
  is_wing_.resize(all);
  block_fy2_.resize(static_cast<std::size_t>(per_column_));
  for (int j = 0; j < per_column_; ++j) {
    BlockRows& rows = block_fy2_[static_cast<std::size_t>(j)];
    for (int i = 0; i < kBlock; ++i) {
      const int row = std::min(j * kBlock + i, grid_.height - 1);
      const double fy = static_cast<double>(grid_.signed_ky(row)) / grid_.height;
      rows.row[static_cast<std::size_t>(i)] = static_cast<float>(fy * fy);
      rows.nearest = std::min(rows.nearest, fy * fy);
    }
  }
}

// Which bins say most about the shift: information |T|^2 k^2 above the template's noise.
void DriftBins::choose(const Spectrum& mean, const BinNoise& noise, bool is_young,
                       std::span<const Peak> peaks) {
  const auto bin_noise = static_cast<float>(noise.of_template);
  // Blocks of nothing but noise pass once in two thousand. A young template promises what it chose
  // by its own noise, and a promise not kept would deny the cell: there once in a hundred thousand.
  const float deviations = is_young ? 6.0f : 4.0f;
  const float smallest = bin_noise * kBlock * (1.0f + deviations / std::sqrt(float{kBlock}));
  const double band = 0.5 * grid_.band;
  scored_.clear();
  label_neighbourhoods(peaks);
  for (int kx = 0; kx < grid_.kx_count; ++kx) {
    const double fx = static_cast<double>(kx) / grid_.width;
    for (int j = 0; j < per_column_; ++j) {
      const int row = j * kBlock;
      const BlockRows& rows = block_fy2_[static_cast<std::size_t>(j)];
      if (fx * fx + rows.nearest > band * band) continue;
      if (kx == 0 && grid_.signed_ky(row) < 0) continue;  // mirror images
      if (kx + row == 0) continue;                        // mean and plane
      float power = 0.0f;
      const float score = block_score(mean.data() + grid_.at(kx, row), bin_noise,
                                      static_cast<float>(fx * fx), rows.row.data(), &power);
      const auto block = static_cast<std::uint32_t>(block_at(kx, j));
      // A reflection is taken whole: part of its peak would stand for another frequency, and the
      // drift would be wrong by that ratio (1 % of the displacement, measured).
      std::uint8_t& label = label_of_block_[block];
      if (label > 0 && label < kShapes && !is_wing_[block]) {
        scored_.push_back({std::numeric_limits<float>::max(), block});
      } else if (power > smallest && score > 0.0f) {
        if (label == 0 && is_strong({kx, row}, static_cast<double>(power), noise)) {
          label = nearest_reflection({kx, row}).first;
          is_wing_[block] = 1;
        }
        scored_.push_back({score, block});
      }
    }
  }
  if (scored_.size() > max_blocks_) {
    std::nth_element(scored_.begin(), scored_.begin() + static_cast<std::ptrdiff_t>(max_blocks_),
                     scored_.end(),
                     [](const Scored& a, const Scored& b) { return a.score > b.score; });
    scored_.resize(max_blocks_);
  }
  // In memory order: the match then walks the spectrum once, forwards.
  std::sort(scored_.begin(), scored_.end(),
            [](const Scored& a, const Scored& b) { return a.block < b.block; });
  order_blocks();
}

void DriftBins::part_from_lattice(const std::array<FillingReflection, kLabels>& filling,
                                  const WindowPeak& window, const Spectrum& mean, double mean_noise,
                                  bool is_young) {
  if (std::none_of(filling.begin(), filling.end(), [](const auto& f) { return f.is_filling; }))
    return;
  const auto per_column = static_cast<std::uint32_t>(per_column_);
  for (const Scored& scored : scored_) {
    std::uint8_t& label = label_of_block_[scored.block];
    const bool is_periodic = label > 0 && label < kShapes;
    if (is_periodic && !filling[label].is_filling) continue;
    const MatchBlock block{static_cast<std::int32_t>(scored.block / per_column),
                           static_cast<std::int32_t>(scored.block % per_column) * kBlock};
    const Tails tails = tails_in(block, filling, window);
    if (tails.has_core) continue;
    double power = 0.0;
    for (int row = block.row; row < std::min(block.row + kBlock, grid_.height); ++row)
      power += static_cast<double>(std::norm(mean[grid_.at(block.kx, row)]));
    const bool is_tail = tails.power >= kMostTails * power;
    if (!is_young && is_periodic && !is_tail && power > kAboveNoise * kBlock * mean_noise)
      label = 0;
    if (!is_periodic && is_tail) label = tails.label;
  }
  order_blocks();
}

DriftBins::Tails DriftBins::tails_in(MatchBlock block,
                                     const std::array<FillingReflection, kLabels>& filling,
                                     const WindowPeak& window) const noexcept {
  Tails out;
  double most = 0.0;
  const int last = std::min(block.row + kBlock, grid_.height) - 1;
  const double middle = 0.5 * (grid_.signed_ky(block.row) + grid_.signed_ky(last));
  for (std::size_t l = 1; l < kShapes; ++l) {
    if (!filling[l].is_filling) continue;
    for (const double sign : {1.0, -1.0}) {
      const double dx = block.kx - sign * filling[l].g.x * grid_.width;
      const double gy = sign * filling[l].g.y * grid_.height;
      if (std::abs(dx) > WindowPeak::kReach_bins ||
          std::abs(middle - gy) > WindowPeak::kReach_bins + kBlock)
        continue;
      double power = 0.0;
      for (int row = block.row; row <= last; ++row) {
        const double dy = grid_.signed_ky(row) - gy;
        out.has_core |= std::max(std::abs(dx), std::abs(dy)) <= kCore_bins;
        const double tail = window.at(dx, dy);
        power += filling[l].power * tail * tail;
      }
      out.power += power;
      if (power > most) most = power, out.label = static_cast<std::uint8_t>(l);
    }
  }
  return out;
}

// Translations that leave the plainest reflections where they are: two non-collinear ones span a
// lattice, its real-space cell is reduced (Gauss).
void DriftBins::measure_cell() {
  const float plain = reflections_.empty() ? 0.0f : kPlain * reflections_[0].snr;
  Vector2 g1, g2;
  double length1 = 1e30, length2 = 1e30, longest = 0.0;
  const auto for_each_plain = [&](const auto& act) {
    for (const Peak& peak : reflections_)
      if (peak.snr >= plain) {
        const Vector2 g{static_cast<double>(peak.kx) / grid_.width,
                        static_cast<double>(peak.ky) / grid_.height};
        act(g, std::hypot(g.x, g.y));
      }
  };
  for_each_plain([&](Vector2 g, double length) {
    longest = std::max(longest, length);
    if (length < length1) g1 = g, length1 = length;
  });
  if (longest == 0.0) return;
  for_each_plain([&](Vector2 g, double length) {
    const double sine = std::abs(g1.x * g.y - g1.y * g.x) / (length1 * length);
    if (sine > 0.25 && length < length2) g2 = g, length2 = length;
  });
  const bool is_row = length2 > 1e29;
  // At low dose a frame shows few reflections: what it does not show is still there, unless what it
  // shows is of another lattice.
  bool is_of_cell = translations_.size() > 1;
  for_each_plain([&](Vector2 g, double) {
    for (const Vector2 t : translations_) {
      const double turns = g.x * t.x + g.y * t.y;
      is_of_cell &= std::abs(turns - std::round(turns)) < kOffNode;
    }
  });
  if (is_row && is_of_cell) return;
  finest_period_cells_ = 1.0 / longest;
  translations_.clear();
  if (is_row) {
    translations_.push_back({g1.x / (length1 * length1), g1.y / (length1 * length1)});
    return;
  }
  const double det = g1.x * g2.y - g1.y * g2.x;
  Vector2 a{g2.y / det, -g2.x / det}, b{-g1.y / det, g1.x / det};
  for (int i = 0; i < 8; ++i) {
    if (std::hypot(a.x, a.y) > std::hypot(b.x, b.y)) std::swap(a, b);
    const double n = std::round((a.x * b.x + a.y * b.y) / (a.x * a.x + a.y * a.y));
    b = {b.x - n * a.x, b.y - n * a.y};
  }
  if (std::hypot(a.x, a.y) > std::hypot(b.x, b.y)) std::swap(a, b);
  translations_.push_back(a);
  translations_.push_back(b);
}

void DriftBins::label_neighbourhoods(std::span<const Peak> peaks) {
  reflections_.clear();
  for (const Peak& peak : peaks)
    if (peak.snr > kPlainReflectionSnr && reflections_.size() < kShapes - 1)
      reflections_.push_back(peak);
  measure_cell();
  std::fill(label_of_block_.begin(), label_of_block_.end(), std::uint8_t{0});
  for (std::size_t l = 0; l < reflections_.size(); ++l)
    for (int sign : {1, -1})
      for (int dx = -kReflectionReach; dx <= kReflectionReach; ++dx)
        for (int dy = -kReflectionReach; dy <= kReflectionReach; ++dy) {
          const int kx = sign * reflections_[l].kx + dx, ky = sign * reflections_[l].ky + dy;
          if (kx < 0 || kx >= grid_.kx_count || std::abs(ky) > grid_.height / 2) continue;
          std::uint8_t& label = label_of_block_[block_at(kx, grid_.row_of(ky) / kBlock)];
          if (label == 0) label = static_cast<std::uint8_t>(l + 1);
        }
  // The lattice's wings, from the crystal's edges and the taper, repeat in every unit cell and move
  // with the lattice: they are the reflection's, not the film's, but need not be taken whole.
  std::fill(is_wing_.begin(), is_wing_.end(), std::uint8_t{0});
  const int reach = static_cast<int>(kWings_bins) + kBlock;
  for (const Peak& peak : reflections_)
    for (const int sign : {1, -1})
      for (int dx = -reach; dx <= reach; ++dx)
        for (int dy = -reach; dy <= reach; dy += kBlock) {
          const int kx = sign * peak.kx + dx, ky = sign * peak.ky + dy;
          if (kx < 0 || kx >= grid_.kx_count || std::abs(ky) > grid_.height / 2) continue;
          const int block_row = grid_.row_of(ky) / kBlock;
          const std::size_t block = block_at(kx, block_row);
          if (label_of_block_[block] != 0) continue;
          const auto [label, distance] = nearest_reflection({kx, block_row * kBlock});
          if (distance >= kWings_bins) continue;
          label_of_block_[block] = label;
          is_wing_[block] = 1;
        }
  // Shapes as wide as the field (edge, thickness) place the unit cell, but are cut by the window:
  // they get a label of their own and no say in where film and edge are.
  const int low = static_cast<int>(kLowFringes);
  for (int kx = 0; kx < std::min(low, grid_.kx_count); ++kx)
    for (int ky = -low; ky <= low; ++ky)
      if (std::hypot(kx, ky) < kLowFringes) {
        std::uint8_t& label = label_of_block_[block_at(kx, grid_.row_of(ky) / kBlock)];
        if (label == 0) label = static_cast<std::uint8_t>(kShapes);
      }
}

// The label of the reflection nearest to this block, and how far that is in bins. 0: there is none.
std::pair<std::uint8_t, double> DriftBins::nearest_reflection(MatchBlock block) const {
  const int middle = grid_.signed_ky(std::min(block.row + kBlock / 2, grid_.height - 1));
  std::pair<std::uint8_t, double> out{0, 1e9};
  for (std::size_t l = 0; l < reflections_.size(); ++l)
    for (const int sign : {1, -1}) {
      const double dx = sign * reflections_[l].kx - block.kx;
      const double dy = std::max(0.0, std::abs(sign * reflections_[l].ky - middle) - kBlock / 2.0);
      const double distance = std::hypot(dx, dy);
      if (distance < out.second) out = {static_cast<std::uint8_t>(l + 1), distance};
    }
  return out;
}

// Far above what else there is in its ring: not film but a far wing of the lattice, or an edge.
bool DriftBins::is_strong(MatchBlock block, double power, const BinNoise& noise) const {
  const int middle = grid_.signed_ky(std::min(block.row + kBlock / 2, grid_.height - 1));
  // The detector's rings begin elsewhere when its min_fringes was set; a ring off says the same.
  const std::size_t ring = ring_at(
      grid_, DetectConfig{}.min_fringes,
      {static_cast<double>(block.kx) / grid_.width, static_cast<double>(middle) / grid_.height});
  if (ring == kRings) return false;
  const double film =
      std::max(static_cast<double>(noise.rings->mean_power[ring]) - noise.white, 0.0);
  // Of eight bins of noise the mean is above twice its own once in a hundred.
  return power > kBlock * (kWingPower * film + 2.0 * noise.of_template);
}

// Blocks in order of their labels, in memory order within a label.
void DriftBins::order_blocks() {
  const auto per_column = static_cast<std::uint32_t>(per_column_);
  label_begin_.fill(0);
  for (const Scored& scored : scored_) ++label_begin_[label_of_block_[scored.block] + 1u];
  for (std::size_t l = 0; l < kLabels; ++l) label_begin_[l + 1] += label_begin_[l];
  chosen_.resize(scored_.size());
  auto next = label_begin_;
  for (const Scored& scored : scored_)
    chosen_[next[label_of_block_[scored.block]]++] = {
        static_cast<std::int32_t>(scored.block / per_column),
        static_cast<std::int32_t>(scored.block % per_column) * kBlock};
}

// All reflections lie on one line through the origin: they say nothing of a move across it.
bool DriftBins::is_one_row() const noexcept {
  constexpr double kSine = 0.05;
  if (reflections_.empty()) return false;
  const auto at = [&](const Peak& peak) {
    return Vector2{static_cast<double>(peak.kx) / grid_.width,
                   static_cast<double>(peak.ky) / grid_.height};
  };
  const Vector2 g = at(reflections_[0]);
  return std::all_of(reflections_.begin(), reflections_.end(), [&](const Peak& peak) {
    const Vector2 other = at(peak);
    return std::abs(g.x * other.y - g.y * other.x) <
           kSine * std::hypot(g.x, g.y) * std::hypot(other.x, other.y);
  });
}

}  // namespace latticed::signal
