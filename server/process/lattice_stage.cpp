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
constexpr double kMergedBins = 0.5;      // and two tracks have met
constexpr std::uint32_t kWindow = 5;     // frames that decide about birth and death
constexpr int kSeenToConfirm = 3;
constexpr double kSmallestForcedSnr = 4.0;
// A forced measurement may wander into noise; it counts only near where the spot was.
constexpr double kForcedGateBins = 1.0;
// And never further than this from where detection saw the spot last, or its lattice expects it.
constexpr double kStrayBins = 1.5;
constexpr double kUsualWatchBins = 3.0;  // of a watched spot, when nobody says how far it may be
constexpr double kWidestWatchBins = 12.0;
// A reflection's power lies within 3 bins of it, and rings are known to 8.
constexpr double kStructureMargin_bins = 12.0;
// A peak further than this from a confirmed spot may be another's: its own place is tried first.
constexpr double kMayBeAnother = 1.2;  // bins
constexpr double kStreakAside = 1.0;   // bins: as near a streak pulls a spot
constexpr double kRivalReach = 9.0;    // bins within which another spot disturbs,
constexpr double kNearRivals = 6.0;    // and within which any that is shown does
// Of its power, what is fainter is no rival: a crystal that ends sharply has such lobes about its
// own spots (a straight edge: 0.047).
constexpr double kSideLobe = 0.06;
// Of its peak's snr: what a spot shows less under its lattice's outline is another crystal's.
constexpr double kSameCrystal = 0.6;
constexpr std::uint32_t kAskAgainFrames = 16;
// Of its snr under its own outline, which noise fits a little and a neighbour may add to: what a
// spot shows at least under its crystal's.
constexpr double kAsPlain = 0.9;
constexpr double kBorrowBelow = 0.7;  // of the strongest spot's snr: its outline is the better one
// A spot that is more than one crystal's may be that of lattices that expect one within this of it.
constexpr double kSharedBins = 3.0;
constexpr double kOwnerGateBins = 0.5;  // and each is then this near to where it is expected
constexpr double kSameField = 0.5;      // of the cosine of two outlines: crystals over each other
constexpr double kBendMemory = 1.0 / 16;
constexpr double kPlainBend = 10.0;  // of what noise makes of a frame's spread: exp(-10), by chance
constexpr double kCutOff = 0.7;      // of its mean extent: a crystal that leaves or is cut off
constexpr double kLostMemory = 0.8;  // a frame
constexpr double kPull = 0.2;        // of the width of its peak, the more of it is lost
constexpr double kFilmBend = 6.0;    // of film's mean, above it: one picture in a hundred
constexpr double kOverlapBins = 0.1;  // of spread
constexpr int kHighestOrder = 6;
constexpr double kRowTolerance = 0.5;  // bins
constexpr std::size_t kScratchSlot = signal::SpotRefiner::kSlots - 1;

// Standard deviation of a frequency's length.
double sigma_along(Vector2 f, const signal::Covariance2& c) noexcept {
  const double radius = std::hypot(f.x, f.y), x = f.x / radius, y = f.y / radius;
  return std::sqrt(std::max(0.0, x * x * c.xx + 2.0 * x * y * c.xy + y * y * c.yy));
}

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
      streaks_(grid_, config.min_fringes, signal::DetectConfig{}.false_alarms_per_frame),
      config_(config),
      length_unit_((config.pixel_size_nm > 0.0 ? config.pixel_size_nm : 1.0) * grid_.bin),
      lattices_(1.0 / grid_.width, 1.0 / grid_.height,
                config.min_fringes / std::min(grid_.width, grid_.height)),
      scan_(config.scan_line_time_s, config.frame_period_s) {
  const auto centre = [&](int size, int origin) {
    return ((size - 1) / 2.0 - origin - (grid_.bin - 1) / 2.0) / grid_.bin;
  };
  centre_cells_ = {centre(geometry.width, grid_.x0), centre(geometry.height, grid_.y0)};
  auto& places = config_.settings.superlattice;
  if (places.size() > kMaxSuperlattice) places.resize(kMaxSuperlattice);
  lattices_.set_fractions(places);
}

double LatticeStage::bins_apart(Vector2 a, Vector2 b) const noexcept {
  const auto apart = [&](double sign) {
    return std::hypot((a.x - sign * b.x) * grid_.width, (a.y - sign * b.y) * grid_.height);
  };
  return std::min(apart(1.0), apart(-1.0));  // a spot and its Friedel mate are one
}

double LatticeStage::ring_ratio(Vector2 f, const Prepared& prepared) const noexcept {
  // Structure that is no spot (film, amorphous rim) at this spacing, over the noise floor.
  const auto& noise = prepared.peaks.noise;
  const std::size_t ring = signal::ring_at(grid_, config_.min_fringes, f);
  if (ring >= signal::kRings || noise.white <= 0.0f) return 1.0;
  return std::max(1.0, static_cast<double>(noise.mean_power[ring] / noise.white));
}

// The streak of a straight edge that passes here.
signal::StreakGauge::Level LatticeStage::streak_at(Vector2 f,
                                                   const Prepared& prepared) const noexcept {
  const Vector2 bins{f.x * grid_.width, f.y * grid_.height};
  const auto& spots = prepared.peaks.peaks;
  const std::span<const signal::Peak> known{spots.begin(), spots.size()};
  const signal::StreakGauge::Frame frame{prepared.spectrum,
                                         prepared.peaks.noise,
                                         known,
                                         known,
                                         {lattice_peaks_.begin(), lattice_peaks_.size()}};
  return streaks_.near(frame, bins, kStreakAside);
}

