// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/process/lattice_stage.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numbers>

namespace latticed {

namespace {

constexpr double kTwoPi = 2.0 * std::numbers::pi;
constexpr double kGateBins = 2.5;        // a spot moves less than this between two frames
constexpr double kUnresolvedBins = 2.0;  // nearer than this, two maxima are one spot
constexpr std::uint32_t kWindow = 5;     // frames that decide about birth and death
constexpr int kSeenToConfirm = 3;
constexpr double kSmallestForcedSnr = 4.0;
// A forced measurement may wander into noise; it counts only near where the spot was.
constexpr double kForcedGateBins = 1.0;
constexpr double kUsualWatchBins = 3.0;  // of a watched spot, when nobody says how far it may be
constexpr double kWidestWatchBins = 12.0;
// A reflection's power lies within 3 bins of it, and rings are known to 8.
constexpr double kStructureMargin_bins = 12.0;

double sinc(double x) noexcept {
  const double u = std::numbers::pi * x;
  return std::abs(u) < 1e-9 ? 1.0 : std::sin(u) / u;
}

}  // namespace

LatticeStage::LatticeStage(const signal::FrameFft& fft, const FrameGeometry& geometry,
                           const LatticeConfig& config)
    : grid_(fft.grid()),
      moments_(fft.moments()),
      refiner_(fft),
      config_(config),
      length_unit_((config.pixel_size_nm > 0.0 ? config.pixel_size_nm : 1.0) * grid_.bin) {
  const auto centre = [&](int size, int origin) {
    return ((size - 1) / 2.0 - origin - (grid_.bin - 1) / 2.0) / grid_.bin;
  };
  centre_cells_ = {centre(geometry.width, grid_.x0), centre(geometry.height, grid_.y0)};
}

double LatticeStage::ring_ratio(Vector2 f, const Prepared& prepared) const noexcept {
  // Structure that is no spot (film, amorphous rim) at this spacing, over the noise floor.
  const auto& noise = prepared.peaks.noise;
  const std::size_t ring = signal::ring_at(grid_, config_.min_fringes, f);
  if (ring >= signal::kRings || noise.white <= 0.0f) return 1.0;
  return std::max(1.0, static_cast<double>(noise.mean_power[ring] / noise.white));
}

int LatticeStage::nearest_track(const signal::Peak& peak, double* distance_bins) const noexcept {
  int best = -1;
  *distance_bins = 1e30;
  for (std::size_t t = 0; t < tracks_.size(); ++t) {
    const double x = tracks_[t].frequency.x * grid_.width,
                 y = tracks_[t].frequency.y * grid_.height;
    // A spot and its Friedel mate are one.
    const double here = std::hypot(peak.kx - x, peak.ky - y);
    const double mate = std::hypot(peak.kx + x, peak.ky + y);
    if (std::min(here, mate) < *distance_bins) {
      *distance_bins = std::min(here, mate);
      best = static_cast<int>(t);
    }
  }
  return best;
}

void LatticeStage::add_spot(const Track& track, const signal::RefinedSpot& fit,
                            const Prepared& prepared, Measurements& out) const {
  Spot spot;
  spot.id = track.id;
  spot.age_frames = track.age_frames;
  spot.is_confirmed = track.is_confirmed;
  spot.is_watched = track.is_watched;
  const Vector2 f = fit.frequency;
  const double radius = std::hypot(f.x, f.y);
  spot.g_per_nm = {f.x / length_unit_, f.y / length_unit_};
  spot.d_nm = length_unit_ / radius;
  const double ux = f.x / radius, uy = f.y / radius;
  const double var = ux * ux * fit.var_xx + 2.0 * ux * uy * fit.var_xy + uy * uy * fit.var_yy;
  spot.sigma_d_nm = spot.d_nm / radius * std::sqrt(var);
  // Speckle that moves with the specimen shifts the spot like noise would, but always alike.
  const double film = ring_ratio(f, prepared) - 1.0;
  spot.sigma_d_sys_nm =
      std::hypot(spot.sigma_d_nm * std::sqrt(film), spot.d_nm * config_.pixel_size_sigma_ratio);
  spot.snr = fit.snr;
  const double mean_cell = out.mean_counts * grid_.bin * grid_.bin;
  const double bin_loss = sinc(f.x) * sinc(f.y);
  const double binning =
      grid_.bin > 1 ? bin_loss / (sinc(f.x / grid_.bin) * sinc(f.y / grid_.bin)) : 1.0;
  if (mean_cell > 0.0)
    spot.amplitude = 2.0 * std::abs(fit.coefficient) / (moments_.sum * mean_cell * binning);
  const double phase =
      std::arg(fit.coefficient) + kTwoPi * (f.x * centre_cells_.x + f.y * centre_cells_.y);
  spot.phase_rad = std::remainder(phase, kTwoPi);
  out.spots.push_back(spot);
}

bool LatticeStage::measure(Track& track, Vector2 start, const Prepared& prepared, bool was_detected,
                           Measurements& out) {
  const signal::RefinedSpot fit =
      refiner_.refine(prepared.spectrum, start, static_cast<double>(prepared.peaks.noise.white));
  if (!fit.is_valid) return false;
  if (!was_detected) {
    const double moved = std::hypot((fit.frequency.x - track.frequency.x) * grid_.width,
                                    (fit.frequency.y - track.frequency.y) * grid_.height);
    const double gate =
        track.is_watched
            ? std::max(kForcedGateBins, track.tolerance * std::max(grid_.width, grid_.height))
            : kForcedGateBins;
    if (fit.snr < kSmallestForcedSnr || moved > gate) return false;
  }
  track.frequency = fit.frequency;
  track.seen |= 1u;
  if (std::popcount(track.seen & ((1u << kWindow) - 1)) >= kSeenToConfirm)
    track.is_confirmed = true;
  const double noise = 49.0 * static_cast<double>(prepared.peaks.noise.white);
  bragg_power_ += std::max(0.0, fit.power - noise);
  add_spot(track, fit, prepared, out);
  return true;
}

void LatticeStage::follow(const Prepared& prepared, Measurements& out) {
  const auto& peaks = prepared.peaks.peaks;
  // Strongest peak first: each takes the nearest track that is still free.
  std::array<int, kMaxSpots> peak_of_track;
  peak_of_track.fill(-1);
  peak_used_.resize(peaks.size());
  for (std::size_t p = 0; p < peaks.size(); ++p) {
    peak_used_[p] = 0;
    double distance = 0.0;
    const int t = nearest_track(peaks[p], &distance);
    if (t < 0 || distance > kGateBins) continue;
    peak_used_[p] = 1;  // taken, or so near a track that it is the same spot
    if (peak_of_track[static_cast<std::size_t>(t)] < 0)
      peak_of_track[static_cast<std::size_t>(t)] = static_cast<int>(p);
  }
  std::size_t kept = 0;
  for (std::size_t t = 0; t < tracks_.size(); ++t) {
    Track track = tracks_[t];
    ++track.age_frames;
    track.seen <<= 1;
    Vector2 start = track.frequency;
    const int p = peak_of_track[t];
    if (p >= 0) {
      const signal::Peak& peak = peaks[static_cast<std::size_t>(p)];
      const Vector2 at{static_cast<double>(peak.kx) / grid_.width,
                       static_cast<double>(peak.ky) / grid_.height};
      const double here =
          std::hypot((at.x - start.x) * grid_.width, (at.y - start.y) * grid_.height);
      const double mate =
          std::hypot((at.x + start.x) * grid_.width, (at.y + start.y) * grid_.height);
      if (std::min(here, mate) > 0.75) start = here <= mate ? at : Vector2{-at.x, -at.y};
    }
    if (track.is_watched)
      measure_watched(track, start, prepared, p >= 0, out);
    else if (p >= 0 || track.is_confirmed)
      (void)measure(track, start, prepared, p >= 0, out);
    const bool is_alive = (track.seen & ((1u << kWindow) - 1)) != 0;
    if (is_alive || track.is_watched) tracks_[kept++] = track;
  }
  tracks_.resize(kept);
}

// The strongest bin within `reach` of `place`; the place itself where that is less than a bin.
Vector2 LatticeStage::strongest_near(const signal::Spectrum& spectrum, Vector2 place,
                                     double reach) const noexcept {
  const double x = place.x * grid_.width, y = place.y * grid_.height;
  const double reach_x = reach * grid_.width, reach_y = reach * grid_.height;
  if (std::max(reach_x, reach_y) < 1.0) return place;
  Vector2 best = place;
  float most = 0.0f;
  for (int kx = static_cast<int>(std::ceil(x - reach_x)); kx <= x + reach_x; ++kx)
    for (int ky = static_cast<int>(std::ceil(y - reach_y)); ky <= y + reach_y; ++ky) {
      const double u = (kx - x) / reach_x, v = (ky - y) / reach_y;
      const int at_x = std::abs(kx), at_y = kx < 0 ? -ky : ky;
      if (u * u + v * v > 1.0 || at_x >= grid_.kx_count || std::abs(at_y) > grid_.height / 2)
        continue;
      const float power = std::norm(spectrum[grid_.at(at_x, grid_.row_of(at_y))]);
      if (power <= most) continue;
      most = power;
      best = {static_cast<double>(kx) / grid_.width, static_cast<double>(ky) / grid_.height};
    }
  return best;
}

// Somebody wants to know, so there is an answer in every frame: a fit where there is a maximum to
// be told from noise, else what is at the spot's last place; d is then known as well as the place.
void LatticeStage::measure_watched(Track& track, Vector2 start, const Prepared& prepared,
                                   bool was_detected, Measurements& out) {
  const double white = static_cast<double>(prepared.peaks.noise.white);
  if (!was_detected) start = strongest_near(prepared.spectrum, track.frequency, track.tolerance);
  if (measure(track, start, prepared, was_detected, out)) return;
  if ((track.seen & ((1u << kWindow) - 1)) == 0) track.is_confirmed = false;
  add_spot(track, refiner_.demodulate(prepared.spectrum, track.frequency, white), prepared, out);
  Spot& spot = out.spots.back();
  // Uniform over a disc of this radius: half of it is the standard deviation along g.
  spot.sigma_d_nm =
      spot.d_nm * 0.5 * track.tolerance / std::hypot(track.frequency.x, track.frequency.y);
}

Result<std::uint32_t> LatticeStage::watch(Vector2 g_per_nm, double tolerance_per_nm) {
  Vector2 f{g_per_nm.x * length_unit_, g_per_nm.y * length_unit_};
  if (f.x < 0.0 || (f.x == 0.0 && f.y < 0.0)) f = {-f.x, -f.y};
  // Nobody can tell places nearer than half a bin apart.
  const double bin = 1.0 / std::min(grid_.width, grid_.height);
  const double wanted =
      tolerance_per_nm > 0.0 ? tolerance_per_nm * length_unit_ : kUsualWatchBins * bin;
  const double tolerance = std::clamp(wanted, 0.5 * bin, kWidestWatchBins * bin);
  if (signal::ring_at(grid_, config_.min_fringes, f) == signal::kRings)
    return Error{ErrorCode::out_of_range,
                 "watch spot at g = (" + std::to_string(g_per_nm.x) + ", " +
                     std::to_string(g_per_nm.y) + "): outside the analysed band of " +
                     std::to_string(config_.min_fringes / std::min(grid_.width, grid_.height) /
                                    length_unit_) +
                     " to " + std::to_string(0.5 * grid_.band / length_unit_)};
  Track* nearest = nullptr;
  double distance = tolerance;
  for (Track& track : tracks_) {
    const double here = std::hypot(track.frequency.x - f.x, track.frequency.y - f.y);
    const double mate = std::hypot(track.frequency.x + f.x, track.frequency.y + f.y);
    if (std::min(here, mate) > distance) continue;
    distance = std::min(here, mate);
    nearest = &track;
  }
  if (!nearest) {
    if (!tracks_.push_back({.id = next_id_, .frequency = f}))
      return Error{ErrorCode::resource_exhausted,
                   "watch spot: " + std::to_string(kMaxSpots) + " spots are followed already"};
    nearest = &tracks_.back();
    ++next_id_;
  }
  nearest->is_watched = true;
  nearest->tolerance = tolerance;
  return nearest->id;
}

bool LatticeStage::forget(std::uint32_t id) noexcept {
  for (Track& track : tracks_) {
    if (track.id != id || !track.is_watched) continue;
    track.is_watched = false;
    return true;
  }
  return false;
}

void LatticeStage::take_over(const LatticeStage& other) noexcept {
  const double scale = length_unit_ / other.length_unit_;
  next_id_ = other.next_id_;
  tracks_.clear();
  for (const Track& track : other.tracks_)
    if (track.is_watched)
      tracks_.push_back({.id = track.id,
                         .frequency = {track.frequency.x * scale, track.frequency.y * scale},
                         .is_watched = true,
                         .tolerance = track.tolerance * scale});
}

void LatticeStage::restart() noexcept {
  std::size_t kept = 0;
  for (const Track& track : tracks_)
    if (track.is_watched)
      tracks_[kept++] = Track{.id = track.id,
                              .frequency = track.frequency,
                              .is_watched = true,
                              .tolerance = track.tolerance};
  tracks_.resize(kept);
  reach_ = 0.0;
}

void LatticeStage::begin_new(const Prepared& prepared, Measurements& out) {
  const auto& peaks = prepared.peaks.peaks;
  for (std::size_t p = 0; p < peaks.size(); ++p) {
    if (peak_used_[p]) continue;
    double distance = 0.0;
    (void)nearest_track(peaks[p], &distance);
    if (distance < kUnresolvedBins) continue;
    Track track;
    track.id = next_id_;
    track.frequency = {static_cast<double>(peaks[p].kx) / grid_.width,
                       static_cast<double>(peaks[p].ky) / grid_.height};
    if (tracks_.size() == kMaxSpots) return;
    if (!measure(track, track.frequency, prepared, true, out)) continue;
    Spot& spot = out.spots.back();
    const bool is_left =
        track.frequency.x < 0.0 || (track.frequency.x == 0.0 && track.frequency.y < 0.0);
    if (is_left) {  // one of a Friedel pair is listed: the one to the right
      track.frequency = {-track.frequency.x, -track.frequency.y};
      spot.g_per_nm = {-spot.g_per_nm.x, -spot.g_per_nm.y};
      spot.phase_rad = -spot.phase_rad;
    }
    ++next_id_;
    tracks_.push_back(track);
  }
}

void LatticeStage::join_harmonics(Measurements& out) const {
  // n q for a listed q: the higher order measures the same spacing n times as finely.
  for (Spot& base : out.spots) {
    double weight_sum = 0.0, d_sum = 0.0;
    const double radius = std::hypot(base.g_per_nm.x, base.g_per_nm.y);
    const double var = base.sigma_d_nm * base.sigma_d_nm;
    if (var <= 0.0 || base.harmonic_order != 1) continue;
    for (Spot& other : out.spots) {
      const double other_radius = std::hypot(other.g_per_nm.x, other.g_per_nm.y);
      const int n = static_cast<int>(std::lround(other_radius / radius));
      if (&other == &base || n < 2 || n > 6 || other.sigma_d_nm <= 0.0) continue;
      const double sign =
          other.g_per_nm.x * base.g_per_nm.x + other.g_per_nm.y * base.g_per_nm.y < 0 ? -1 : 1;
      const double off_x =
          (sign * other.g_per_nm.x - n * base.g_per_nm.x) * length_unit_ * grid_.width;
      const double off_y =
          (sign * other.g_per_nm.y - n * base.g_per_nm.y) * length_unit_ * grid_.height;
      if (std::hypot(off_x, off_y) > 0.5) continue;
      other.harmonic_order = static_cast<std::uint8_t>(n);
      const double sigma = other.sigma_d_nm * n;
      weight_sum += 1.0 / (sigma * sigma);
      d_sum += other.d_nm * n / (sigma * sigma);
    }
    if (weight_sum <= 0.0) continue;
    const double joined = (base.d_nm / var + d_sum) / (1.0 / var + weight_sum);
    base.d_nm = joined;
    base.sigma_d_nm = 1.0 / std::sqrt(1.0 / var + weight_sum);
  }
}

// What is no noise, as far out as there have been reflections: beyond that only noise would be
// added up, and how badly its level is known. Without any reflection: in the whole band.
double LatticeStage::structure_power(const Prepared& prepared) noexcept {
  for (const Track& track : tracks_)
    if (track.is_confirmed) {
      const double radius = std::hypot(track.frequency.x, track.frequency.y);
      reach_ =
          std::max(reach_, radius + kStructureMargin_bins / std::min(grid_.width, grid_.height));
    }
  std::size_t outermost = signal::ring_at(grid_, config_.min_fringes, {reach_, 0.0});
  outermost = std::min(outermost, signal::kRings - 1);  // no reflection yet, or the band's edge
  double power = 0.0, bins = 0.0;
  for (std::size_t ring = 0; ring <= outermost; ++ring) {
    power += prepared.peaks.ring_power[ring];
    bins += prepared.peaks.ring_bins[ring];
  }
  return power - bins * static_cast<double>(prepared.peaks.noise.white);
}

void LatticeStage::process(const Frame&, const Prepared& prepared, Measurements& out) noexcept {
  bragg_power_ = 0.0;
  if (prepared.quality != FrameQuality::good) return;
  follow(prepared, out);
  begin_new(prepared, out);
  join_harmonics(out);
  const double structure = structure_power(prepared);
  if (structure > 0.0) out.crystallinity = std::clamp(bragg_power_ / structure, 0.0, 1.0);
}

void LatticeStage::skip(const Frame&) noexcept {
  // A frame that never came is no evidence against a spot: its tracks wait.
}

}  // namespace latticed
