// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/signal/drift_tracker.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>

#include "server/signal/reflection_mean.hpp"

namespace latticed::signal {

namespace {

constexpr int kSettled = 8;                 // frames learnt
constexpr int kMemoryAfterJump = 8;         // frames
constexpr double kLongestLag = 0.3;         // of the field: the template's mean behind the frame
constexpr int kShortestMemory = 4;          // frames
constexpr double kNearlyAll = 0.99;         // of the field is shared: no template is old
constexpr double kFar = 0.35;               // of the field
constexpr double kLeastLanding = 0.15;      // of the field is shared
constexpr double kBehind = 0.95;            // of the field is the template's: less, and it is old
constexpr double kClearlyLess = 0.5;        // of the variance of the field's place
constexpr double kKeptError = 0.8;          // of the sigma of a jump: stays in the template
constexpr double kPlainAperiodicJ = 100.0;  // ten standard deviations of its own noise
constexpr double kToldJ = 50.0;             // half of it found is 3.5 of them
constexpr double kWingsShare = 0.01;        // of the reflections' J: less may be their own wings
constexpr int kMostCells = 6;               // from the place that was found to the top
constexpr double kNextDoor_nats = 5.0;      // under noise in less than a frame of a thousand
constexpr double kMostAperiodic = 1.3;      // of the J it promises, and five of its deviations
// Noise over that of the frame before: more, and the beam was turned up.
constexpr double kSameBeam = 1.8;
constexpr double kSmallestMatch = 0.35;  // of what the template promises
constexpr double kPlausibleFit = 0.6;    // of the best fit of the lattice at any place
constexpr double kPlainMatch = 0.9;      // below: other maxima are looked at
constexpr double kWholeLattice = 0.9;    // reflections of a frame that no scan has distorted
constexpr double kSignificant = 6.0;     // J over its own noise
constexpr double kWeakSignificance = 12.0;
constexpr double kStrangeStep = 6.0;          // of the usual step
constexpr double kSmallestStep_cells = 0.25;  // steps below are never unusual
constexpr double kSmallestShare = 0.25;       // of the field, to compare two frames by
constexpr double kVeto_nats = 20.0;           // below the worst of the places that are possible
constexpr int kPatience = 48;    // lost or doubtful frames before a new template is begun
constexpr int kWeighEvery = 8;   // frames: weights follow the template's slow change
constexpr int kAnchorEvery = 4;  // frames: the template wanders slowly

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

std::size_t max_blocks(const DriftConfig& config) {
  return static_cast<std::size_t>(config.max_match_bins / kBlock);
}

}  // namespace

DriftTracker::DriftTracker(const FrameFft& fft, const DriftConfig& config)
    : grid_(fft.grid()),
      config_(config),
      window_(fft.taper_x(), fft.taper_y()),
      taper_excess_(taper_excess(fft.taper_x()) * taper_excess(fft.taper_y())),
      template_(grid_, config.template_memory_frames),
      bins_(grid_, max_blocks(config)),
      list_(grid_, max_blocks(config)),
      anchor_(fft, max_blocks(config)),
      film_(fft, max_blocks(config), taper_excess_),
      filling_lattice_(grid_, fft.taper_x(), fft.taper_y()),
      landing_(fft, max_blocks(config)),
      ramps_(grid_),
      grid_search_(grid_),
      field_search_(grid_) {
  reset();
}

void DriftTracker::reset() {
  template_.reset();
  frames_since_renewal_ = frames_lost_ = frames_ambiguous_ = 0;
  has_jumped_ = false;
  anchor_.forget();
  film_.reset();
  landing_.forget();
  filling_ = {};
  usual_.reset();
  bins_.reset();
  doubt_.close();
  place_.begin({}, {});
  shift_ = sure_shift_ = velocity_ = last_sigma_ = {};
  innovation_ = 0.0;
}

void DriftTracker::restart(const DriftPlace& place) {
  reset();
  place_.begin(place.drift, place.sigma);
  last_sigma_ = place.sigma;
  velocity_ = place.velocity;
  innovation_ = place.innovation;
}

DriftPlace DriftTracker::place() const noexcept {
  return {place_.drift_of(shift_, film_.leak()), last_sigma_, velocity_, innovation_};
}

DriftPlace DriftTracker::expected_place() const noexcept {
  DriftPlace out = place();
  if (template_.frames() == 0) return out;  // before the first frame there is no way to have gone
  const DriftMeasurement next = doubtful({shift_.x + velocity_.x, shift_.y + velocity_.y});
  out.drift = next.drift_px;
  out.sigma = next.sigma_drift_px;
  return out;
}

bool DriftTracker::set_reference() {
  if (template_.frames() == 0) return false;
  make_anchor();
  landing_.forget();
  return true;
}

MatchResult DriftTracker::match_near(std::uint32_t labels, Vector2 start) {
  return maximise(list_, labels, start, 0.25 * half_cell(), window_, template_.shift(), ramps_);
}

double DriftTracker::half_cell() const noexcept {
  return bins_.shortest_period_cells() > 0.0 ? 0.5 * bins_.shortest_period_cells() : 8.0;
}

void DriftTracker::renew_list(const RingNoise& noise, std::span<const Peak> peaks) {
  if (template_.frames() > 1) template_.write_back(list_);
  template_.admit_others();
  const bool is_young = template_.frames() < kSettled;
  bins_.choose(template_.mean(), {template_.noise().others, white_, &noise}, is_young, peaks);
  if (!std::any_of(filling_.begin(), filling_.end(), [](const auto& f) { return f.is_filling; }))
    template_.join_filling();
  filling_ = filling_lattice_.find({template_.mean(), template_.noise().filling, template_.shift()},
                                   bins_.reflections());
  bins_.part_from_lattice(filling_, filling_lattice_.peak(), template_.mean(),
                          template_.noise().others, is_young);
  list_.choose(bins_.blocks(), bins_.label_begin(), template_.mean(), filling_, template_.shift());
  film_.watch(bins_.reflections());
  frames_since_renewal_ = 0;
  usual_.forget_labels();
}

void DriftTracker::begin(const Spectrum& frame, const RingNoise& noise,
                         std::span<const Peak> peaks) {
  frames_of_beam_ = 2 * config_.template_memory_frames;
  usual_white_ = last_white_ = static_cast<double>(noise.white);
  template_.begin(frame, usual_white_);
  renew_list(noise, peaks);
}

FitNoise DriftTracker::fit_noise() const noexcept { return {template_.noise(), white_}; }

double DriftTracker::expected_aperiodic_j() const { return expected_of(list_, kAperiodicLabels).j; }

DriftTracker::Verdict DriftTracker::judge(const MatchResult& match) const {
  const Expectation expected = expected_of(list_, usual_.labels());
  Verdict verdict;
  verdict.match = match.sums.j / std::max(expected.j, 1e-30);
  verdict.significance = match.sums.j / std::sqrt(std::max(expected.j, 1e-30));
  verdict.is_accepted =
      match.is_peak && verdict.match > kSmallestMatch && verdict.significance > kSignificant;
  return verdict;
}

// A step of a cell, or one unlike all before: it may be another cell's remainder, or that of a cell
// that shows in the template but not yet among a frame's reflections.
bool DriftTracker::is_leap(double step) const noexcept {
  return bins_.shortest_period_cells() > 0.0 &&
         (step > 0.9 * half_cell() ||
          step > std::max(kStrangeStep * usual_step(), 0.3 * half_cell()));
}

// What makes other places worth a look.
bool DriftTracker::is_strange(const MatchResult& match) {
  const Vector2 pull = aperiodic_pull(match);
  return is_foreign(match) || usual_.is_strange(list_, match, fit_noise(), pull) ||
         is_better_next_door(match, pull);
}

// A step of nearly one cell looks like a small one, and at low dose neither the fit of film and
// edge nor their slope denies it. Shapes as wide as the field are few bins: they are asked of the
// cells around at once, where the slope says that it is worth it.
bool DriftTracker::is_better_next_door(const MatchResult& match, Vector2 pull) {
  if (!usual_.is_unusual(pull) || list_.expected(kShapes).j < kNextDoor_nats) return false;
  const auto nats = [&](Vector2 shift) {
    ramps_.set(shift);
    return presence_nats(list_.sum(kShapes, ramps_).j,
                         shared_part(shift) * list_.expected(kShapes).j);
  };
  const Vector2 at = match.shift_cells;
  const double here = nats(at);
  const FixedVector<Vector2, 8> ways = cells_around();
  return std::any_of(ways.begin(), ways.end(), [&](Vector2 way) {
    return nats({at.x + way.x, at.y + way.y}) > here + kNextDoor_nats;
  });
}

// The slope of the likelihood of film and edge, in its standard deviations.
Vector2 DriftTracker::aperiodic_pull(const MatchResult& match) const {
  const Vector2 window = window_.log_slope(
      {match.shift_cells.x - template_.shift().x, match.shift_cells.y - template_.shift().y});
  double gx = 0.0, gy = 0.0, vx = 0.0, vy = 0.0;
  for (const std::size_t l : {std::size_t{0}, kShapes}) {
    const double variance = 1.0 + template_.noise().others / list_.label_noise(l);
    // What the window makes of a field that has moved is no pull.
    gx += match.labels[l].gx - match.labels[l].j * window.x;
    gy += match.labels[l].gy - match.labels[l].j * window.y;
    vx += variance * list_.expected(l).gxx, vy += variance * list_.expected(l).gyy;
  }
  return {gx / std::sqrt(std::max(vx, 1e-30)), gy / std::sqrt(std::max(vy, 1e-30))};
}

// Places where the field may be instead: those that the whole field's likelihood names, from
// everything and from what is aperiodic alone (a lattice that fills the field has a top in every
// cell, hundreds of them), and the cells around the best.
void DriftTracker::open_doubt(const Spectrum& frame, Vector2 predicted, const MatchResult& near) {
  std::array<FieldPlace, 2 * kPlacesEach> found;
  template_.write_back(list_);
  const double noise = std::max(template_.noise().others, template_.full_noise());
  std::size_t count = 0;
  const double apart = std::max(2.0, 0.5 * half_cell());
  for (const bool is_aperiodic : {true, false}) {
    if (is_aperiodic && !has_aperiodic(kPlainAperiodicJ)) continue;
    count += field_search_.find(
        {frame, template_.mean(), noise, white_, bins_, is_aperiodic, template_.shift()}, apart,
        std::span{found}.subspan(count, kPlacesEach));
  }
  const Vector2 from = near.shift_cells;
  const double usual = usual_step();
  const auto add = [&](Vector2 place) {
    if (shared_part(place) < kSmallestShare) return;
    const double step = std::hypot(place.x - predicted.x, place.y - predicted.y);
    (void)doubt_.add({place.x - from.x, place.y - from.y}, step_nats(step, usual), 1.0);
  };
  doubt_.open();
  doubt_misfit_.fill(1.0);
  if (near.is_peak) add(from);
  const MatchResult here = match_near(usual_.labels(), predicted);
  if (here.is_peak) add(here.shift_cells);
  Vector2 best = from;
  double best_nats = near.is_peak ? place_nats(near) : std::numeric_limits<double>::lowest();
  for (const FieldPlace& place : std::span{found}.first(count)) {
    const MatchResult match = match_near(usual_.labels(), place.shift_cells);
    if (!match.is_peak) continue;
    add(match.shift_cells);
    const double nats = place_nats(match);
    if (nats > best_nats) best = match.shift_cells, best_nats = nats;
  }
  // From cell to cell uphill: the whole field's likelihood may have named one further down.
  const FixedVector<Vector2, 8> ways = cells_around();
  for (int step = 0, is_up = 1; is_up != 0 && step < kMostCells; ++step) {
    is_up = 0;
    const Vector2 at = best;
    for (const Vector2 way : ways) {
      const MatchResult match = match_near(usual_.labels(), {at.x + way.x, at.y + way.y});
      const double nats = match.is_peak ? place_nats(match) : best_nats;
      if (nats <= best_nats || shared_part(match.shift_cells) < kSmallestShare) continue;
      best = match.shift_cells, best_nats = nats, is_up = 1;
    }
  }
  add(best);
  for (const Vector2 way : ways) add({best.x + way.x, best.y + way.y});
  add(from);  // no peak is another place only where none is near
}

// The ways to the cells around; two of a single row of planes.
// The ways to the cells around; the second half are the first half's opposites.
FixedVector<Vector2, 8> DriftTracker::cells_around() const {
  FixedVector<Vector2, 8> out;
  const std::span<const Vector2> cell = bins_.translations_cells();
  if (cell.empty()) return out;
  const Vector2 a = cell.front(), b = cell.back();
  for (const int i : {1, -1}) {
    (void)out.push_back({i * a.x, i * a.y});
    if (cell.size() < 2) continue;
    (void)out.push_back({i * b.x, i * b.y});
    for (const int j : {1, -1}) (void)out.push_back({i * (a.x + j * b.x), i * (a.y + j * b.y)});
  }
  return out;
}

// The evidence of one frame for this place. Film and edge alone give it: the lattice fits as well
// in every cell, but for what the window and the misfit of a few strong reflections make of it, and
// that is more than all that film and edge say. Where they are nothing, nothing is told.
double DriftTracker::place_nats(const MatchResult& match) const {
  if (!has_aperiodic(kPlainAperiodicJ)) return 0.0;
  const double share = shared_part(match.shift_cells);
  double nats = 0.0;
  for (const std::size_t l : {std::size_t{0}, kShapes}) {
    const double misfit = std::max(1.0, doubt_misfit_[l] * white_ / list_.label_noise(l));
    nats += presence_nats(match.labels[l].j / misfit, share * list_.expected(l).j / misfit);
  }
  return nats;
}

// How much of the field the template and a frame at this shift both show.
double DriftTracker::shared_part(Vector2 shift) const noexcept {
  return window_.share({shift.x - template_.shift().x, shift.y - template_.shift().y});
}

// Steps before this one, as a distance between measured and predicted. Before there were any, a
// step of half a cell is nothing unusual.
double DriftTracker::usual_step() const noexcept {
  return std::max(
      {innovation_, kSmallestStep_cells, template_.frames() < kSettled ? half_cell() : 0.0});
}

// This frame's evidence for each of the places in doubt. `match`: at the one the tracker goes on
// from; becomes the leader's. True: still undecided.
bool DriftTracker::weigh_places(MatchResult& match) {
  std::array<MatchResult, CellDoubt::kMostPlaces> matches;
  std::array<double, CellDoubt::kMostPlaces> nats;
  std::array<Vector2, CellDoubt::kMostPlaces> offsets;
  const std::span<const CellDoubt::Place> places = doubt_.places();
  const double lattice_j = expected_of(list_, usual_.labels()).j - expected_aperiodic_j();
  const auto fit = [&](const MatchResult& m) {
    // What fills the field is in all of it, wherever that is.
    const double filling = j_of(m, usual_.labels() & filling_labels(list_));
    return filling + (m.sums.j - filling - j_of(m, kAperiodicLabels)) /
                         std::max(shared_part(m.shift_cells), kSmallestShare);
  };
  double best_fit = 0.0;
  const Vector2 from = match.shift_cells;
  for (std::size_t i = 0; i < places.size(); ++i) {
    const Vector2 offset = places[i].offset_cells;
    matches[i] = offset.x == 0.0 && offset.y == 0.0
                     ? match
                     : match_near(usual_.labels(), {from.x + offset.x, from.y + offset.y});
    if (matches[i].is_peak) best_fit = std::max(best_fit, fit(matches[i]));
  }
  best_fit = std::min(best_fit, lattice_j);  // little shared is badly known
  // How badly film and edge fit at the place where they fit best tempers what they say.
  doubt_misfit_.fill(1.0);
  std::size_t best = places.size();
  double best_nats = std::numeric_limits<double>::lowest(), worst_nats = 0.0;
  std::array<bool, CellDoubt::kMostPlaces> is_possible{};
  for (const bool is_tempered : {false, true}) {
    worst_nats = std::numeric_limits<double>::max();
    for (std::size_t i = 0; i < places.size(); ++i) {
      const MatchResult& m = matches[i];
      const Vector2 offset = places[i].offset_cells;
      const Vector2 found{m.shift_cells.x - from.x, m.shift_cells.y - from.y};
      is_possible[i] = m.is_peak && !is_foreign(m) &&
                       shared_part(m.shift_cells) >= kSmallestShare &&
                       fit(m) >= kPlausibleFit * best_fit &&
                       std::hypot(found.x - offset.x, found.y - offset.y) < half_cell();
      offsets[i] = is_possible[i] ? found : offset;
      if (!is_possible[i]) continue;
      nats[i] = place_nats(m);
      worst_nats = std::min(worst_nats, nats[i]);
      if (!is_tempered && nats[i] > best_nats) best = i, best_nats = nats[i];
    }
    if (best == places.size()) return true;  // none of them shows in this frame: no evidence
    if (!is_tempered)
      for (const std::size_t l : {std::size_t{0}, kShapes})
        doubt_misfit_[l] = misfit_of(list_, matches[best], l, fit_noise());
  }
  for (std::size_t i = 0; i < places.size(); ++i)
    if (!is_possible[i]) nats[i] = worst_nats - kVeto_nats;
  const Expectation& texture = list_.expected(0);
  const Expectation& shapes = list_.expected(kShapes);
  const double misfit = (doubt_misfit_[0] * texture.j + doubt_misfit_[kShapes] * shapes.j) /
                        std::max(texture.j + shapes.j, 1e-30);
  // Where nothing of film and edge is left while the reflections fit, it is another field. Where
  // they fit nowhere, the frame is a distorted one (STEM) and nothing in it moved as a whole.
  const bool may_be_elsewhere =
      has_aperiodic(kPlainAperiodicJ) &&
      std::any_of(matches.begin(), matches.begin() + static_cast<std::ptrdiff_t>(places.size()),
                  [&](const MatchResult& m) {
                    return m.is_peak && (reflections_match(list_, m) > kWholeLattice ||
                                         typical_misfit(list_, m, fit_noise()) < kDistorted);
                  });
  doubt_.weigh({nats.data(), places.size()}, {offsets.data(), places.size()}, misfit,
               may_be_elsewhere);
  const std::size_t leader = doubt_.leader();
  if (!is_possible[leader]) return true;  // known from other frames, not to be seen in this one
  match = matches[leader];
  const bool is_decided = doubt_.lead_nats() > CellDoubt::kSure_nats;
  doubt_.go_on_from_leader();
  if (is_decided) doubt_.close();
  return !is_decided;
}

// Where no lattice carries the match: more of film and edge than there can be. Something else has
// come into the field, brighter than they are, and fits.
bool DriftTracker::is_foreign(const MatchResult& match) const {
  const double expected = expected_aperiodic_j();
  if (!has_aperiodic(kPlainAperiodicJ) || expected < 0.5 * expected_of(list_, usual_.labels()).j)
    return false;
  if (frames_of_beam_ < 2 * config_.template_memory_frames) return false;  // of another beam
  const double is = j_of(match, kAperiodicLabels) * usual_white_ / white_;
  return is > kMostAperiodic * expected + 5.0 * std::sqrt(expected);
}

// Film and edge are more than the list's choice among noise, whose promise is not kept, and more
// than the wings of the reflections.
bool DriftTracker::has_aperiodic(double least_j) const noexcept {
  // Those that fill the field have no wings left.
  const Expectation reflections = expected_of(list_, kReflectionLabels & ~filling_labels(list_));
  return expected_aperiodic_j() > std::max(least_j, kWingsShare * reflections.j);
}

// They are, and are found as they were promised.
bool DriftTracker::is_aperiodic_told(const MatchResult& match) const {
  return has_aperiodic(kToldJ) && usual_.aperiodic() > 0.5 &&
         j_of(match, kAperiodicLabels) > 0.5 * expected_aperiodic_j();
}

// Nobody has seen where the specimen went: it may have gone as far as there is anything left of the
// field, and further. That doubt is part of all that follows.
void DriftTracker::doubt_place(Vector2 sigma) noexcept {
  place_.doubt_origin(sigma);
  last_sigma_ = {std::hypot(last_sigma_.x, sigma.x), std::hypot(last_sigma_.y, sigma.y)};
}

bool DriftTracker::is_same_cell(Vector2 a, Vector2 b) const noexcept {
  return std::hypot(a.x - b.x, a.y - b.y) < 0.5 * half_cell();
}

// What fits badly in this very frame (scan distortion, a changing crystal) counts less: one step of
// iteratively reweighted least squares, taken only when the fit is worse than was assumed.
MatchResult DriftTracker::reweighed(const Spectrum& frame, const MatchResult& first) {
  if (!first.is_peak) return first;
  std::array<double, kLabels> misfit = usual_.misfit();
  bool is_worse = false;
  for (std::size_t l = 0; l < kLabels; ++l) {
    const double is = misfit_of(list_, first, l, fit_noise());
    is_worse |= white_ * is > 1.5 * list_.label_noise(l);
    misfit[l] = std::max(is, misfit[l]);
  }
  if (!is_worse) return first;
  list_.weigh(template_.noise(), noise_by_label(white_, misfit));
  list_.load(frame);
  was_reweighed_ = true;
  const MatchResult again = match_near(usual_.labels(), first.shift_cells);
  if (again.is_peak && is_same_cell(again.shift_cells, first.shift_cells)) return again;
  // Back to the weights that `first` was summed with: its J is judged by what the list expects.
  list_.weigh(template_.noise(), noise_by_label(white_, usual_.misfit()));
  list_.load(frame);
  return first;
}

void DriftTracker::take_mean_motion(const Spectrum& frame, MatchResult& match) {
  template_.write_back(list_);
  const std::optional<MeanMotion> motion =
      mean_motion(grid_, frame, template_.mean(), bins_.reflections(), match.shift_cells);
  if (!motion || !is_same_cell(motion->shift_cells, match.shift_cells)) return;
  match.shift_cells = motion->shift_cells;
  match.covariance = motion->covariance;
}

void DriftTracker::make_anchor() {
  template_.write_back(list_);
  anchor_.make(template_, list_, bins_, filling_, noise_by_label(white_, usual_.misfit()), shift_);
}

// How far the lattice has carried the match away from film and edge.
void DriftTracker::follow_lattice(const Spectrum& frame, const MatchResult& match) {
  film_.follow({frame, match, white_, half_cell(), template_.frames() % kAnchorEvery == 0});
  if (!film_.is_wanted() || template_.frames() < config_.anchor_frames) return;
  template_.write_back(list_);
  film_.make(template_, list_, bins_, white_, shift_);
}

// Frames of the running mean, so that what is in it is still in the field: a specimen that drifts
// fast leaves a long mean behind.
int DriftTracker::longest_memory() const noexcept {
  const double lag = std::max(std::abs(velocity_.x) / grid_.width,
                              std::abs(velocity_.y) / grid_.height);  // of the field, per frame
  return std::clamp(static_cast<int>(std::min(kLongestLag / std::max(lag, 1e-9), 1e4)),
                    kShortestMemory, config_.template_memory_frames);
}

// is_laid: the frame is in the template already.
void DriftTracker::learn(const Spectrum& frame, const MatchResult& match, bool is_laid) {
  anchor_.move_on(match.shift_cells);
  follow_lattice(frame, match);
  const Vector2 place =
      template_.frames() % kAnchorEvery == 0
          ? anchor_.pulled({frame, match.shift_cells, usual_.labels(), half_cell()}, bins_)
          : match.shift_cells;
  if (!is_laid) {
    usual_.learn(list_, match, fit_noise(), aperiodic_pull(match));
    template_.learn(frame, place, white_, longest_memory(), list_, ramps_);
  }
  if (!anchor_.is_made() && template_.frames() >= config_.anchor_frames) make_anchor();
}

Vector2 DriftTracker::place_sigma(Vector2 shift) const noexcept {
  return place_.sigma(shift, std::min(grid_.width, grid_.height));
}

// Least squares over the reflections' phases, each off by the way times the error of its g.
Vector2 DriftTracker::scale_variance() const noexcept {
  double hxx = 0.0, hxy = 0.0, hyy = 0.0, vxx = 0.0, vxy = 0.0, vyy = 0.0;
  for (std::size_t l = 1; l < kShapes; ++l) {
    if (!list_.is_filling(l)) continue;
    const Vector2 g = filling_[l].g;
    const double weight = list_.expected(l).j, spread = weight * weight * filling_[l].variance_g;
    hxx += weight * g.x * g.x, hxy += weight * g.x * g.y, hyy += weight * g.y * g.y;
    vxx += spread * g.x * g.x, vxy += spread * g.x * g.y, vyy += spread * g.y * g.y;
  }
  const double det = hxx * hyy - hxy * hxy;
  if (det < 1e-4 * hxx * hyy) return {};  // one row: nothing is said across it anyway
  const double ixx = hyy / det, ixy = -hxy / det, iyy = hxx / det;
  return {ixx * ixx * vxx + 2.0 * ixx * ixy * vxy + ixy * ixy * vyy,
          ixy * ixy * vxx + 2.0 * ixy * iyy * vxy + iyy * iyy * vyy};
}

DriftMeasurement DriftTracker::doubtful(Vector2 shift) const {
  DriftMeasurement out;
  out.drift_px = place_.drift_of(shift, film_.leak());
  const double doubt = half_cell() + innovation_ * std::sqrt(1.0 + frames_lost_);
  const Vector2 place = place_sigma(shift);
  out.sigma_drift_px = {std::hypot(doubt, place.x), std::hypot(doubt, place.y)};
  out.state = DriftState::lost;
  return out;
}

DriftMeasurement DriftTracker::skip() {
  if (template_.frames() > 0) {
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
  const LatticeLeak::Doubt doubt = film_.doubt();
  out.drift_px = place_.drift_of(match.shift_cells, film_.leak());
  out.sigma_drift_px = {std::sqrt(taper_excess_ * match.covariance.xx + doubt.random.x),
                        std::sqrt(taper_excess_ * match.covariance.yy + doubt.random.y)};
  out.sigma_drift_sys_px = {std::sqrt(doubt.systematic.x), std::sqrt(doubt.systematic.y)};
  out.match = verdict.match;
  out.is_cell_ambiguous = is_ambiguous;
  const double sigma = std::max(out.sigma_drift_px.x, out.sigma_drift_px.y);
  out.state = verdict.significance < kWeakSignificance || sigma > 0.5 * half_cell() || is_ambiguous
                  ? DriftState::weak
                  : DriftState::locked;
  const Vector2 place = place_sigma(match.shift_cells);
  out.sigma_drift_px = {std::hypot(out.sigma_drift_px.x, place.x),
                        std::hypot(out.sigma_drift_px.y, place.y)};
  last_sigma_ = out.sigma_drift_px;
  return out;
}

// The best match within a cell of the prediction. Whether it is strange is asked before it is
// reweighed: that takes the weight from what fits badly, and with it the denial.
DriftTracker::Found DriftTracker::match_expected(const Spectrum& frame, Vector2 predicted) {
  const MatchResult first = match_near(usual_.labels(), predicted);
  Found near{first, is_strange(first)};
  near.match = reweighed(frame, first);
  const Verdict verdict = judge(near.match);
  if (verdict.is_accepted && verdict.match >= kPlainMatch) return near;
  // A fine reflection has maxima of its own: look over the whole cell before doubting more.
  const double step =
      std::min(half_cell() / GridSearch::kReach,
               bins_.finest_period_cells() > 0.0 ? bins_.finest_period_cells() / 3.0 : 1.0);
  const Vector2 start = grid_search_.best(list_, usual_.labels(), predicted, step, ramps_);
  const MatchResult other = match_near(usual_.labels(), start);
  // J is a log-likelihood: a step is as good as J and how usual it is.
  const double usual = usual_step();
  const auto apart = [&](const MatchResult& m) {
    return std::hypot(m.shift_cells.x - predicted.x, m.shift_cells.y - predicted.y);
  };
  const auto nats = [&](const MatchResult& m) { return m.sums.j + step_nats(apart(m), usual); };
  const bool is_better = other.is_peak && apart(other) <= half_cell() &&
                         (!near.match.is_peak || nats(other) > nats(near.match));
  if (!is_better) return near;
  near.is_strange |= is_strange(other);
  near.match = reweighed(frame, other);
  return near;
}

// The frame matches nothing.
DriftMeasurement DriftTracker::lose(const Spectrum& frame, const RingNoise& noise,
                                    std::span<const Peak> peaks, double match) {
  // What was in doubt is forgotten with the way there: on from where the field was sure to be.
  if (doubt_.is_open()) shift_ = sure_shift_;
  doubt_.close();
  has_jumped_ = false;
  DriftMeasurement lost = skip();
  sure_shift_ = shift_;
  lost.match = match;
  if (frames_lost_ <= kPatience) return lost;
  // Nothing left of the old field: begin anew here, at the place that was predicted.
  restart({lost.drift_px, lost.sigma_drift_px, {}, innovation_});
  doubt_place({0.5 * grid_.width, 0.5 * grid_.height});
  begin(frame, noise, peaks);
  return lost;
}

// The way goes on from here.
void DriftTracker::step_to(const MatchResult& match, Vector2 predicted) {
  const Vector2 residual{match.shift_cells.x - predicted.x, match.shift_cells.y - predicted.y};
  const double apart = std::hypot(residual.x, residual.y);
  shift_ = match.shift_cells;
  frames_lost_ = 0;
  if (apart <= half_cell()) {
    velocity_ = {velocity_.x + 0.15 * residual.x, velocity_.y + 0.15 * residual.y};
    innovation_ += 0.1 * (apart - innovation_);
    return;
  }
  has_jumped_ = true;
  velocity_ = {};
}

// Once the cell is known: where the field has come to lie after a jump, where a fast drift has left
// the template behind, and where the place is badly known. True: the frame is in the template.
bool DriftTracker::settle(const Spectrum& frame, MatchResult& match) {
  landing_.pass_frame();
  const bool has_jumped = std::exchange(has_jumped_, false);
  const double share = shared_part(match.shift_cells);
  if (has_jumped && share < kNearlyAll) {
    landing_.jumped();
    if (settle_far(frame, match)) return true;
    if (landing_.is_rested() && land(frame, match, DriftLanding::To::any)) return true;
    template_.shorten_memory(kMemoryAfterJump);
    doubt_landing(match);
  } else if (share < kBehind) {
    if (landing_.is_rested() && land(frame, match, DriftLanding::To::any)) return true;
    doubt_landing(match);
  } else if (landing_.is_rested() && is_astray(match)) {
    const Vector2 before = place_.variance();
    if (!land(frame, match, DriftLanding::To::home)) return false;
    const Vector2 now = place_.variance();
    // Little is shared, and stays so.
    if (now.x > kClearlyLess * before.x && now.y > kClearlyLess * before.y) landing_.was_vain();
    return true;
  }
  return false;
}

bool DriftTracker::is_far(Vector2 shift) const noexcept {
  const Vector2 from = sure_shift_;
  return std::abs(shift.x - from.x) >= kFar * grid_.width ||
         std::abs(shift.y - from.y) >= kFar * grid_.height;
}

// A spectrum knows a shift but for whole fields: after a jump of more than a third of one the
// specimen may as well have come in from the other side. What both fields show tells; where it does
// not, nobody knows.
bool DriftTracker::settle_far(const Spectrum& frame, MatchResult& match) {
  const Vector2 found = match.shift_cells, from = sure_shift_;
  if (!is_far(found)) return false;
  const auto other_side = [](double to, double at, double field) {
    return std::abs(to - at) < kFar * field ? to : to - std::copysign(field, to - at);
  };
  const Vector2 other{other_side(found.x, from.x, grid_.width),
                      other_side(found.y, from.y, grid_.height)};
  FixedVector<Vector2, 4> sides;
  for (const Vector2 at : {found, Vector2{other.x, found.y}, {found.x, other.y}, other})
    if (std::none_of(sides.begin(), sides.end(),
                     [&](Vector2 s) { return s.x == at.x && s.y == at.y; }))
      (void)sides.push_back(at);
  if (landing_.is_rested())
    for (const Vector2 at : sides) {
      match.shift_cells = at;
      if (land(frame, match, DriftLanding::To::any)) return true;
    }
  match.shift_cells = found;
  doubt_place({0.5 * grid_.width, 0.5 * grid_.height});
  return false;
}

// The place of this field is badly known, that of one it shows much of is known well.
bool DriftTracker::is_astray(const MatchResult& match) const noexcept {
  const Vector2 variance = place_.variance();
  return (variance.x > taper_excess_ * match.covariance.xx ||
          variance.y > taper_excess_ * match.covariance.yy) &&
         landing_.is_near_home(match.shift_cells, variance);
}

// The shift by what both fields show, and the template of the new one. Where a lattice fills the
// field the template is not old.
bool DriftTracker::land(const Spectrum& frame, MatchResult& match, DriftLanding::To to) {
  if (shared_part(match.shift_cells) < kLeastLanding || is_filled(list_)) return false;
  template_.write_back(list_);
  const DriftLanding::Field left{template_.shift(), template_.noise().others,
                                 template_.full_noise(), place_.variance(), film_.leak()};
  const double sigma =
      std::sqrt(taper_excess_ * std::min(match.covariance.xx, match.covariance.yy));
  const FixedVector<Vector2, 8> ways = cells_around();
  const std::optional<DriftLanding::Landing> landing =
      landing_.land({frame,
                     match.shift_cells,
                     sigma,
                     list_,
                     usual_.labels(),
                     white_,
                     usual_.misfit(),
                     0.25 * half_cell(),
                     is_far(match.shift_cells),
                     {ways.begin(), ways.size() / 2}},
                    left, to, template_.mean());
  if (!landing) return false;
  anchor_.forget();  // it is of the template, and has its errors
  const Vector2 was = left.variance, is = landing->field.variance;
  if (was.x > is.x || was.y > is.y) film_.forget();  // so is film that was taken from it since
  shift_ = landing->shift_cells;
  template_.replaced(shift_, landing->field.noise, landing->field.full_noise);
  list_.choose(bins_.blocks(), bins_.label_begin(), template_.mean(), filling_, shift_);
  list_.weigh(template_.noise(), noise_by_label(white_, usual_.misfit()));
  list_.load(frame);
  const Covariance& shared = landing->covariance;
  const MatchResult whole = match_near(usual_.labels(), shift_);  // of the field as it is now
  // What is new in the field lies where this frame was said to be: by what that part knows.
  const auto variance = [&](double held_to, double in_all, double in_shared) {
    const double is_new =
        whole.is_peak ? 1.0 - std::min(taper_excess_ * in_all / in_shared, 1.0) : 1.0;
    return held_to + is_new * is_new * in_shared;
  };
  place_.land(shift_, {variance(landing->field.variance.x, whole.covariance.xx, shared.xx),
                       variance(landing->field.variance.y, whole.covariance.yy, shared.yy)});
  match = fit_at(shift_);
  match.covariance = {shared.xx / taper_excess_, shared.xy / taper_excess_,
                      shared.yy / taper_excess_};
  return true;
}

// How the loaded frame fits at this shift, wherever its best match is.
MatchResult DriftTracker::fit_at(Vector2 shift) {
  MatchResult out;
  out.shift_cells = shift;
  out.is_peak = true;
  ramps_.set(shift);
  for (std::size_t l = 0; l < kLabels; ++l) {
    out.labels[l] = list_.sum(l, ramps_);
    if (usual_.labels() >> l & 1u) out.sums += out.labels[l];
  }
  return out;
}

// Much of the template is of what is no longer in the field, and the new field is learnt where
// these frames say. Their shot noise averages out, the misfit of what is new does not.
void DriftTracker::doubt_landing(const MatchResult& match) {
  double misfit = 0.0, all = 0.0;
  for (std::size_t l = 0; l < kLabels; ++l) {
    const double information = list_.expected(l).gxx + list_.expected(l).gyy;
    misfit += information * (1.0 - 1.0 / misfit_of(list_, match, l, fit_noise()));
    all += information;
  }
  const double kept = kKeptError * kKeptError * taper_excess_ * misfit / std::max(all, 1e-30);
  // Along a ridge nothing is known, but that it is in the field.
  const Vector2 most{0.25 * grid_.width * grid_.width, 0.25 * grid_.height * grid_.height};
  place_.rest_at(template_.shift());
  const Vector2 home = place_.home();
  place_.doubt(
      shift_, window_.share({shift_.x - home.x, shift_.y - home.y}),
      {std::min(kept * match.covariance.xx, most.x), std::min(kept * match.covariance.yy, most.y)});
}

DriftMeasurement DriftTracker::track(const Spectrum& frame, const RingNoise& noise,
                                     std::span<const Peak> peaks) {
  white_ = std::max(static_cast<double>(noise.white), 1e-20);
  const bool is_first = template_.frames() == 0;
  if (is_first) begin(frame, noise, peaks);
  // A beam that is brighter at once brings more of everything, noise included.
  const double brighter = white_ / last_white_;
  if (brighter > kSameBeam || brighter < 1.0 / kSameBeam) frames_of_beam_ = 0;
  ++frames_of_beam_;
  last_white_ = white_;
  usual_white_ += 0.1 * (white_ - usual_white_);
  const bool is_due =
      !doubt_.is_open() && frames_lost_ == 0 &&
      (frames_since_renewal_ >= 32 ||
       (template_.frames() < 32 && std::has_single_bit(static_cast<unsigned>(template_.frames()))));
  if (!is_first && is_due) renew_list(noise, peaks);
  ++frames_since_renewal_;

  if (is_first || is_due || template_.frames() < 32 || template_.frames() % kWeighEvery == 0 ||
      was_reweighed_)
    list_.weigh(is_first ? TemplateNoise{} : template_.noise(),
                noise_by_label(white_, usual_.misfit()));
  was_reweighed_ = false;
  // What a lattice that is gone has said keeps its doubt.
  if ((is_first || is_due) && is_filled(list_)) place_.set_scale_variance(scale_variance());
  list_.load(frame);
  if (is_first) {
    MatchResult match = match_near(usual_.labels(), {});
    match.shift_cells = {};
    return report(match, judge(match), false);
  }

  const Vector2 predicted{shift_.x + velocity_.x, shift_.y + velocity_.y};
  const Found expected = match_expected(frame, predicted);
  MatchResult match = expected.match;
  Verdict verdict = judge(match);
  if (!match.is_peak) match.shift_cells = predicted;
  const double apart =
      std::hypot(match.shift_cells.x - predicted.x, match.shift_cells.y - predicted.y);
  if (!doubt_.is_open() && (!verdict.is_accepted || expected.is_strange || is_leap(apart)))
    open_doubt(frame, predicted, match);
  bool is_ambiguous = false;
  if (doubt_.is_open()) {
    is_ambiguous = weigh_places(match);
    match = reweighed(frame, match);
    verdict = judge(match);
  }
  if (!verdict.is_accepted || is_foreign(match)) return lose(frame, noise, peaks, verdict.match);
  if (is_distorted(list_, match, fit_noise())) take_mean_motion(frame, match);
  step_to(match, predicted);
  const bool is_laid = !is_ambiguous && settle(frame, match);
  // Nothing in the frame tells how far it has moved along its only planes, unless film or edge are
  // found as they were promised. Such a frame is learnt nevertheless, near where it was expected:
  // film too faint for one frame shows in many.
  const bool is_untold = bins_.is_one_row() && !is_aperiodic_told(match);
  const DriftMeasurement out = report(match, verdict, is_ambiguous || is_untold);
  frames_ambiguous_ = is_ambiguous ? frames_ambiguous_ + 1 : 0;
  if (frames_ambiguous_ > kPatience) {
    // A doubt that stays: film or edge have changed for good, or the specimen has gone where
    // nothing of them is left. The field is learnt anew, and nobody knows which it was.
    const Vector2 spread = doubt_.spread({0.5 * grid_.width, 0.5 * grid_.height});
    restart({out.drift_px,
             {std::hypot(out.sigma_drift_px.x, out.sigma_drift_sys_px.x),
              std::hypot(out.sigma_drift_px.y, out.sigma_drift_sys_px.y)},
             velocity_,
             innovation_});
    doubt_place(spread);
    begin(frame, noise, peaks);
  } else if (is_ambiguous) {
    sure_shift_ = {sure_shift_.x + velocity_.x, sure_shift_.y + velocity_.y};
  } else {
    sure_shift_ = shift_;
    learn(frame, match, is_laid);
  }
  return out;
}

}  // namespace latticed::signal