// Noise and such a streak, over the noise floor.
double LatticeStage::streak_ratio(Vector2 f, const Prepared& prepared) const noexcept {
  const auto white = static_cast<double>(prepared.peaks.noise.white);
  return white > 0.0 ? 1.0 + streak_at(f, prepared).power / white : 1.0;
}

int LatticeStage::nearest_track(const signal::Peak& peak, double* distance_bins) const noexcept {
  const Vector2 at{static_cast<double>(peak.kx) / grid_.width,
                   static_cast<double>(peak.ky) / grid_.height};
  int best = -1;
  *distance_bins = 1e30;
  for (std::size_t t = 0; t < tracks_.size(); ++t) {
    const double apart = bins_apart(at, tracks_[t].frequency);
    if (apart >= *distance_bins) continue;
    *distance_bins = apart;
    best = static_cast<int>(t);
  }
  return best;
}

// Where a spot is expected: where its lattice says, when it was not seen in the last frame.
Vector2 LatticeStage::place_of(const Track& track) const noexcept {
  Vector2 truth;
  signal::Covariance2 ignored;
  if (track.lattice == 0 || (track.seen & 2u) != 0 ||
      !lattices_.predict(track.lattice, track.h, track.k, &truth, &ignored))
    return track.frequency;
  const Vector2 seen = scan_.seen_of(truth);
  return bins_apart(seen, track.frequency) < kGateBins ? seen : track.frequency;
}

double LatticeStage::amplitude_of(double coefficient, Vector2 f,
                                  const Measurements& out) const noexcept {
  const double mean_cell = out.mean_counts * grid_.bin * grid_.bin;
  const double bin_loss = sinc(f.x) * sinc(f.y);
  const double binning =
      grid_.bin > 1 ? bin_loss / (sinc(f.x / grid_.bin) * sinc(f.y / grid_.bin)) : 1.0;
  return mean_cell > 0.0 ? 2.0 * coefficient / (moments_.sum * mean_cell * binning) : 0.0;
}

// Of A^T f, from that of f as seen.
signal::Covariance2 LatticeStage::true_covariance(const signal::Covariance2& c) const noexcept {
  const ScanAffine a = scan_.affine();
  return {c.xx, a.xy * c.xx + a.yy * c.xy,
          a.xy * a.xy * c.xx + 2.0 * a.xy * a.yy * c.xy + a.yy * a.yy * c.yy};
}

// g, d and its random error from a true frequency.
void LatticeStage::set_spacing(Spot& spot, Vector2 f, const signal::Covariance2& c) const {
  const double radius = std::hypot(f.x, f.y);
  spot.g_per_nm = {f.x / length_unit_, f.y / length_unit_};
  spot.d_nm = length_unit_ / radius;
  spot.sigma_d_nm = spot.d_nm / radius * sigma_along(f, c);
}

void LatticeStage::add_spot(Track& track, const signal::RefinedSpot& fit, const Prepared& prepared,
                            Measurements& out) {
  Fit own;
  own.spot = fit;
  own.truth = scan_.true_of(fit.frequency);
  own.covariance = true_covariance({fit.var_xx, fit.var_xy, fit.var_yy});
  own.is_fitted = fit.snr > 0.0 && fit.var_xx > 0.0;
  own.track = static_cast<std::size_t>(&track - tracks_.begin());
  Spot spot;
  spot.id = track.id;
  spot.age_frames = track.age_frames;
  spot.is_confirmed = track.is_confirmed;
  spot.is_watched = track.is_watched;
  set_spacing(spot, own.truth, own.covariance);
  // Speckle that moves with the specimen shifts the spot like noise would, but always alike.
  const double film = ring_ratio(fit.frequency, prepared) - 1.0;
  spot.sigma_d_sys_nm = std::hypot(
      spot.sigma_d_nm * std::sqrt(film),
      spot.d_nm * std::hypot(config_.pixel_size_sigma_ratio, scan_.sigma_ratio(fit.frequency)));
  spot.snr = fit.snr;
  doubt_overlap(track, own, film, spot);
  spot.amplitude = amplitude_of(std::abs(fit.coefficient), fit.frequency, out);
  const auto white = static_cast<double>(prepared.peaks.noise.white);
  spot.sigma_amplitude = amplitude_of(std::sqrt(0.5 * white * fit.noise_ratio), fit.frequency, out);
  const Vector2 f = fit.frequency;
  const double phase =
      std::arg(fit.coefficient) + kTwoPi * (f.x * centre_cells_.x + f.y * centre_cells_.y);
  spot.phase_rad = std::remainder(phase, kTwoPi);
  out.spots.push_back(spot);
  fits_.push_back(own);
}

