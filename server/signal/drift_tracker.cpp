// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/signal/drift_tracker.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numbers>

#include "server/base/hot.hpp"

namespace latticed::signal {

namespace {

constexpr int kReflectionReach = 4;  // bins round a reflection that are taken whole
constexpr float kPlainReflectionSnr = 6.0f;
constexpr int kStripes = 16;  // parts of the full template, one renewed per frame
constexpr double kStripeBlend = 1.0 / 16.0;
// Frames until then go into the full template whole: bins chosen from one that is noisier than was
// assumed are mostly noise, and what they promise denies the right cell.
constexpr int kYoung = 32;
constexpr int kSettled = 8;                 // frames learnt
constexpr double kPlainAperiodicJ = 100.0;  // ten standard deviations of its own noise
constexpr double kToldJ = 50.0;             // half of it found is 3.5 of them
constexpr double kWingsShare = 0.01;        // of the reflections' J: less may be their own wings
constexpr double kSmallestMatch = 0.35;     // of what the template promises
constexpr double kPlausibleFit = 0.6;       // of the best fit of the lattice at any place
constexpr double kPlainMatch = 0.9;         // below: other maxima are looked at
constexpr double kWholeMatch = 0.95;   // above: no distorted frame (a scanned one: 0.80 to 0.91)
constexpr double kRigidMatch = 0.7;    // aperiodic match of a frame that moved as a whole
constexpr double kDistorted = 5.0;     // residual power over the noise's
constexpr double kWholeLattice = 0.9;  // reflections of a frame that no scan has distorted
constexpr double kNothingLeft = 0.15;  // of the aperiodic match
constexpr double kSignificant = 6.0;   // J over its own noise
constexpr double kWeakSignificance = 12.0;
constexpr double kAmbiguousOdds = 12.0;  // log-likelihood by which the best cell must lead
constexpr int kPatience = 48;            // lost frames before a new template is begun
constexpr int kWeighEvery = 8;           // frames: weights follow the template's slow change
constexpr int kAnchorEvery = 4;          // frames: the template wanders slowly
constexpr double kAnchorPull = 0.2;      // of the anchor's disagreement
constexpr double kAnchorReach = 0.04;    // of the field: further away a new anchor is made
constexpr double kLowFringes = 14.0;     // fewer across the field: shapes, not texture
// The lattice's wings: what is that near to a reflection, or that much above its ring, goes with
// the lattice. The cell is told by what is left at 5 bins; the leak only beyond 10 (measured on a
// crystal with edges 0.5 nm soft: film seems to follow a third of the leak at 5 bins, a tenth at
// 10).
constexpr double kWings_bins = 5.0;
constexpr double kFarWings_bins = 10.0;
constexpr double kWingPower = 4.0;
constexpr double kFilmReach = 0.12;    // of the field: further away a new film reference is made
constexpr double kSmallestFilm = 0.3;  // of the J it promises

// The match takes noise for the same all over the field, the taper makes it strongest where the
// content is: the variance of a sum over tapered content is larger by <w^4> / <w^2>^2 per axis.
double taper_excess(const std::vector<float>& taper) {
  double second = 0.0, fourth = 0.0;
  for (float weight : taper) {
    const double w2 = static_cast<double>(weight) * static_cast<double>(weight);
    second += w2;
    fourth += w2 * w2;
  }
  return fourth * static_cast<double>(taper.size()) / (second * second);
}

// template += blend (frame exp(+2 pi i k s) - template) over columns first .. last-1.
LATTICED_HOT void blend_columns(const Complex* frame, Complex* mean, const Complex* ramp_x,
                                const Complex* ramp_y, int first, int last, int rows,
                                std::size_t stride, float blend) {
  const float* ey = reinterpret_cast<const float*>(ramp_y);
  for (int kx = first; kx < last; ++kx) {
    const float xr = ramp_x[kx].real(), xi = ramp_x[kx].imag();
    const float* f = reinterpret_cast<const float*>(frame + static_cast<std::size_t>(kx) * stride);
    float* t = reinterpret_cast<float*>(mean + static_cast<std::size_t>(kx) * stride);
    for (int row = 0; row < rows; ++row) {
      const float er = ey[2 * row] * xr - ey[2 * row + 1] * xi;
      const float ei = ey[2 * row] * xi + ey[2 * row + 1] * xr;
      const float fr = f[2 * row] * er - f[2 * row + 1] * ei;
      const float fi = f[2 * row] * ei + f[2 * row + 1] * er;
      t[2 * row] += blend * (fr - t[2 * row]);
      t[2 * row + 1] += blend * (fi - t[2 * row + 1]);
    }
  }
}

// to = f conj(t) W / v, W from the power of three neighbouring rows: single bins are too noisy.
// `power`: scratch of rows + 2.
LATTICED_HOT void weigh_products(const Complex* frame, const Complex* mean, int rows, float noise,
                                 float white, float* power, Complex* to) {
  const float* f = reinterpret_cast<const float*>(frame);
  const float* t = reinterpret_cast<const float*>(mean);
  float* out = reinterpret_cast<float*>(to);
  for (int row = 0; row < rows; ++row)
    power[row + 1] = t[2 * row] * t[2 * row] + t[2 * row + 1] * t[2 * row + 1];
  power[0] = power[rows];
  power[rows + 1] = power[1];
  for (int row = 0; row < rows; ++row) {
    const float p = (power[row] + power[row + 1] + power[row + 2]) / 3.0f;
    const float weight = p > 1.5f * noise ? (p - noise) / p : 0.0f;
    // Strong bins are held to a noise of a tenth of themselves: what fits badly must not decide.
    const float factor = weight / (white + 0.01f * p);
    out[2 * row] = factor * (f[2 * row] * t[2 * row] + f[2 * row + 1] * t[2 * row + 1]);
    out[2 * row + 1] = factor * (f[2 * row + 1] * t[2 * row] - f[2 * row] * t[2 * row + 1]);
  }
}

// The highest of values[i] * scale[i].
LATTICED_HOT float highest_of(const float* values, const float* scale, int count) {
  float highest[16];
  for (float& value : highest) value = std::numeric_limits<float>::lowest();
  int i = 0;
  for (; i + 16 <= count; i += 16)
    for (int k = 0; k < 16; ++k) {
      const float value = values[i + k] * scale[i + k];
      highest[k] = value > highest[k] ? value : highest[k];
    }
  for (; i < count; ++i) highest[0] = std::max(highest[0], values[i] * scale[i]);
  return *std::max_element(highest, highest + 16);
}

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

DriftTracker::DriftTracker(const FrameFft& fft, const DriftConfig& config)
    : grid_(fft.grid()),
      config_(config),
      window_(fft.taper_x(), fft.taper_y()),
      taper_excess_(taper_excess(fft.taper_x()) * taper_excess(fft.taper_y())),
      max_blocks_(static_cast<std::size_t>(config.max_match_bins / kBlock)),
      template_(grid_.spectrum_size()),
      list_(grid_, max_blocks_),
      anchor_(grid_, max_blocks_),
      film_(grid_, max_blocks_),
      gauge_(grid_),
      crystal_(grid_, fft.taper_x(), fft.taper_y()),
      leak_(grid_),
      ramps_(grid_),
      grid_search_(grid_),
      surface_ifft_(grid_),
      surface_half_(static_cast<std::size_t>(grid_.width / 2 + 1) *
                    static_cast<std::size_t>(grid_.height)),
      surface_(static_cast<std::size_t>(grid_.width) * static_cast<std::size_t>(grid_.height)) {
  const auto per_column = static_cast<std::size_t>((grid_.height + kBlock - 1) / kBlock);
  scored_.reserve(per_column * static_cast<std::size_t>(grid_.kx_count));
  chosen_.reserve(max_blocks_);
  label_of_block_.resize(per_column * static_cast<std::size_t>(grid_.kx_count));
  is_wing_.resize(label_of_block_.size());
  powers_.resize(static_cast<std::size_t>(grid_.height) + 2);
  block_fy2_.resize(per_column);
  for (std::size_t j = 0; j < per_column; ++j)
    for (int i = 0; i < kBlock; ++i) {
      const int row = std::min(static_cast<int>(j) * kBlock + i, grid_.height - 1);
      const double fy = static_cast<double>(grid_.signed_ky(row)) / grid_.height;
      block_fy2_[j].row[static_cast<std::size_t>(i)] = static_cast<float>(fy * fy);
      block_fy2_[j].nearest = std::min(block_fy2_[j].nearest, fy * fy);
    }
  for (int row = 0; row < grid_.height; ++row)
    one_over_share_.push_back(1.0f / (1.0f - static_cast<float>(std::min(row, grid_.height - row)) /
                                                 static_cast<float>(grid_.height)));
  reset();
}

void DriftTracker::reset() {
  frames_learnt_ = frames_since_renewal_ = frames_lost_ = frames_ambiguous_ = stripe_ = 0;
  has_anchor_ = has_film_ = false;
  gauge_.reset();
  leak_.reset();
  misfit_.fill(1.0);
  label_phase_.fill(0.0);
  used_labels_ = ~0u;
  shortest_period_cells_ = finest_period_cells_ = 0.0;
  shift_ = velocity_ = origin_ = origin_sigma_ = last_sigma_ = template_mean_ = {};
  innovation_ = 0.0;
  usual_aperiodic_ = 1.0;
  usual_scatter_ = 0.0;
}

void DriftTracker::restart(const DriftPlace& place) {
  reset();
  origin_ = place.drift;
  origin_sigma_ = last_sigma_ = place.sigma;
  velocity_ = place.velocity;
  innovation_ = place.innovation;
}

DriftPlace DriftTracker::place() const noexcept {
  const Vector2 leak = leak_.leak();
  return {{origin_.x + shift_.x - leak.x, origin_.y + shift_.y - leak.y},
          last_sigma_,
          velocity_,
          innovation_};
}

DriftPlace DriftTracker::expected_place() const noexcept {
  DriftPlace out = place();
  if (frames_learnt_ == 0) return out;  // before the first frame there is no way to have gone
  const DriftMeasurement next = doubtful({shift_.x + velocity_.x, shift_.y + velocity_.y});
  out.drift = next.drift_px;
  out.sigma = next.sigma_drift_px;
  return out;
}

bool DriftTracker::set_reference() {
  if (frames_learnt_ == 0) return false;
  make_anchor();
  return true;
}

MatchResult DriftTracker::match_near(std::uint32_t labels, Vector2 start) {
  return maximise(list_, labels, start, 0.25 * half_cell(), window_, template_mean_, ramps_);
}

double DriftTracker::half_cell() const noexcept {
  return shortest_period_cells_ > 0.0 ? 0.5 * shortest_period_cells_ : 8.0;
}

// Which bins say most about the shift: information |T|^2 k^2 above the template's noise.
void DriftTracker::renew_list(const RingNoise& noise, std::span<const Peak> peaks) {
  if (frames_learnt_ > 1) list_.write_back(template_);
  const auto per_column = static_cast<std::uint32_t>((grid_.height + kBlock - 1) / kBlock);
  // Bins from outside the old list come with the full template's noise, and the new list keeps
  // them.
  template_noise_ = std::max(template_noise_, full_noise_);
  const auto bin_noise = static_cast<float>(template_noise_);
  // Blocks of nothing but noise pass once in two thousand. A young template promises what it chose
  // by its own noise, and a promise not kept would deny the cell: there once in a hundred thousand.
  const float deviations = frames_learnt_ < kSettled ? 6.0f : 4.0f;
  const float smallest = bin_noise * kBlock * (1.0f + deviations / std::sqrt(float{kBlock}));
  const double band = 0.5 * grid_.band;
  scored_.clear();
  label_neighbourhoods(peaks);
  for (int kx = 0; kx < grid_.kx_count; ++kx) {
    const double fx = static_cast<double>(kx) / grid_.width;
    for (std::uint32_t j = 0; j < per_column; ++j) {
      const int row = static_cast<int>(j) * kBlock;
      if (fx * fx + block_fy2_[j].nearest > band * band) continue;
      if (kx == 0 && grid_.signed_ky(row) < 0) continue;  // mirror images
      if (kx + row == 0) continue;                        // mean and plane
      float power = 0.0f;
      const float score =
          block_score(template_.data() + grid_.at(kx, row), bin_noise, static_cast<float>(fx * fx),
                      block_fy2_[j].row.data(), &power);
      const std::uint32_t block = static_cast<std::uint32_t>(kx) * per_column + j;
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
  list_.choose(chosen_, label_begin_, template_);
  gauge_.add({reflections_.begin(), reflections_.size()});
  frames_since_renewal_ = 0;
}

// The shortest translation that leaves the plainest reflections where they are: two non-collinear
// ones span a lattice, its real-space cell is reduced (Gauss).
void DriftTracker::measure_cell(std::span<const Peak> peaks) {
  shortest_period_cells_ = finest_period_cells_ = 0.0;
  const float plain = peaks.empty() ? 0.0f : std::max(8.0f, 0.15f * peaks.front().snr);
  Vector2 g1, g2;
  double length1 = 1e30, length2 = 1e30, longest = 0.0;
  const auto for_each_plain = [&](const auto& act) {
    for (const Peak& peak : peaks)
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
  finest_period_cells_ = 1.0 / longest;
  for_each_plain([&](Vector2 g, double length) {
    const double sine = std::abs(g1.x * g.y - g1.y * g.x) / (length1 * length);
    if (sine > 0.25 && length < length2) g2 = g, length2 = length;
  });
  if (length2 > 1e29) {
    shortest_period_cells_ = 1.0 / length1;
    return;
  }
  const double det = g1.x * g2.y - g1.y * g2.x;
  Vector2 a{g2.y / det, -g2.x / det}, b{-g1.y / det, g1.x / det};
  for (int i = 0; i < 8; ++i) {
    if (std::hypot(a.x, a.y) > std::hypot(b.x, b.y)) std::swap(a, b);
    const double n = std::round((a.x * b.x + a.y * b.y) / (a.x * a.x + a.y * a.y));
    b = {b.x - n * a.x, b.y - n * a.y};
  }
  shortest_period_cells_ = std::min(std::hypot(a.x, a.y), std::hypot(b.x, b.y));
}

void DriftTracker::label_neighbourhoods(std::span<const Peak> peaks) {
  reflections_.clear();
  for (const Peak& peak : peaks)
    if (peak.snr > kPlainReflectionSnr && reflections_.size() < kShapes - 1)
      reflections_.push_back(peak);
  measure_cell({reflections_.begin(), reflections_.size()});
  const int per_column = (grid_.height + kBlock - 1) / kBlock;
  std::fill(label_of_block_.begin(), label_of_block_.end(), std::uint8_t{0});
  for (std::size_t l = 0; l < reflections_.size(); ++l)
    for (int sign : {1, -1})
      for (int dx = -kReflectionReach; dx <= kReflectionReach; ++dx)
        for (int dy = -kReflectionReach; dy <= kReflectionReach; ++dy) {
          const int kx = sign * reflections_[l].kx + dx, ky = sign * reflections_[l].ky + dy;
          if (kx < 0 || kx >= grid_.kx_count || std::abs(ky) > grid_.height / 2) continue;
          std::uint8_t& label = label_of_block_[static_cast<std::size_t>(
              kx * per_column + grid_.row_of(ky) / kBlock)];
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
          const auto block = static_cast<std::size_t>(kx * per_column + block_row);
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
        std::uint8_t& label =
            label_of_block_[static_cast<std::size_t>(kx * per_column + grid_.row_of(ky) / kBlock)];
        if (label == 0) label = static_cast<std::uint8_t>(kShapes);
      }
}

// The label of the reflection nearest to this block, and how far that is in bins. 0: there is none.
std::pair<std::uint8_t, double> DriftTracker::nearest_reflection(MatchBlock block) const {
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
bool DriftTracker::is_strong(MatchBlock block, double power, const RingNoise& noise) const {
  const int middle = grid_.signed_ky(std::min(block.row + kBlock / 2, grid_.height - 1));
  // The detector's rings begin elsewhere when its min_fringes was set; a ring off says the same.
  const std::size_t ring = ring_at(
      grid_, DetectConfig{}.min_fringes,
      {static_cast<double>(block.kx) / grid_.width, static_cast<double>(middle) / grid_.height});
  if (ring == kRings) return false;
  const double film = std::max(static_cast<double>(noise.mean_power[ring]) - white_, 0.0);
  // Of eight bins of noise the mean is above twice its own once in a hundred.
  return power > kBlock * (kWingPower * film + 2.0 * template_noise_);
}

// Film, edge and thickness together: what knows no unit cells.
double DriftTracker::aperiodic_j(const MatchResult& match) noexcept {
  return match.labels[0].j + match.labels[kShapes].j;
}
double DriftTracker::expected_aperiodic_j() const noexcept {
  return list_.expected(0).j + list_.expected(kShapes).j;
}

// Blocks in order of their labels, in memory order within a label.
void DriftTracker::order_blocks() {
  const auto per_column = static_cast<std::uint32_t>((grid_.height + kBlock - 1) / kBlock);
  label_begin_.fill(0);
  for (const Scored& scored : scored_) ++label_begin_[label_of_block_[scored.block] + 1u];
  for (std::size_t l = 0; l < kLabels; ++l) label_begin_[l + 1] += label_begin_[l];
  chosen_.resize(scored_.size());
  auto next = label_begin_;
  for (const Scored& scored : scored_)
    chosen_[next[label_of_block_[scored.block]]++] = {
        static_cast<std::int32_t>(scored.block / per_column),
        static_cast<std::int32_t>(scored.block % per_column) * kBlock};
  // The labels may mean other reflections now: what was learnt about them no longer holds.
  misfit_.fill(misfit_[0]);
  label_phase_.fill(0.0);
  used_labels_ = ~0u;
}

void DriftTracker::begin(const Spectrum& frame, const RingNoise& noise,
                         std::span<const Peak> peaks) {
  std::copy_n(frame.data(), frame.size(), template_.data());
  frames_learnt_ = 1;
  template_noise_ = full_noise_ = static_cast<double>(noise.white);
  renew_list(noise, peaks);
}

DriftTracker::Verdict DriftTracker::judge(const MatchResult& match) const {
  Expectation expected;
  const double aperiodic = expected_aperiodic_j();
  for (std::size_t l = 0; l < kLabels; ++l)
    if (used_labels_ >> l & 1u) expected += list_.expected(l);
  Verdict verdict;
  verdict.match = match.sums.j / std::max(expected.j, 1e-30);
  verdict.significance = match.sums.j / std::sqrt(std::max(expected.j, 1e-30));
  const double denial = aperiodic_j(match) / std::max(aperiodic, 1e-30);
  // A jump by whole cells leaves the reflections matched and the aperiodic part not.
  const double doubt = std::sqrt((1.0 + template_noise_ / white_) / std::max(aperiodic, 1e-30));
  verdict.is_cell_denied = denial < 0.4 && 1.0 - denial > 6.0 * doubt;
  verdict.is_suspect =
      denial < usual_aperiodic_ - std::max({0.2, 6.0 * doubt, 5.0 * usual_scatter_});
  verdict.is_accepted =
      match.is_peak && verdict.match > kSmallestMatch && verdict.significance > kSignificant;
  return verdict;
}

// The likelihood of every shift of the field, from every bin of the band or from those of film,
// edge and shapes alone.
void DriftTracker::likelihood_surface(const Spectrum& frame, bool is_aperiodic) {
  const auto height = static_cast<std::size_t>(grid_.height);
  std::fill_n(surface_half_.data() + static_cast<std::size_t>(grid_.kx_count) * height,
              surface_half_.size() - static_cast<std::size_t>(grid_.kx_count) * height, Complex{});
  const int per_column = (grid_.height + kBlock - 1) / kBlock;
  const int above = grid_.k_band + 1, below = grid_.height - grid_.k_band;  // rows between: no band
  for (int kx = 0; kx < grid_.kx_count; ++kx) {
    const Complex* f = frame.data() + grid_.at(kx, 0);
    const Complex* t = template_.data() + grid_.at(kx, 0);
    Complex* to = surface_half_.data() + static_cast<std::size_t>(kx) * height;
    weigh_products(f, t, grid_.height, static_cast<float>(template_noise_),
                   static_cast<float>(white_), powers_.data(), to);
    std::fill(to + above, to + below, Complex{});
    if (kx < 2) to[0] = {};
    if (kx == 0) to[1] = to[height - 1] = {};  // mean and plane
    if (!is_aperiodic) continue;
    for (int block = 0; block < per_column; ++block) {
      const std::uint8_t label = label_of_block_[static_cast<std::size_t>(kx * per_column + block)];
      if (label == 0 || label >= kShapes) continue;
      const int row = block * kBlock;
      std::fill(to + row, to + std::min(row + kBlock, grid_.height), Complex{});
    }
  }
  surface_ifft_.execute(surface_half_.data(), surface_.data());
}

// Peaks of the surface, normalised by how much of the field both frames share at that shift:
// found[first] to found[limit - 1], best first. Returns where they end.
std::size_t DriftTracker::collect_peaks(std::array<Candidate, kCandidates>& found,
                                        std::size_t first, std::size_t limit) const {
  std::size_t count = first;
  const auto height = static_cast<std::size_t>(grid_.height);
  const int reach_x = static_cast<int>(0.45 * grid_.width),
            reach_y = static_cast<int>(0.45 * grid_.height);
  const double apart = std::max(2.0, 0.5 * half_cell());
  for (int sx = -reach_x; sx <= reach_x; ++sx) {
    const int column = sx < 0 ? sx + grid_.width : sx;
    const float* line = surface_.data() + static_cast<std::size_t>(column) * height;
    const double share_x = 1.0 - std::abs(sx) / static_cast<double>(grid_.width);
    // Once the list is full nearly every column is below it as a whole.
    const float least = static_cast<float>(share_x * found[limit - 1].score * (1.0 - 1e-5));
    if (count == limit && found[limit - 1].score > 0.0 &&
        std::max(highest_of(line, one_over_share_.data(), reach_y + 1),
                 highest_of(line + grid_.height - reach_y,
                            one_over_share_.data() + grid_.height - reach_y, reach_y)) < least)
      continue;
    for (int sy = -reach_y; sy <= reach_y; ++sy) {
      const int row = sy < 0 ? sy + grid_.height : sy;
      const double score = static_cast<double>(line[row]) /
                           (share_x * (1.0 - std::abs(sy) / static_cast<double>(grid_.height)));
      if (count == limit && score <= found[count - 1].score) continue;
      const Vector2 at{static_cast<double>(sx), static_cast<double>(sy)};
      std::size_t place = first;  // an earlier peak of the same cell is replaced, else the weakest
      while (place < count &&
             std::hypot(found[place].shift.x - at.x, found[place].shift.y - at.y) >= apart)
        ++place;
      if (place < count && score <= found[place].score) continue;
      if (place == count) place = count < limit ? count++ : limit - 1;
      found[place].shift = at;
      found[place].score = score;
      for (; place > first && found[place - 1].score < found[place].score; --place)
        std::swap(found[place - 1], found[place]);
    }
  }
  return count;
}

bool DriftTracker::reacquire(const Spectrum& frame, Vector2 predicted, MatchResult& match,
                             bool& is_ambiguous) {
  // A lattice that fills the field has a peak in every cell, hundreds of them; what is aperiodic
  // has one. So half of the candidates come from each.
  std::array<Candidate, kCandidates> found;
  std::size_t count = 0;
  for (const bool is_aperiodic : {true, false}) {
    if (is_aperiodic && expected_aperiodic_j() < kPlainAperiodicJ) continue;
    likelihood_surface(frame, is_aperiodic);
    count = collect_peaks(found, count, is_aperiodic ? kCandidates / 2 : kCandidates);
  }
  // Each is refined; the aperiodic part, which knows no unit cells, is scored apart.
  Expectation used;
  for (std::size_t l = 0; l < kLabels; ++l)
    if (used_labels_ >> l & 1u) used += list_.expected(l);
  const double aperiodic = expected_aperiodic_j();
  const auto refine = [&](Vector2 start) {
    Candidate out;
    out.match = match_near(used_labels_, start);
    const Vector2 s = out.match.shift_cells;
    out.shift = s;
    // Log-likelihoods: J less half of what J is at the right shift, where a share of the field is
    // new.
    const double share =
        std::max(0.2, (1.0 - std::abs(s.x) / grid_.width) * (1.0 - std::abs(s.y) / grid_.height));
    out.score = out.match.is_peak ? out.match.sums.j - 0.5 * share * used.j : -1e300;
    out.aperiodic = aperiodic_j(out.match) - 0.5 * share * aperiodic;
    out.fit = (out.match.sums.j - aperiodic_j(out.match)) / share;
    return out;
  };
  const Candidate near = refine(match.is_peak ? match.shift_cells : predicted);
  // The lattice fits as well in every cell, but for what the window and the misfit of a few strong
  // reflections make of it, and that is more than all that film and edge say. So it has a veto, and
  // they choose.
  const bool has_aperiodic = aperiodic > kPlainAperiodicJ;
  std::array<Candidate, kCandidates> places;
  double best_fit = near.fit;  // but at most as good as promised: little shared is badly known
  for (std::size_t i = 0; i < count; ++i) {
    places[i] = refine(found[i].shift);
    best_fit = std::max(best_fit, places[i].fit);
  }
  best_fit = std::min(best_fit, used.j - aperiodic);
  const auto merit = [&](const Candidate& c) {
    if (!c.match.is_peak || c.fit < kPlausibleFit * best_fit) return -1e300;
    return has_aperiodic ? c.aperiodic : c.score;
  };
  Candidate best = near;
  double second = -1e300;
  for (std::size_t i = 0; i < count; ++i) {
    if (std::hypot(places[i].shift.x - best.shift.x, places[i].shift.y - best.shift.y) < 1.0)
      continue;
    if (merit(places[i]) > merit(best)) {
      second = merit(best);
      best = places[i];
    } else {
      second = std::max(second, merit(places[i]));
    }
  }
  if (merit(best) < -1e299) return false;

  const bool is_near_sound = near.match.is_peak && near.match.sums.j > kSmallestMatch * used.j;
  const double lead = best.aperiodic - near.aperiodic;
  if (is_near_sound && lead < std::max(6.0 * std::sqrt(aperiodic), 0.3 * aperiodic)) {
    // Another cell fits, but nothing aperiodic says that the specimen went there.
    is_ambiguous = lead > std::max(4.0 * std::sqrt(aperiodic), 0.15 * aperiodic);
    best = near;
  } else {
    const double odds = has_aperiodic ? std::max(kAmbiguousOdds, 3.0 * std::sqrt(aperiodic))
                                      : std::max(kAmbiguousOdds, 0.02 * used.j);
    // Where little is shared little is expected, and the score is no proof: film must be there.
    is_ambiguous = merit(best) - second < odds ||
                   (has_aperiodic && aperiodic_j(best.match) < 5.0 * std::sqrt(aperiodic));
  }
  match = best.match;
  return true;
}

// sum W |F - T e|^2 over what shot noise in frame and template would give: how badly a label's
// bins fit at the match. 1 = as well as the electrons allow.
double DriftTracker::misfit_of(const MatchResult& match, std::size_t label) const {
  const Expectation& expected = list_.expected(label);
  if (expected.weight < 4.0) return 1.0;
  const double cross = match.labels[label].j * list_.label_noise(label) / 2.0;
  const double residual =
      list_.frame_power(label) + expected.power + expected.weight * template_noise_ - 2.0 * cross;
  return std::clamp(residual / (expected.weight * (white_ + template_noise_)), 1.0, 1e5);
}

double DriftTracker::typical_misfit(const MatchResult& match) const {
  double sum = 0.0, weights = 0.0;
  for (std::size_t l = 1; l < kShapes; ++l) {
    const double power = list_.expected(l).power;
    sum += power * misfit_of(match, l);
    weights += power;
  }
  return weights > 0.0 ? sum / weights : 1.0;
}

// All reflections lie on one line through the origin: they say nothing of a move across it.
bool DriftTracker::is_one_row() const noexcept {
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

// Film and edge are more than the list's choice among noise, whose promise is not kept, and more
// than the wings of the reflections.
bool DriftTracker::is_aperiodic_told(const MatchResult& match) const {
  double reflections = 0.0;
  for (std::size_t l = 1; l < kShapes; ++l) reflections += list_.expected(l).j;
  const double expected = expected_aperiodic_j();
  return expected > std::max(kToldJ, kWingsShare * reflections) && usual_aperiodic_ > 0.5 &&
         aperiodic_j(match) > 0.5 * expected;
}

// J of the reflections over what the template promises: 1 = a shifted copy of the lattice.
double DriftTracker::reflections_match(const MatchResult& match) const {
  double is = 0.0, expected = 0.0;
  for (std::size_t l = 1; l < kShapes; ++l) {
    is += match.labels[l].j;
    expected += list_.expected(l).j;
  }
  return is / std::max(expected, 1e-30);
}

// Nobody has seen where the specimen went: it may have gone as far as there is anything left of the
// field, and further. That doubt is part of all that follows.
void DriftTracker::doubt_place() noexcept {
  origin_sigma_ = {std::hypot(origin_sigma_.x, 0.5 * grid_.width),
                   std::hypot(origin_sigma_.y, 0.5 * grid_.height)};
}

// What fits badly in this very frame (scan distortion, a changing crystal) counts less: one step of
// iteratively reweighted least squares, taken only when the fit is worse than was assumed.
MatchResult DriftTracker::reweighed(const Spectrum& frame, const MatchResult& first) {
  if (!first.is_peak) return first;
  std::array<double, kLabels> frame_noise;
  bool is_worse = false;
  for (std::size_t l = 0; l < kLabels; ++l) {
    const double misfit = misfit_of(first, l);
    is_worse |= white_ * misfit > 1.5 * list_.label_noise(l);
    frame_noise[l] = white_ * std::max(misfit, misfit_[l]);
  }
  if (!is_worse) return first;
  list_.weigh(template_noise_, frame_noise);
  list_.load(frame);
  was_reweighed_ = true;
  const MatchResult again = match_near(used_labels_, first.shift_cells);
  if (again.is_peak) return again;
  // Back to the weights that `first` was summed with: its J is judged by what the list expects.
  for (std::size_t l = 0; l < kLabels; ++l) frame_noise[l] = white_ * misfit_[l];
  list_.weigh(template_noise_, frame_noise);
  list_.load(frame);
  return first;
}

// The mean motion of the plainest reflections: phases of their coefficients against the template's
// under a Hann window, least squares over them. What a frame distorted by the scan means by
// "drift": the match would follow the rows that happen to agree best (measured on a real movie:
// 0.03 px from an all-pairs registration, against 1.2 px of the match).
bool DriftTracker::average_of_reflections(const Spectrum& frame, MatchResult& match) {
  list_.write_back(template_);
  struct Phase {
    Vector2 g;
    double cycles = 0.0, weight = 0.0;
  };
  FixedVector<Phase, kLabels> phases;
  // Only those of a third of the strongest amplitude: higher orders would wrap.
  const float plain = reflections_.empty() ? 0.0f : 0.1f * reflections_[0].power;
  for (const Peak& peak : reflections_) {
    if (peak.power < plain) continue;
    std::complex<double> cross{};
    for (int dx = -1; dx <= 1; ++dx)
      for (int dy = -1; dy <= 1; ++dy)
        cross +=
            std::complex<double>(hann_bin(grid_, frame, peak.kx + dx, peak.ky + dy) *
                                 std::conj(hann_bin(grid_, template_, peak.kx + dx, peak.ky + dy)));
    const Vector2 g{static_cast<double>(peak.kx) / grid_.width,
                    static_cast<double>(peak.ky) / grid_.height};
    double cycles = -std::arg(cross) / (2.0 * std::numbers::pi);
    cycles += std::round(g.x * match.shift_cells.x + g.y * match.shift_cells.y - cycles);
    phases.push_back({g, cycles, std::abs(cross)});
  }
  double axx = 0, axy = 0, ayy = 0, bx = 0, by = 0;
  for (const Phase& p : phases) {
    axx += p.weight * p.g.x * p.g.x;
    axy += p.weight * p.g.x * p.g.y;
    ayy += p.weight * p.g.y * p.g.y;
    bx += p.weight * p.g.x * p.cycles;
    by += p.weight * p.g.y * p.cycles;
  }
  const double det = axx * ayy - axy * axy;
  if (phases.size() < 2 || det < 0.02 * axx * ayy) return false;  // collinear: one axis is free
  const Vector2 s{(ayy * bx - axy * by) / det, (axx * by - axy * bx) / det};
  double misfit = 0.0, weights = 0.0;
  for (const Phase& p : phases) {
    const double residual = p.g.x * s.x + p.g.y * s.y - p.cycles;
    misfit += p.weight * residual * residual;
    weights += p.weight;
  }
  const double variance = misfit / weights;  // cycles^2 of one phase
  if (variance > 0.1 * 0.1) return false;
  // A fit to few phases knows its own scatter badly: at least a hundredth of a cycle is assumed.
  const double per_phase =
      std::max(variance, 1e-4) * weights / std::max(1.0, static_cast<double>(phases.size()) - 2.0);
  match.shift_cells = s;
  match.covariance = {per_phase * ayy / det, -per_phase * axy / det, per_phase * axx / det};
  return true;
}

void DriftTracker::watch_reflections(const MatchResult& match) {
  // Only where the rest is enough to stand on may reflections be left out.
  const bool may_leave_out = can_stand_alone(list_);
  for (std::size_t l = 1; l < kShapes; ++l) {
    const double expected = list_.expected(l).j;
    if (expected < 50.0) continue;  // too faint to have a phase of its own
    const MatchSums& sums = match.labels[l];
    const double phase = std::atan2(sums.j_imag, sums.j);
    constexpr double kMemory = 0.1;
    label_phase_[l] += kMemory * (phase - label_phase_[l]);
    const double sigma = std::sqrt(kMemory / 2.0 / expected) * std::sqrt(misfit_[l]);
    const double limit = std::max(0.1, 5.0 * sigma);
    const std::uint32_t bit = 1u << l;
    if (may_leave_out && std::abs(label_phase_[l]) > limit)
      used_labels_ &= ~bit;
    else if (!may_leave_out || std::abs(label_phase_[l]) < 0.4 * limit)
      used_labels_ |= bit;
  }
}

void DriftTracker::make_anchor() {
  list_.write_back(template_);
  anchor_.choose(list_.block_list(), list_.label_begin(), template_);
  std::array<double, kLabels> frame_noise;
  for (std::size_t l = 0; l < kLabels; ++l) frame_noise[l] = white_ * misfit_[l];
  anchor_.weigh(template_noise_, frame_noise);
  anchor_place_ = shift_;
  anchor_mean_ = template_mean_;
  has_anchor_ = true;
}

// Whether film and edge alone fix the shift to within seven times the error of everything.
bool DriftTracker::can_stand_alone(const MatchList& list) {
  Expectation all;
  for (std::size_t l = 0; l < kLabels; ++l) all += list.expected(l);
  const Expectation& aperiodic = list.expected(0);
  return aperiodic.gxx > 0.02 * all.gxx && aperiodic.gyy > 0.02 * all.gyy;
}

// Where this frame is learnt into the template: at its shift, pulled a little towards what the
// anchor says. So the template's random walk (blend x sigma per frame) is bounded, and the anchor's
// own error, common to all frames, does not add to any single one.
Vector2 DriftTracker::anchored(const Spectrum& frame, Vector2 shift) {
  if (!has_anchor_ || frames_learnt_ % kAnchorEvery != 0) return shift;
  anchor_.load(frame);
  const MatchResult match =
      maximise(anchor_, used_labels_, shift, 0.25 * half_cell(), window_, anchor_mean_, ramps_);
  Expectation expected;
  for (std::size_t l = 0; l < kLabels; ++l)
    if (used_labels_ >> l & 1u) expected += anchor_.expected(l);
  const double agreement = match.sums.j / std::max(expected.j, 1e-30);
  const Vector2 off{match.shift_cells.x - shift.x, match.shift_cells.y - shift.y};
  if (!match.is_peak || agreement < 0.5 || std::hypot(off.x, off.y) > 0.25 * half_cell()) {
    if (agreement < 0.2) has_anchor_ = false;
    return shift;
  }
  return {shift.x + kAnchorPull * off.x, shift.y + kAnchorPull * off.y};
}

void DriftTracker::make_film() {
  list_.write_back(template_);
  chosen_.clear();
  for (const MatchBlock& block : list_.block_list().first(list_.label_begin()[1]))
    if (nearest_reflection(block).second >= kFarWings_bins) chosen_.push_back(block);
  std::array<std::uint32_t, kLabels + 1> film_begin;
  film_begin.fill(static_cast<std::uint32_t>(chosen_.size()));
  film_begin[0] = 0;
  film_.choose(chosen_, film_begin, template_);
  std::array<double, kLabels> frame_noise;
  frame_noise.fill(white_);
  film_.weigh(template_noise_, frame_noise);
  film_place_ = shift_;
  film_mean_ = template_mean_;
  film_white_ = white_;
  frames_without_film_ = 0;
  has_film_ = true;
  // Its own place is as well known as the frames in it say.
  const Expectation& expected = film_.expected(0);
  const double frames = std::max(1.0, white_ / std::max(template_noise_, 1e-30));
  const CrystalPlace place = crystal_.place(template_, {reflections_.begin(), reflections_.size()});
  leak_.begin(place, {taper_excess_ / (frames * std::max(expected.gxx, 1e-12)),
                      taper_excess_ / (frames * std::max(expected.gyy, 1e-12))});
}

// How far the lattice has carried the match away from film and edge (drift_leak.hpp).
void DriftTracker::follow_lattice(const Spectrum& frame, const MatchResult& match) {
  gauge_.measure(frame);
  const Vector2 shift = match.shift_cells;
  leak_.advance(gauge_.deformation(), shift);
  const double reach = kFilmReach * std::min(grid_.width, grid_.height);
  if (has_film_ && (frames_without_film_ > kPatience ||
                    std::hypot(shift.x - film_place_.x, shift.y - film_place_.y) > reach))
    has_film_ = false;
  if (!has_film_) {
    if (frames_learnt_ >= config_.anchor_frames) make_film();
    return;
  }
  const double variance = std::min(match.covariance.xx, match.covariance.yy);
  if (frames_learnt_ % kAnchorEvery != 0 && !leak_.matters(variance)) return;
  const Expectation& expected = film_.expected(0);
  if (expected.gxx <= 0.0 || expected.gyy <= 0.0) return;
  film_.load(frame);
  const MatchResult film =
      maximise(film_, 1u, shift, 0.25 * half_cell(), window_, film_mean_, ramps_);
  const Vector2 off{shift.x - film.shift_cells.x, shift.y - film.shift_cells.y};
  const double excess = taper_excess_ * white_ / film_white_;
  if (!film.is_peak || film.sums.j < kSmallestFilm * expected.j ||
      std::hypot(off.x, off.y) > half_cell()) {
    ++frames_without_film_;
    return;
  }
  frames_without_film_ = 0;
  leak_.learn(off, {excess * film.covariance.xx, excess * film.covariance.yy});
}

void DriftTracker::learn(const Spectrum& frame, const MatchResult& match) {
  const double away =
      std::hypot(match.shift_cells.x - anchor_place_.x, match.shift_cells.y - anchor_place_.y);
  if (away > kAnchorReach * std::min(grid_.width, grid_.height))
    has_anchor_ = false;  // the field has moved on: a new anchor is made from the template
  follow_lattice(frame, match);
  const Vector2 place = anchored(frame, match.shift_cells);
  for (std::size_t l = 0; l < kLabels; ++l) misfit_[l] += 0.1 * (misfit_of(match, l) - misfit_[l]);
  watch_reflections(match);

  const double aperiodic = aperiodic_j(match) / std::max(expected_aperiodic_j(), 1e-30);
  const double unusual = std::clamp(aperiodic, 0.0, 1.5) - usual_aperiodic_;
  usual_scatter_ += 0.1 * (std::min(std::abs(unusual), 0.1) - usual_scatter_);
  usual_aperiodic_ = std::min(1.0, usual_aperiodic_ + 0.1 * unusual);

  ++frames_learnt_;
  const int memory = std::min(frames_learnt_, config_.template_memory_frames);
  const float blend = 1.0f / static_cast<float>(memory);
  ramps_.set(place);
  list_.update(frame, ramps_, blend);
  template_mean_.x += static_cast<double>(blend) * (place.x - template_mean_.x);
  template_mean_.y += static_cast<double>(blend) * (place.y - template_mean_.y);
  // The full template is renewed in stripes: it only has to know where new information grows.
  const bool is_young = frames_learnt_ <= kYoung;
  const int first = is_young ? 0 : stripe_ * grid_.kx_count / kStripes;
  const int last = is_young ? grid_.kx_count : (stripe_ + 1) * grid_.kx_count / kStripes;
  blend_columns(frame.data(), template_.data(), ramps_.x(), ramps_.y(), first, last, grid_.height,
                grid_.column_stride, is_young ? blend : static_cast<float>(kStripeBlend));
  stripe_ = (stripe_ + 1) % kStripes;
  // White noise of a running mean: (1 - b)^2 of the old and b^2 of the new.
  const auto noise_after = [this](double before, double b) {
    return (1.0 - b) * (1.0 - b) * before + b * b * white_;
  };
  template_noise_ = noise_after(template_noise_, static_cast<double>(blend));
  full_noise_ =
      is_young ? template_noise_
               : full_noise_ + (noise_after(full_noise_, kStripeBlend) - full_noise_) / kStripes;
  if (!has_anchor_ && frames_learnt_ >= config_.anchor_frames) make_anchor();
}

DriftMeasurement DriftTracker::doubtful(Vector2 shift) const {
  DriftMeasurement out;
  const Vector2 leak = leak_.leak();
  out.drift_px = {origin_.x + shift.x - leak.x, origin_.y + shift.y - leak.y};
  const double doubt = half_cell() + innovation_ * std::sqrt(1.0 + frames_lost_);
  out.sigma_drift_px = {std::hypot(doubt, origin_sigma_.x), std::hypot(doubt, origin_sigma_.y)};
  out.state = DriftState::lost;
  return out;
}

DriftMeasurement DriftTracker::skip() {
  if (frames_learnt_ > 0) {
    shift_ = {shift_.x + velocity_.x, shift_.y + velocity_.y};
    // A way that nobody has seen for so long leads nowhere in particular.
    if (++frames_lost_ >= kPatience) velocity_ = {};
  }
  const DriftMeasurement out = doubtful(shift_);
  last_sigma_ = out.sigma_drift_px;
  return out;
}

DriftMeasurement DriftTracker::report(const MatchResult& match, const Verdict& verdict,
                                      bool is_ambiguous) {
  DriftMeasurement out;
  const Vector2 leak = leak_.leak();
  const LatticeLeak::Doubt doubt = leak_.doubt();
  out.drift_px = {origin_.x + match.shift_cells.x - leak.x,
                  origin_.y + match.shift_cells.y - leak.y};
  out.sigma_drift_px = {std::sqrt(taper_excess_ * match.covariance.xx + doubt.random.x),
                        std::sqrt(taper_excess_ * match.covariance.yy + doubt.random.y)};
  out.sigma_drift_sys_px = {std::sqrt(doubt.systematic.x), std::sqrt(doubt.systematic.y)};
  out.match = verdict.match;
  out.is_cell_ambiguous = is_ambiguous;
  const double sigma = std::max(out.sigma_drift_px.x, out.sigma_drift_px.y);
  out.state = verdict.significance < kWeakSignificance || sigma > 0.5 * half_cell() || is_ambiguous
                  ? DriftState::weak
                  : DriftState::locked;
  out.sigma_drift_px = {std::hypot(out.sigma_drift_px.x, origin_sigma_.x),
                        std::hypot(out.sigma_drift_px.y, origin_sigma_.y)};
  last_sigma_ = out.sigma_drift_px;
  return out;
}

DriftMeasurement DriftTracker::track(const Spectrum& frame, const RingNoise& noise,
                                     std::span<const Peak> peaks) {
  white_ = std::max(static_cast<double>(noise.white), 1e-20);
  bool has_jumped = false;
  const bool is_first = frames_learnt_ == 0;
  if (is_first) begin(frame, noise, peaks);
  const bool is_due =
      frames_since_renewal_ >= 32 ||
      (frames_learnt_ < 32 && std::has_single_bit(static_cast<unsigned>(frames_learnt_)));
  if (!is_first && is_due) renew_list(noise, peaks);
  ++frames_since_renewal_;

  std::array<double, kLabels> frame_noise;
  for (std::size_t l = 0; l < kLabels; ++l) frame_noise[l] = white_ * misfit_[l];
  if (is_first || is_due || frames_learnt_ < 32 || frames_learnt_ % kWeighEvery == 0 ||
      was_reweighed_)
    list_.weigh(is_first ? 0.0 : template_noise_, frame_noise);
  was_reweighed_ = false;
  list_.load(frame);

  const Vector2 predicted =
      is_first ? Vector2{} : Vector2{shift_.x + velocity_.x, shift_.y + velocity_.y};
  MatchResult match = match_near(used_labels_, predicted);
  if (is_first) {
    match.shift_cells = {};
    return report(match, judge(match), false);
  }
  match = reweighed(frame, match);
  Verdict verdict = judge(match);
  if (!verdict.is_accepted || verdict.match < kPlainMatch) {
    // A fine reflection has maxima of its own: look over the whole cell before doubting more.
    const double step = std::min(half_cell() / GridSearch::kReach,
                                 finest_period_cells_ > 0.0 ? finest_period_cells_ / 3.0 : 1.0);
    const Vector2 start = grid_search_.best(list_, used_labels_, predicted, step, ramps_);
    const MatchResult other = match_near(used_labels_, start);
    if (other.is_peak && other.sums.j > match.sums.j) match = reweighed(frame, other);
    verdict = judge(match);
  }
  bool is_ambiguous = false;
  double apart = std::hypot(match.shift_cells.x - predicted.x, match.shift_cells.y - predicted.y);
  if (!verdict.is_accepted || verdict.is_cell_denied || verdict.is_suspect ||
      (shortest_period_cells_ > 0.0 && apart > 0.9 * half_cell())) {
    if (reacquire(frame, predicted, match, is_ambiguous)) verdict = judge(match);
    // Lattice and film disagree and no other place is better: doubt, unless the reflections fit
    // as badly. Then the frame is a distorted one (STEM), and nothing in it moved as a whole.
    // Where nothing of film and edge is left while the reflections fit, it is another field.
    const bool is_elsewhere = aperiodic_j(match) < kNothingLeft * expected_aperiodic_j() &&
                              reflections_match(match) > kWholeLattice;
    // A distorted frame is near where it was expected, and that was no doubtful place.
    const bool is_far = std::hypot(match.shift_cells.x - predicted.x,
                                   match.shift_cells.y - predicted.y) > half_cell();
    is_ambiguous |= verdict.is_cell_denied &&
                    (is_far || frames_ambiguous_ > 0 || is_elsewhere ||
                     verdict.match > kWholeMatch || typical_misfit(match) < kDistorted);
    if (!verdict.is_accepted) {
      DriftMeasurement lost = skip();
      lost.match = verdict.match;
      if (frames_lost_ > kPatience) {
        // Nothing left of the old field: begin anew here, at the place that was predicted.
        restart({lost.drift_px, lost.sigma_drift_px, {}, innovation_});
        doubt_place();
        begin(frame, noise, peaks);
      }
      return lost;
    }
    apart = std::hypot(match.shift_cells.x - predicted.x, match.shift_cells.y - predicted.y);
    has_jumped = apart > half_cell();
  }
  // Neither film nor edge agree with the template, nor do the reflections as a whole: the frame is
  // no shifted copy of the field but a distorted one.
  const double aperiodic_match = aperiodic_j(match) / std::max(expected_aperiodic_j(), 1e-30);
  if (aperiodic_match < kRigidMatch && typical_misfit(match) > kDistorted)
    (void)average_of_reflections(frame, match);
  frames_lost_ = 0;
  // Nothing in the frame tells how far it has moved along its only planes, unless film or edge are
  // found as they were promised. Such a frame is learnt nevertheless, near where it was expected:
  // film too faint for one frame shows in many.
  const bool is_untold = is_one_row() && !is_aperiodic_told(match);
  const Vector2 residual{match.shift_cells.x - predicted.x, match.shift_cells.y - predicted.y};
  if (has_jumped) {
    velocity_ = {};
  } else {
    velocity_ = {velocity_.x + 0.15 * residual.x, velocity_.y + 0.15 * residual.y};
    innovation_ += 0.1 * (apart - innovation_);
  }
  shift_ = match.shift_cells;
  const DriftMeasurement out = report(match, verdict, is_ambiguous || is_untold);
  frames_ambiguous_ = is_ambiguous ? frames_ambiguous_ + 1 : 0;
  // A doubt that stays: film or edge have changed for good, or the specimen has gone where nothing
  // of them is left. They are learnt anew, and nobody knows which it was.
  if (frames_ambiguous_ == kPatience + 1) doubt_place();
  if (!is_ambiguous || frames_ambiguous_ > kPatience) learn(frame, match);
  return out;
}

}  // namespace latticed::signal