// A crystal has one spacing when its fringe's phase is straight. By how much it is not, more than
// noise and film bend it, is how far its parts differ, or how far a neighbour has run into the
// spot. One frame hardly sees it; the mean of the last frames does.
void LatticeStage::doubt_overlap(Track& track, const Fit& fit, double film, Spot& spot) {
  if (!fit.is_fitted) return;
  const double noise = (1.0 + film) * fit.spot.spread_of_noise;
  const double noise_across = (1.0 + film) * fit.spot.spread_across_of_noise;
  const double excess = fit.spot.spread - noise;
  // A track that was begun from another's has its age, not its means.
  const double memory =
      track.extent > 0.0
          ? std::max(kBendMemory, 1.0 / (1.0 + static_cast<double>(track.age_frames)))
          : 1.0;
  track.bend += memory * (excess - track.bend);
  track.bend_across += memory * (fit.spot.spread_across - noise_across - track.bend_across);
  // A crystal that is being cut off changes faster than that mean: what one frame shows plainly
  // counts.
  const bool is_plain = excess > kPlainBend * noise;
  double bend = std::max(track.bend, is_plain ? excess : 0.0);
  // Of one that fills much less than lately that mean says nothing: all the frame shows is doubt.
  track.extent += memory * (fit.spot.extent - track.extent);
  // Held for some frames: the outline of a last sliver may be drawn all over the field.
  track.lost_extent = std::max(1.0 - fit.spot.extent / std::max(track.extent, 1e-6),
                               kLostMemory * track.lost_extent);
  double pull_bins = 0.0;
  if (track.lost_extent > 1.0 - kCutOff) {
    bend = std::max(bend, fit.spot.spread);
    // Its last fringes are pulled by what their wide peak runs into: edges, and other reflections.
    const double left = std::min(fit.spot.extent, (1.0 - track.lost_extent) * track.extent);
    pull_bins = kPull * track.lost_extent / std::sqrt(std::max(left, 1e-3));
  }
  const double radius = std::hypot(fit.truth.x, fit.truth.y);
  const double pull = pull_bins / std::hypot(fit.truth.x * grid_.width, fit.truth.y * grid_.height);
  const double spread = std::hypot(std::sqrt(std::max(0.0, bend)) / radius, pull);
  spot.sigma_d_sys_nm = std::hypot(spot.sigma_d_sys_nm, spot.d_nm * spread);
  const double bin = std::hypot(fit.truth.x * grid_.width, fit.truth.y * grid_.height);
  // A faint spot's mean still has noise in it, three times which is no sign. Film bends every frame
  // alike: one picture in a hundred by seven times its mean.
  const double in_mean = 3.0 * std::sqrt(memory) * (1.0 + film) + kFilmBend * film;
  // Planes turned against each other have one d and two g: nothing for a lattice.
  const double most = std::max({track.bend - in_mean * fit.spot.spread_of_noise,
                                track.bend_across - in_mean * fit.spot.spread_across_of_noise,
                                is_plain ? excess : 0.0});
  track.is_overlapped = std::sqrt(std::max(0.0, most)) / radius * bin > kOverlapBins;
  spot.is_overlapped = track.is_overlapped;
}

// What is near enough to mix with the spot at `start`: other spots, and peaks that are none yet.
LatticeStage::Rivals LatticeStage::rivals_of(const Track& track, Vector2 start,
                                             const signal::PeakList& peaks) const noexcept {
  Rivals out;
  const auto add = [&](Vector2 at, double from, double to) {
    const double apart = bins_apart(at, start);
    if (apart >= to || apart < from) return;
    const double mate = std::hypot((at.x + start.x) * grid_.width, (at.y + start.y) * grid_.height);
    if (mate < kRivalReach) at = {-at.x, -at.y};
    for (const Vector2 known : out)
      if (bins_apart(known, at) < kMayBeAnother) return;
    (void)out.push_back(at);
  };
  const auto matters = [&](const Track& other) {
    return other.id != track.id && other.snr * other.snr >= kSideLobe * track.snr * track.snr;
  };
  const auto place_of_peak = [&](const signal::Peak& peak) {
    return Vector2{static_cast<double>(peak.kx) / grid_.width,
                   static_cast<double>(peak.ky) / grid_.height};
  };
  for (const Track& other : tracks_)
    if (matters(other) && (other.is_confirmed || (other.seen & 3u) != 0))
      add(other.frequency, kMayBeAnother, kNearRivals);
  double own_power = 0.0;
  for (const signal::Peak& peak : peaks.peaks)
    if (bins_apart(place_of_peak(peak), start) < kMayBeAnother)
      own_power = std::max(own_power, static_cast<double>(peak.power));
  for (const signal::Peak& peak : peaks.peaks)
    if (static_cast<double>(peak.power) >= kSideLobe * own_power)
      add(place_of_peak(peak), kMayBeAnother, kNearRivals);
  for (const Track& other : tracks_)
    if (matters(other) && other.is_confirmed &&
        (track.lattice == 0 || other.lattice != track.lattice))
      add(other.frequency, kNearRivals, kRivalReach);
  return out;
}

// The slot of the strongest spot of the same lattice, when it is measured already and plainer.
std::size_t LatticeStage::outline_for(const Track& track, std::uint32_t lattice,
                                      double snr) const noexcept {
  std::size_t best = signal::RefineOptions::kOwnOutline;
  if (lattice == 0) return best;
  double strongest = snr / kBorrowBelow;
  for (std::size_t i = 0; i < fits_.size(); ++i) {
    if (fits_[i].track >= tracks_.size()) continue;
    const Track& other = tracks_[fits_[i].track];
    if (other.lattice != lattice || other.is_overlapped || other.id == track.id ||
        fits_[i].spot.snr <= strongest)
      continue;
    strongest = fits_[i].spot.snr;
    best = i;
  }
  return best;
}

// With the outline of its lattice's strongest spot, unless it shows less there than its peak has:
// it then is another crystal's, whose spot happens to be at a place of this lattice. Beside a rival
// that test is not enough, since the rival's own crystal may show at the place: the plainer of both
// counts.
signal::RefinedSpot LatticeStage::refine(Track& track, Vector2 start, const Prepared& prepared,
                                         const signal::Peak* peak, std::size_t slot) {
  const auto white = static_cast<double>(prepared.peaks.noise.white);
  const Rivals rivals = rivals_of(track, start, prepared.peaks);
  signal::RefineOptions options{.slot = slot,
                                .rivals = {rivals.begin(), rivals.size()},
                                .noise_ratio = streak_ratio(start, prepared)};
  const bool is_asked_again = track.not_of != 0 && peak && track.age_frames % kAskAgainFrames == 0;
  const std::uint32_t lattice = is_asked_again ? track.not_of : track.lattice;
  if (rivals.empty()) {
    options.outline = outline_for(track, lattice, track.snr);
    const signal::RefinedSpot fit = refiner_.refine(prepared.spectrum, start, white, options);
    if (options.outline == signal::RefineOptions::kOwnOutline || !peak) return fit;
    const double of_peak = static_cast<double>(peak->snr) * std::sqrt(ring_ratio(start, prepared));
    if (fit.is_valid && fit.snr * std::sqrt(options.noise_ratio) >= kSameCrystal * of_peak) {
      if (is_asked_again) track.not_of = 0;
      return fit;
    }
    track.not_of = lattice;
  }
  options.outline = signal::RefineOptions::kOwnOutline;
  const signal::RefinedSpot own = refiner_.refine(prepared.spectrum, start, white, options);
  if (rivals.empty() || !own.is_valid) return own;
  options.outline = outline_for(track, track.lattice, own.snr);
  if (options.outline == signal::RefineOptions::kOwnOutline) return own;
  options.slot = kScratchSlot;
  const signal::RefinedSpot lent = refiner_.refine(prepared.spectrum, start, white, options);
  if (!lent.is_valid || lent.snr < kAsPlain * own.snr) return own;
  refiner_.swap(slot, kScratchSlot);
  return lent;
}

bool LatticeStage::measure(Track& track, Vector2 start, const Prepared& prepared,
                           const signal::Peak* peak, Measurements& out) {
  const signal::RefinedSpot fit = refine(track, start, prepared, peak, out.spots.size());
  if (!fit.is_valid || signal::ring_at(grid_, config_.min_fringes, fit.frequency) == signal::kRings)
    return false;
  if (!peak) {
    const double moved = bins_apart(fit.frequency, track.frequency);
    const double gate =
        track.is_watched
            ? std::max(kForcedGateBins, track.tolerance * std::max(grid_.width, grid_.height))
            : kForcedGateBins;
    // Over the film, too, whose speckle is otherwise followed where a crystal has been.
    const double snr = fit.snr / std::sqrt(ring_ratio(fit.frequency, prepared));
    const bool has_strayed = !track.is_watched &&
                             bins_apart(fit.frequency, track.last_detected) > kStrayBins &&
                             bins_apart(fit.frequency, place_of(track)) > kStrayBins;
    if (snr < kSmallestForcedSnr || moved > gate || has_strayed) return false;
  } else {
    track.last_detected = fit.frequency;
  }
  take(track, fit, prepared, out);
  return true;
}

// This frame shows the track's spot.
void LatticeStage::take(Track& track, const signal::RefinedSpot& fit, const Prepared& prepared,
                        Measurements& out) {
  track.frequency = fit.frequency;
  track.snr = fit.snr;
  track.seen |= 1u;
  if (std::popcount(track.seen & ((1u << kWindow) - 1)) >= kSeenToConfirm)
    track.is_confirmed = true;
  // Of parts of one peak its power is counted once.
  const bool is_counted =
      track.owner != 0 && std::any_of(fits_.begin(), fits_.end(), [&](const Fit& other) {
        return tracks_[other.track].owner != 0 &&
               bins_apart(other.spot.frequency, fit.frequency) < kSharedBins;
      });
  const double noise = 49.0 * quiet_level(prepared.peaks);
  if (!is_counted) bragg_power_ += std::max(0.0, fit.power - noise);
  add_spot(track, fit, prepared, out);
}

// A spot that shares its peak with another lattice's is looked for where its own lattice expects
// it, and only in its crystal, where the other one's fringes are not. False: it does not show
// there.
bool LatticeStage::measure_owned(Track& track, const Prepared& prepared, const signal::Peak* peak,
                                 Measurements& out) {
  Vector2 truth;
  signal::Covariance2 ignored;
  if (!lattices_.predict(track.owner, track.h, track.k, &truth, &ignored)) {
    track.owner = 0;
    return false;
  }
  const Vector2 place = scan_.seen_of(truth);
  // Its lattice has other vectors now.
  if (bins_apart(place, track.frequency) > kGateBins) {
    track.owner = 0;
    return false;
  }
  const std::size_t outline = outline_for(track, track.owner, 0.0);
  if (outline == signal::RefineOptions::kOwnOutline) return false;
  const signal::RefinedSpot fit =
      refiner_.refine(prepared.spectrum, place, static_cast<double>(prepared.peaks.noise.white),
                      {.slot = out.spots.size(),
                       .outline = outline,
                       .noise_ratio = streak_ratio(place, prepared),
                       .is_shared = true});
  if (!fit.is_valid || bins_apart(fit.frequency, place) > kOwnerGateBins ||
      signal::ring_at(grid_, config_.min_fringes, fit.frequency) == signal::kRings ||
      fit.snr / std::sqrt(ring_ratio(fit.frequency, prepared)) < kSmallestForcedSnr)
    return false;
  if (peak) track.last_detected = fit.frequency;
  take(track, fit, prepared, out);
  return true;
}

// Each track the nearest of the peaks that are nearest to it; the others may begin tracks.
void LatticeStage::give_peaks(const signal::PeakList& list) noexcept {
  const auto& peaks = list.peaks;
  peak_of_track_.fill(-1);
  std::array<double, kMaxSpots> apart;
  apart.fill(kGateBins);
  peak_used_.resize(peaks.size());
  for (std::size_t p = 0; p < peaks.size(); ++p) {
    peak_used_[p] = 0;
    double distance = 0.0;
    const int nearest = nearest_track(peaks[p], &distance);
    if (nearest < 0 || distance > apart[static_cast<std::size_t>(nearest)]) continue;
    const auto t = static_cast<std::size_t>(nearest);
    if (peak_of_track_[t] >= 0) peak_used_[static_cast<std::size_t>(peak_of_track_[t])] = 0;
    peak_used_[p] = 1;
    peak_of_track_[t] = static_cast<int>(p);
    apart[t] = distance;
  }
}

// The strongest of each lattice first: the others may take its outline.
void LatticeStage::find_order() noexcept {
  for (std::size_t t = 0; t < tracks_.size(); ++t) order_[t] = t;
  std::sort(order_.begin(), order_.begin() + static_cast<std::ptrdiff_t>(tracks_.size()),
            [&](std::size_t a, std::size_t b) {
              const auto rank = [&](const Track& t) {
                if (t.owner != 0) return -1.0;  // it needs another's outline
                return t.lattice == 0 || t.is_overlapped ? 0.0 : t.snr;
              };
              const double first = rank(tracks_[a]), second = rank(tracks_[b]);
              return first != second ? first > second : a < b;
            });
}

void LatticeStage::follow_one(Track& track, std::size_t index, const Prepared& prepared,
                              Measurements& out) {
  const Vector2 place = place_of(track);
  const int p = peak_of_track_[index];
  const signal::Peak* const shown =
      p >= 0 ? &prepared.peaks.peaks[static_cast<std::size_t>(p)] : nullptr;
  if (track.owner != 0 && (measure_owned(track, prepared, shown, out) || !track.is_watched)) return;
  Vector2 start = place;
  if (p >= 0) {
    const signal::Peak& peak = *shown;
    Vector2 at{static_cast<double>(peak.kx) / grid_.width,
               static_cast<double>(peak.ky) / grid_.height};
    if (at.x * place.x + at.y * place.y < 0.0) at = {-at.x, -at.y};
    const double apart = bins_apart(at, place);
    // What has outgrown this spot nearby is not this spot, as long as it is still there.
    if (apart > kMayBeAnother && track.is_confirmed &&
        measure(track, place, prepared, nullptr, out)) {
      peak_used_[static_cast<std::size_t>(p)] = 0;
      return;
    }
    if (apart > 0.75) start = at;
  }
  if (track.is_watched)
    measure_watched(track, start, prepared, shown, out);
  else if (p >= 0 || track.is_confirmed)
    (void)measure(track, start, prepared, shown, out);
}

void LatticeStage::follow(const Prepared& prepared, Measurements& out) {
  for (Track& track : tracks_) {
    ++track.age_frames;
    track.seen <<= 1;
  }
  give_peaks(prepared.peaks);
  lattice_peaks_.clear();
  for (std::size_t t = 0; t < tracks_.size(); ++t)
    if (tracks_[t].is_confirmed && tracks_[t].lattice != 0 && peak_of_track_[t] >= 0)
      lattice_peaks_.push_back(prepared.peaks.peaks[static_cast<std::size_t>(peak_of_track_[t])]);
  find_order();
  for (std::size_t i = 0; i < tracks_.size(); ++i)
    follow_one(tracks_[order_[i]], order_[i], prepared, out);
}

// A spot of each lattice that expects one where this spot is and has none yet.
LatticeStage::Parts LatticeStage::parts_of(const Track& shared) const noexcept {
  Parts parts;
  const Vector2 truth = scan_.true_of(shared.frequency);
  for (const signal::TrackedLattice& lattice : lattices_.lattices()) {
    if (!lattice.is_confirmed || !lattice.is_measured) continue;
    const Vector2 index = lattice.measured.index_of(truth);
    const int h = static_cast<int>(std::lround(index.x)),
              k = static_cast<int>(std::lround(index.y));
    const Vector2 at = lattice.measured.at(h, k);
    if ((h == 0 && k == 0) || bins_apart(at, truth) > kSharedBins) continue;
    const bool has_one = std::any_of(tracks_.begin(), tracks_.end(), [&](const Track& track) {
      return track.id != shared.id && (track.lattice == lattice.id || track.owner == lattice.id) &&
             ((track.h == h && track.k == k) || (track.h == -h && track.k == -k));
    });
    if (has_one) continue;
    Track part;
    part.frequency = part.last_detected = scan_.seen_of(at);
    part.seen = shared.seen;
    part.snr = shared.snr;
    part.owner = part.lattice = lattice.id;
    part.h = h;
    part.k = k;
    (void)parts.push_back(part);
  }
  return parts;
}

// No outline parts crystals that lie over each other.
bool LatticeStage::are_apart(const Parts& parts) const noexcept {
  for (const Track& a : parts)
    for (const Track& b : parts) {
      if (a.owner >= b.owner) continue;
      const std::size_t of_a = outline_for(a, a.owner, 0.0), of_b = outline_for(b, b.owner, 0.0);
      if (std::max(of_a, of_b) == signal::RefineOptions::kOwnOutline ||
          refiner_.alike(of_a, of_b) > kSameField)
        return false;
    }
  return true;
}

// A spot that is more than one crystal's, where several lattices expect one of theirs: a track for
// each. The spot's own identity goes to the lattice it is of; what was between two was neither's.
void LatticeStage::part_shared() noexcept {
  const std::size_t count = tracks_.size();
  for (std::size_t t = 0; t < count; ++t) {
    Track& shared = tracks_[t];
    if (!shared.is_confirmed || !shared.is_overlapped || shared.is_watched || shared.owner != 0)
      continue;
    Parts parts = parts_of(shared);
    if (parts.size() < 2 || tracks_.size() + parts.size() > kMaxSpots || !are_apart(parts))
      continue;
    for (Track& part : parts) {
      const bool goes_on = part.owner == shared.lattice;
      part.id = goes_on ? shared.id : next_id_++;
      if (goes_on) part.age_frames = shared.age_frames;
      (void)tracks_.push_back(part);
    }
    shared.seen = 0;  // it has gone
  }
}

// Tracks that have not been seen for a while, and the younger of two that have become one.
void LatticeStage::drop_gone() noexcept {
  std::size_t kept = 0;
  for (const Track& track : tracks_) {
    const bool is_alive = (track.seen & ((1u << kWindow) - 1)) != 0;
    bool is_merged = false;
    for (std::size_t t = 0; t < kept; ++t)
      is_merged = is_merged || (bins_apart(tracks_[t].frequency, track.frequency) < kMergedBins &&
                                (track.owner == 0 || tracks_[t].owner == 0));
    if (track.is_watched || (is_alive && !is_merged)) tracks_[kept++] = track;
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
                                   const signal::Peak* peak, Measurements& out) {
  const double white = static_cast<double>(prepared.peaks.noise.white);
  if (!peak) start = strongest_near(prepared.spectrum, track.frequency, track.tolerance);
  if (measure(track, start, prepared, peak, out)) return;
  if ((track.seen & ((1u << kWindow) - 1)) == 0) track.is_confirmed = false;
  const signal::RefineOptions options{.slot = out.spots.size(),
                                      .noise_ratio = streak_ratio(track.frequency, prepared)};
  add_spot(track, refiner_.demodulate(prepared.spectrum, track.frequency, white, options), prepared,
           out);
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
    track.last_detected = track.frequency;
    return true;
  }
  return false;
}

void LatticeStage::take_over(const LatticeStage& other) noexcept {
  const double scale = length_unit_ / other.length_unit_;
  next_id_ = other.next_id_;
  lattices_.take_over(other.lattices_);
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
  lattices_.restart();
  scan_.restart();
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
    if (!tracks_.push_back(track)) return;
    Track& added = tracks_.back();
    const double bragg_before = bragg_power_;
    bool is_measured = measure(added, added.frequency, prepared, &peaks[p], out);
    const Vector2 f = added.frequency;
    if (is_measured && (f.x < 0.0 || (f.x == 0.0 && f.y < 0.0))) {
      // One of a Friedel pair is listed, the one to the right; the peak was on the axis.
      out.spots.resize(out.spots.size() - 1);
      fits_.resize(fits_.size() - 1);
      bragg_power_ = bragg_before;
      is_measured = measure(added, {-f.x, -f.y}, prepared, &peaks[p], out);
    }
    if (is_measured)
      ++next_id_;
    else
      tracks_.resize(tracks_.size() - 1);
  }
}

// The orders n q of a row are maximised together over q; each order's d is then that of q over n.
void LatticeStage::find_rows(const Prepared& prepared, Measurements& out) {
  const auto white = static_cast<double>(prepared.peaks.noise.white);
  for (std::size_t b = 0; b < out.spots.size(); ++b) {
    Spot& base = out.spots[b];
    const Vector2 q = fits_[b].truth;
    const double radius = std::hypot(q.x, q.y);
    if (base.harmonic_order != 1 || base.sigma_d_nm <= 0.0) continue;
    FixedVector<signal::RowMember, kHighestOrder> members;
    // What is more than one crystal's has no part in the row's q, nor what shows no maximum.
    const auto has_part = [&](std::size_t i) {
      return !out.spots[i].is_overlapped && fits_[i].is_fitted;
    };
    if (has_part(b)) (void)members.push_back({b, 1});
    for (std::size_t o = 0; o < out.spots.size(); ++o) {
      Spot& other = out.spots[o];
      const Vector2 f = fits_[o].truth;
      const int n = static_cast<int>(std::lround(std::hypot(f.x, f.y) / radius));
      if (o == b || n < 2 || n > kHighestOrder || other.harmonic_order != 1 ||
          other.sigma_d_nm <= 0.0)
        continue;
      if (bins_apart(f, {n * q.x, n * q.y}) > kRowTolerance) continue;
      const int sign = f.x * q.x + f.y * q.y < 0.0 ? -1 : 1;
      if (has_part(o)) (void)members.push_back({o, sign * n});
      other.harmonic_order = static_cast<std::uint8_t>(n);
      other.harmonic_of = base.id;
      other.harmonic_ratio = other.amplitude / base.amplitude;
      other.sigma_harmonic_ratio =
          other.harmonic_ratio * std::hypot(other.sigma_amplitude / other.amplitude,
                                            base.sigma_amplitude / base.amplitude);
    }
    if (members.size() < 2) continue;
    join_row({members.begin(), members.size()}, white, out);
  }
}

void LatticeStage::join_row(std::span<const signal::RowMember> members, double white,
                            Measurements& out) {
  const Vector2 first = fits_[members[0].slot].spot.frequency;
  const double order = members[0].order;
  const signal::RowFit row = refiner_.join(members, {first.x / order, first.y / order}, white);
  if (!row.is_valid) return;
  // Their systematic errors, each with the weight it has in the row.
  double weights = 0.0, sys = 0.0;
  for (const signal::RowMember& member : members) {
    const Spot& spot = out.spots[member.slot];
    const double weight = spot.d_nm * spot.d_nm / (spot.sigma_d_nm * spot.sigma_d_nm);
    weights += weight;
    sys += weight * spot.sigma_d_sys_nm * spot.sigma_d_sys_nm / (spot.d_nm * spot.d_nm);
  }
  sys = std::sqrt(sys / weights);
  const Vector2 q = scan_.true_of(row.frequency);
  const signal::Covariance2 c = true_covariance(row.covariance);
  for (const signal::RowMember& member : members) {
    const int n = member.order;
    Spot& spot = out.spots[member.slot];
    spot.sigma_d_sys_nm = spot.d_nm * sys;
    set_spacing(out.spots[member.slot], {n * q.x, n * q.y},
                {n * n * c.xx, n * n * c.xy, n * n * c.yy});
  }
}

void LatticeStage::find_lattices(Measurements& out) {
  for (std::size_t i = 0; i < out.spots.size(); ++i) {
    const Spot& spot = out.spots[i];
    samples_[i] = {.id = spot.id,
                   .frequency = fits_[i].truth,
                   .covariance = fits_[i].covariance,
                   .amplitude = spot.amplitude,
                   .snr = spot.snr,
                   // A watched spot that shows nothing has no place of its own.
                   .is_doubtful = spot.is_overlapped || !fits_[i].is_fitted,
                   .not_of = tracks_[fits_[i].track].not_of,
                   .only_of = tracks_[fits_[i].track].owner};
  }
  lattices_.measure({samples_.data(), out.spots.size()});
  for (std::size_t i = 0; i < out.spots.size(); ++i) {
    const signal::LatticeSample& sample = samples_[i];
    Track& track = tracks_[fits_[i].track];
    track.lattice = sample.lattice;
    if (sample.lattice == 0) continue;
    track.h = sample.h;
    track.k = sample.k;
    Spot& spot = out.spots[i];
    spot.lattice = sample.lattice;
    spot.h = static_cast<std::int8_t>(sample.h);
    spot.k = static_cast<std::int8_t>(sample.k);
  }
  for (const signal::TrackedLattice& lattice : lattices_.lattices())
    if (lattice.is_measured) report(lattice, out);
}

void LatticeStage::report(const signal::TrackedLattice& lattice, Measurements& out) const {
  const signal::ReducedCell& cell = lattice.cell;
  Lattice to;
  to.id = lattice.id;
  to.is_main = lattice.id == lattices_.lattices()[0].id;
  to.a_nm = cell.a * length_unit_;
  to.b_nm = cell.b * length_unit_;
  to.gamma_deg = cell.gamma_deg;
  to.sigma_a_nm = cell.sigma_a * length_unit_;
  to.sigma_b_nm = cell.sigma_b * length_unit_;
  to.sigma_gamma_deg = cell.sigma_gamma_deg;
  to.g1_per_nm = {lattice.measured.g1.x / length_unit_, lattice.measured.g1.y / length_unit_};
  to.g2_per_nm = {lattice.measured.g2.x / length_unit_, lattice.measured.g2.y / length_unit_};
  to.spots = lattice.spots;
  to.age_frames = lattice.age_frames;
  to.is_confirmed = lattice.is_confirmed;
  // Its spots' systematic errors, each with the weight it has in the fit.
  double weights = 0.0, sys = 0.0;
  for (Spot& spot : out.spots) {
    if (spot.lattice != lattice.id) continue;
    const Vector2 f = lattice.measured.at(spot.h, spot.k);
    const double radius = std::hypot(f.x, f.y);
    spot.d_lattice_nm = length_unit_ / radius;
    spot.sigma_d_lattice_nm =
        spot.d_lattice_nm / radius * sigma_along(f, lattice.measured.covariance_at(spot.h, spot.k));
    if (spot.sigma_d_nm <= 0.0 || spot.is_overlapped) continue;
    const double weight = spot.d_nm * spot.d_nm / (spot.sigma_d_nm * spot.sigma_d_nm);
    const double relative = spot.sigma_d_sys_nm / spot.d_nm;
    weights += weight;
    sys += weight * relative * relative;
  }
  const double relative = weights > 0.0 ? std::sqrt(sys / weights) : 0.0;
  to.sigma_a_sys_nm = to.a_nm * relative;
  to.sigma_b_sys_nm = to.b_nm * relative;
  (void)out.lattices.push_back(to);
}

void LatticeStage::filter_spots(Measurements& out) {
  for (std::size_t i = 0; i < out.spots.size(); ++i) {
    Spot& spot = out.spots[i];
    Track& track = tracks_[fits_[i].track];
    Vector2 f;
    signal::Covariance2 c;
    track.filter.advance();
    if (fits_[i].is_fitted) {
      const signal::Covariance2& own = fits_[i].covariance;
      track.filter.update({fits_[i].truth.x, fits_[i].truth.y},
                          {{{own.xx, own.xy}, {own.xy, own.yy}}});
    }
    if (!lattices_.predict(spot.lattice, spot.h, spot.k, &f, &c)) {
      if (!track.filter.has_state()) continue;
      f = {track.filter.value()[0], track.filter.value()[1]};
      const auto& p = track.filter.covariance();
      c = {p[0][0], p[0][1], p[1][1]};
    }
    const double radius = std::hypot(f.x, f.y);
    spot.d_track_nm = length_unit_ / radius;
    spot.sigma_d_track_nm = spot.d_track_nm / radius * sigma_along(f, c);
  }
}

// At the places of a superlattice, which are known from the basis: without a search one may ask for
// little, and false_alarm says how little it is.
void LatticeStage::look_at_superlattice(const Prepared& prepared, Measurements& out) {
  for (const signal::TrackedLattice& lattice : lattices_.lattices()) {
    if (!lattice.is_measured) continue;
    std::size_t outline = signal::RefineOptions::kOwnOutline;
    double strongest = 0.0;
    for (std::size_t i = 0; i < out.spots.size(); ++i)
      if (out.spots[i].lattice == lattice.id && out.spots[i].snr > strongest) {
        strongest = out.spots[i].snr;
        outline = i;
      }
    for (const Vector2 index : config_.settings.superlattice) {
      const Vector2 f = lattice.measured.at(index.x, index.y);
      const Vector2 seen = scan_.seen_of(f);
      const std::size_t ring = signal::ring_at(grid_, config_.min_fringes, seen);
      if (ring == signal::kRings) continue;
      const auto noise = static_cast<double>(
          std::max(prepared.peaks.noise.mean_power[ring], prepared.peaks.noise.white));
      const signal::StreakGauge::Level streak = streak_at(seen, prepared);
      const double all = noise + streak.power;
      const signal::RefinedSpot there = refiner_.demodulate(
          prepared.spectrum, seen, all, {.slot = kScratchSlot, .outline = outline});
      SuperlatticeSpot to;
      to.lattice = lattice.id;
      to.index = index;
      to.g_per_nm = {f.x / length_unit_, f.y / length_unit_};
      to.amplitude = amplitude_of(std::abs(there.coefficient), seen, out);
      to.snr = there.snr;
      to.sigma_amplitude = to.snr > 0.0 ? to.amplitude / (to.snr * std::numbers::sqrt2) : 0.0;
      to.false_alarm = signal::StreakGauge::false_alarm(to.snr * to.snr * all, noise, streak);
      if (!out.superlattice.push_back(to)) return;
    }
    return;  // of the main lattice
  }
}

// Noise a bin from all bins of the outermost rings. RingNoise::white is from the medians of
// samples, which spots do not move but whose error, times all bins of the band, was most of what
// moved crystallinity; the middle of six means bears spots in two rings.
double LatticeStage::quiet_level(const signal::PeakList& peaks) noexcept {
  std::array<double, 6> mean{};
  for (std::size_t i = 0; i < mean.size(); ++i) {
    const std::size_t ring = signal::kRings - 1 - i;
    mean[i] = peaks.ring_bins[ring] > 0 ? peaks.ring_power[ring] / peaks.ring_bins[ring] : 0.0;
  }
  std::sort(mean.begin(), mean.end());
  return 0.5 * (mean[2] + mean[3]);
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
  return power - bins * quiet_level(prepared.peaks);
}

void LatticeStage::process(const Frame&, const Prepared& prepared, Measurements& out) noexcept {
  scan_.advance(out.drift);
  measure_all(prepared, out);
}

void LatticeStage::process_sum(const Prepared& sum, const signal::MeanVelocity& velocity,
                               Measurements& out) noexcept {
  scan_.set_velocity(velocity);
  measure_all(sum, out);
}

void LatticeStage::measure_all(const Prepared& prepared, Measurements& out) noexcept {
  bragg_power_ = 0.0;
  fits_.clear();
  if (scan_.is_scanned()) out.scan_affine = scan_.affine();
  if (prepared.quality != FrameQuality::good) return;
  follow(prepared, out);
  begin_new(prepared, out);
  find_rows(prepared, out);
  find_lattices(out);
  filter_spots(out);
  look_at_superlattice(prepared, out);
  part_shared();
  drop_gone();
  const double structure = structure_power(prepared);
  if (structure > 0.0) out.crystallinity = std::clamp(bragg_power_ / structure, 0.0, 1.0);
  std::sort(out.spots.begin(), out.spots.end(),
            [](const Spot& a, const Spot& b) { return a.id < b.id; });
}

void LatticeStage::skip(const Frame& lost) noexcept {
  // A frame that never came is no evidence against a spot: its tracks wait.
  scan_.skip(static_cast<std::size_t>(std::min<std::uint64_t>(lost.header.lost_count, 64)));
}

}  // namespace latticed
