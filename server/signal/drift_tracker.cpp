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

constexpr int kStripes = 16;  // parts of the full template, one renewed per frame
constexpr double kStripeBlend = 1.0 / 16.0;
// Frames until then go into the full template whole: bins chosen from one that is noisier than was
// assumed are mostly noise, and what they promise denies the right cell.
constexpr int kYoung = 32;
constexpr int kSettled = 8;                 // frames learnt
constexpr int kMemoryAfterJump = 8;         // frames
constexpr int kLongestRest = 1024;          // frames
constexpr double kLongestLag = 0.3;         // of the field: the template's mean behind the frame
constexpr int kShortestMemory = 4;          // frames
constexpr double kNearlyAll = 0.97;         // of the field is shared: no template is old
constexpr double kBehind = 0.95;            // of the field is the template's: less, and it is old
constexpr double kKeptError = 0.8;          // of the sigma of a jump: stays in the template
constexpr double kPlainAperiodicJ = 100.0;  // ten standard deviations of its own noise
constexpr double kToldJ = 50.0;             // half of it found is 3.5 of them
constexpr double kWingsShare = 0.01;        // of the reflections' J: less may be their own wings
constexpr double kMostAperiodic = 1.3;      // of the J it promises, and five of its deviations
// Noise over that of the frame before: more, and the beam was turned up.
constexpr double kSameBeam = 1.8;
constexpr double kSmallestMatch = 0.35;  // of what the template promises
constexpr double kPlausibleFit = 0.6;    // of the best fit of the lattice at any place
constexpr double kPlainMatch = 0.9;      // below: other maxima are looked at
constexpr double kRigidMatch = 0.7;      // aperiodic match of a frame that moved as a whole
constexpr double kDistorted = 5.0;       // residual power over the noise's
constexpr double kWholeLattice = 0.9;    // reflections of a frame that no scan has distorted
constexpr double kSignificant = 6.0;     // J over its own noise
constexpr double kWeakSignificance = 12.0;
// Of the slope of film and edge, in standard deviations: one cell too far is 9 of them on a
// particle at 2 e/px. A false alarm costs a search, no flag.
constexpr double kStrangePull = 6.0;
constexpr double kMostScatter = 1.5;          // what the pull is held to at most
constexpr double kStrangeStep = 6.0;          // of the usual step
constexpr double kSmallestStep_cells = 0.25;  // steps below are never unusual
constexpr double kSmallestShare = 0.25;       // of the field, to compare two frames by
constexpr double kVeto_nats = 20.0;           // below the worst of the places that are possible
constexpr int kPatience = 48;          // lost or doubtful frames before a new template is begun
constexpr int kWeighEvery = 8;         // frames: weights follow the template's slow change
constexpr int kAnchorEvery = 4;        // frames: the template wanders slowly
constexpr double kAnchorPull = 0.2;    // of the anchor's disagreement
constexpr int kSameBin = 1;            // to either side: the same reflection
constexpr double kFilled = 0.5;        // of the information
constexpr double kAnchorReach = 0.04;  // of the field: further away a new anchor is made
// The leak is told by what is this far from all reflections (measured on a crystal with edges
// 0.5 nm soft: film seems to follow a third of the leak at 5 bins, a tenth at 10).
constexpr double kFarWings_bins = 10.0;
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

std::size_t max_blocks(const DriftConfig& config) {
  return static_cast<std::size_t>(config.max_match_bins / kBlock);
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

}  // namespace

DriftTracker::DriftTracker(const FrameFft& fft, const DriftConfig& config)
    : grid_(fft.grid()),
      config_(config),
      window_(fft.taper_x(), fft.taper_y()),
      taper_excess_(taper_excess(fft.taper_x()) * taper_excess(fft.taper_y())),
      template_(grid_.spectrum_size()),
      bins_(grid_, max_blocks(config)),
      list_(grid_, max_blocks(config)),
      anchor_(grid_, max_blocks(config)),
      film_(grid_, max_blocks(config)),
      filling_lattice_(grid_, fft.taper_x(), fft.taper_y()),
      landing_(fft, max_blocks(config)),
      gauge_(grid_),
      crystal_(grid_, fft.taper_x(), fft.taper_y()),
      leak_(grid_),
      ramps_(grid_),
      grid_search_(grid_),
      field_search_(grid_) {
  film_blocks_.reserve(max_blocks(config));
  reset();
}

void DriftTracker::reset() {
  frames_learnt_ = frames_since_renewal_ = frames_lost_ = frames_ambiguous_ = stripe_ = 0;
  has_anchor_ = has_film_ = has_jumped_ = is_behind_ = false;
  frames_landed_ = astray_rest_ = kMemoryAfterJump;
  landing_.forget();
  filling_ = {};
  gauge_.reset();
  leak_.reset();
  misfit_.fill(1.0);
  label_phase_.fill(0.0);
  used_labels_ = ~0u;
  bins_.reset();
  doubt_.close();
  usual_pull_ = {};
  usual_pull_scatter_ = 1.0;
  memory_ = filling_memory_ = 1;
  home_ = home_variance_ = away_variance_ = scale_variance_ = {};
  shift_ = sure_shift_ = velocity_ = origin_ = origin_sigma_ = last_sigma_ = template_mean_ = {};
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
  landing_.forget();
  return true;
}

MatchResult DriftTracker::match_near(std::uint32_t labels, Vector2 start) {
  return maximise(list_, labels, start, 0.25 * half_cell(), window_, template_mean_, ramps_);
}

double DriftTracker::half_cell() const noexcept {
  return bins_.shortest_period_cells() > 0.0 ? 0.5 * bins_.shortest_period_cells() : 8.0;
}

void DriftTracker::renew_list(const RingNoise& noise, std::span<const Peak> peaks) {
  if (frames_learnt_ > 1) list_.write_back(template_, template_mean_);
  // Bins from outside the old list come with the full template's noise, and the new list keeps
  // them.
  template_noise_ = {std::max(template_noise_.others, full_noise_),
                     std::max(template_noise_.filling, full_noise_)};
  bins_.choose(template_, {template_noise_.others, white_, &noise}, frames_learnt_ < kSettled,
               peaks);
  const auto is_any_filling = [this] {
    return std::any_of(filling_.begin(), filling_.end(),
                       [](const auto& f) { return f.is_filling; });
  };
  if (!is_any_filling()) {  // until now learnt with all else
    template_noise_.filling = template_noise_.others;
    filling_memory_ = memory_;
  }
  filling_ = filling_lattice_.find({template_, template_noise_.filling, template_mean_},
                                   bins_.reflections());
  bins_.part_from_lattice(filling_, filling_lattice_.peak(), template_, template_noise_.others,
                          frames_learnt_ < kSettled);
  list_.choose(bins_.blocks(), bins_.label_begin(), template_, filling_, template_mean_);
  gauge_.add(bins_.reflections());
  frames_since_renewal_ = 0;
  // The labels may mean other reflections now: what was learnt about them no longer holds.
  misfit_.fill(misfit_[0]);
  label_phase_.fill(0.0);
  used_labels_ = ~0u;
}

// Film, edge and thickness together: what knows no unit cells.
double DriftTracker::aperiodic_j(const MatchResult& match) noexcept {
  return match.labels[0].j + match.labels[kShapes].j;
}
double DriftTracker::expected_aperiodic_j() const noexcept {
  return list_.expected(0).j + list_.expected(kShapes).j;
}

void DriftTracker::begin(const Spectrum& frame, const RingNoise& noise,
                         std::span<const Peak> peaks) {
  std::copy_n(frame.data(), frame.size(), template_.data());
  frames_learnt_ = memory_ = filling_memory_ = 1;
  frames_of_beam_ = 2 * config_.template_memory_frames;
  full_noise_ = template_white_ = usual_white_ = last_white_ = static_cast<double>(noise.white);
  template_noise_ = {full_noise_, full_noise_};
  renew_list(noise, peaks);
}

DriftTracker::Verdict DriftTracker::judge(const MatchResult& match) const {
  const Expectation expected = expected_j();
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

// What makes another place worth a look: film and edge fit worse than they do usually, or they
// pull towards another place (a score test: the slope of their likelihood, in standard deviations).
bool DriftTracker::is_cell_strange(const MatchResult& match) const {
  const double aperiodic = expected_aperiodic_j();
  const double denial = aperiodic_j(match) / std::max(aperiodic, 1e-30);
  const double doubt =
      std::sqrt((1.0 + template_noise_.others / white_) / std::max(aperiodic, 1e-30));
  if (denial < usual_aperiodic_ - std::max({0.2, 6.0 * doubt, 5.0 * usual_scatter_})) return true;
  if (denial < 0.4 && 1.0 - denial > 6.0 * doubt) return true;
  const Vector2 pull = aperiodic_pull(match);
  return std::hypot(pull.x - usual_pull_.x, pull.y - usual_pull_.y) >
         kStrangePull * std::max(1.0, usual_pull_scatter_);
}

// The slope of the likelihood of film and edge, in its standard deviations.
Vector2 DriftTracker::aperiodic_pull(const MatchResult& match) const {
  const Vector2 window = window_.log_slope(
      {match.shift_cells.x - template_mean_.x, match.shift_cells.y - template_mean_.y});
  double gx = 0.0, gy = 0.0, vx = 0.0, vy = 0.0;
  for (const std::size_t l : {std::size_t{0}, kShapes}) {
    const double variance = 1.0 + template_noise_.others / list_.label_noise(l);
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
  list_.write_back(template_, template_mean_);
  const double noise = std::max(template_noise_.others, full_noise_);
  std::size_t count = 0;
  const double apart = std::max(2.0, 0.5 * half_cell());
  for (const bool is_aperiodic : {true, false}) {
    if (is_aperiodic && !has_aperiodic(kPlainAperiodicJ)) continue;
    count +=
        field_search_.find({frame, template_, noise, white_, bins_, is_aperiodic, template_mean_},
                           apart, std::span{found}.subspan(count, kPlacesEach));
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
  add(from);
  const MatchResult here = match_near(used_labels_, predicted);
  if (here.is_peak) add(here.shift_cells);
  Vector2 best = from;
  double best_nats = near.is_peak ? place_nats(near) : std::numeric_limits<double>::lowest();
  for (const FieldPlace& place : std::span{found}.first(count)) {
    const MatchResult match = match_near(used_labels_, place.shift_cells);
    if (!match.is_peak) continue;
    add(match.shift_cells);
    const double nats = place_nats(match);
    if (nats > best_nats) best = match.shift_cells, best_nats = nats;
  }
  const std::span<const Vector2> cell = bins_.translations_cells();
  if (cell.empty()) return;
  const Vector2 a = cell.front(), b = cell.back();
  for (const int i : {1, -1}) {
    add({best.x + i * a.x, best.y + i * a.y});
    if (cell.size() < 2) continue;
    add({best.x + i * b.x, best.y + i * b.y});
    for (const int j : {1, -1}) add({best.x + i * (a.x + j * b.x), best.y + i * (a.y + j * b.y)});
  }
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
  return window_.share({shift.x - template_mean_.x, shift.y - template_mean_.y});
}

// Steps before this one, as a distance between measured and predicted. Before there were any, a
// step of half a cell is nothing unusual.
double DriftTracker::usual_step() const noexcept {
  return std::max(
      {innovation_, kSmallestStep_cells, frames_learnt_ < kSettled ? half_cell() : 0.0});
}

Expectation DriftTracker::expected_j() const noexcept {
  Expectation out;
  for (std::size_t l = 0; l < kLabels; ++l)
    if (used_labels_ >> l & 1u) out += list_.expected(l);
  return out;
}

// This frame's evidence for each of the places in doubt. `match`: at the one the tracker goes on
// from; becomes the leader's. True: still undecided.
bool DriftTracker::weigh_places(MatchResult& match) {
  std::array<MatchResult, CellDoubt::kMostPlaces> matches;
  std::array<double, CellDoubt::kMostPlaces> nats;
  std::array<Vector2, CellDoubt::kMostPlaces> offsets;
  const std::span<const CellDoubt::Place> places = doubt_.places();
  const double lattice_j = expected_j().j - expected_aperiodic_j();
  const auto fit = [&](const MatchResult& m) {
    double filling = 0.0;  // is in the whole field, wherever that is
    for (std::size_t l = 1; l < kShapes; ++l)
      if (used_labels_ >> l & 1u && list_.is_filling(l)) filling += m.labels[l].j;
    return filling + (m.sums.j - filling - aperiodic_j(m)) /
                         std::max(shared_part(m.shift_cells), kSmallestShare);
  };
  double best_fit = 0.0;
  const Vector2 from = match.shift_cells;
  for (std::size_t i = 0; i < places.size(); ++i) {
    const Vector2 offset = places[i].offset_cells;
    matches[i] = offset.x == 0.0 && offset.y == 0.0
                     ? match
                     : match_near(used_labels_, {from.x + offset.x, from.y + offset.y});
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
        doubt_misfit_[l] = misfit_of(matches[best], l);
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
                    return m.is_peak &&
                           (reflections_match(m) > kWholeLattice || typical_misfit(m) < kDistorted);
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

double DriftTracker::misfit_of(const MatchResult& match, std::size_t label) const {
  const double noise = list_.is_filling(label) ? template_noise_.filling : template_noise_.others;
  return list_.misfit(label, match.labels[label], noise, white_);
}

// Where no lattice carries the match: more of film and edge than there can be. Something else has
// come into the field, brighter than they are, and fits.
bool DriftTracker::is_foreign(const MatchResult& match) const {
  const double expected = expected_aperiodic_j();
  if (!has_aperiodic(kPlainAperiodicJ) || expected < 0.5 * expected_j().j) return false;
  if (frames_of_beam_ < 2 * config_.template_memory_frames) return false;  // of another beam
  const double is = aperiodic_j(match) * usual_white_ / white_;
  return is > kMostAperiodic * expected + 5.0 * std::sqrt(expected);
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

// Film and edge are more than the list's choice among noise, whose promise is not kept, and more
// than the wings of the reflections.
bool DriftTracker::has_aperiodic(double least_j) const noexcept {
  double reflections = 0.0;
  for (std::size_t l = 1; l < kShapes; ++l)
    if (!list_.is_filling(l)) reflections += list_.expected(l).j;  // those have no wings left
  return expected_aperiodic_j() > std::max(least_j, kWingsShare * reflections);
}

// They are, and are found as they were promised.
bool DriftTracker::is_aperiodic_told(const MatchResult& match) const {
  return has_aperiodic(kToldJ) && usual_aperiodic_ > 0.5 &&
         aperiodic_j(match) > 0.5 * expected_aperiodic_j();
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
void DriftTracker::doubt_place(Vector2 sigma) noexcept {
  origin_sigma_ = {std::hypot(origin_sigma_.x, sigma.x), std::hypot(origin_sigma_.y, sigma.y)};
  last_sigma_ = {std::hypot(last_sigma_.x, sigma.x), std::hypot(last_sigma_.y, sigma.y)};
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
  list_.write_back(template_, template_mean_);
  struct Phase {
    Vector2 g;
    double cycles = 0.0, weight = 0.0;
  };
  FixedVector<Phase, kLabels> phases;
  // Only those of a third of the strongest amplitude: higher orders would wrap.
  const float plain = bins_.reflections().empty() ? 0.0f : 0.1f * bins_.reflections()[0].power;
  for (const Peak& peak : bins_.reflections()) {
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

// A lattice that fills the field says nearly all that is known, along both axes.
bool DriftTracker::is_filled(const MatchList& list) {
  Expectation all, filling;
  for (std::size_t l = 0; l < kLabels; ++l) {
    all += list.expected(l);
    if (list.is_filling(l)) filling += list.expected(l);
  }
  return filling.gxx > kFilled * all.gxx && filling.gyy > kFilled * all.gyy;
}

void DriftTracker::make_anchor() {
  list_.write_back(template_, template_mean_);
  anchor_.choose(list_.block_list(), list_.label_begin(), template_, filling_, template_mean_);
  std::array<double, kLabels> frame_noise;
  for (std::size_t l = 0; l < kLabels; ++l) frame_noise[l] = white_ * misfit_[l];
  anchor_.weigh(template_noise_, frame_noise);
  anchor_reflections_.clear();
  for (const Peak& peak : bins_.reflections()) (void)anchor_reflections_.push_back(peak);
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

// The anchor's labels that are used as the list's are: a reflection may have another label by now.
// When the field has moved far, those of the lattice that fills it.
std::uint32_t DriftTracker::anchor_labels(bool is_far) const {
  std::uint32_t out = is_far ? 0u : used_labels_ & (1u | 1u << kShapes);
  const auto now = bins_.reflections();
  for (std::size_t l = 1; l <= anchor_reflections_.size(); ++l) {
    if (is_far && !anchor_.is_filling(l)) continue;
    const Peak& then = anchor_reflections_[l - 1];
    for (std::size_t m = 1; m <= now.size(); ++m)
      if (used_labels_ >> m & 1u && std::abs(then.kx - now[m - 1].kx) <= kSameBin &&
          std::abs(then.ky - now[m - 1].ky) <= kSameBin)
        out |= 1u << l;
  }
  return out;
}

// Where this frame is learnt into the template: at its shift, pulled a little towards what the
// anchor says. So the template's random walk (blend x sigma per frame) is bounded, and the anchor's
// own error, common to all frames, does not add to any single one.
Vector2 DriftTracker::anchored(const Spectrum& frame, Vector2 shift) {
  if (!has_anchor_ || frames_learnt_ % kAnchorEvery != 0) return shift;
  anchor_.load(frame);
  const double away = std::hypot(shift.x - anchor_place_.x, shift.y - anchor_place_.y);
  const bool is_far = away > kAnchorReach * std::min(grid_.width, grid_.height);
  const std::uint32_t used = anchor_labels(is_far);
  const MatchResult match =
      maximise(anchor_, used, shift, 0.25 * half_cell(), window_, anchor_mean_, ramps_);
  Expectation expected;
  for (std::size_t l = 0; l < kLabels; ++l)
    if (used >> l & 1u) expected += anchor_.expected(l);
  const double agreement = match.sums.j / std::max(expected.j, 1e-30);
  const Vector2 off{match.shift_cells.x - shift.x, match.shift_cells.y - shift.y};
  if (!match.is_peak || agreement < 0.5 || std::hypot(off.x, off.y) > 0.25 * half_cell()) {
    // Far away it can only say where within a cell: what it is off by there has grown with the way.
    if (agreement < 0.2 || is_far) has_anchor_ = false;
    return shift;
  }
  return {shift.x + kAnchorPull * off.x, shift.y + kAnchorPull * off.y};
}

void DriftTracker::make_film() {
  list_.write_back(template_, template_mean_);
  film_blocks_.clear();
  for (const MatchBlock& block : list_.block_list().first(list_.label_begin()[1]))
    if (bins_.nearest_reflection(block).second >= kFarWings_bins) film_blocks_.push_back(block);
  std::array<std::uint32_t, kLabels + 1> film_begin;
  film_begin.fill(static_cast<std::uint32_t>(film_blocks_.size()));
  film_begin[0] = 0;
  film_.choose(film_blocks_, film_begin, template_, {}, template_mean_);
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
  const double frames = std::max(1.0, white_ / std::max(template_noise_.others, 1e-30));
  const CrystalPlace place = crystal_.place(template_, bins_.reflections());
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

// Frames of the running mean, so that what is in it is still in the field: a specimen that drifts
// fast leaves a long mean behind.
int DriftTracker::longest_memory() const noexcept {
  const double lag = std::max(std::abs(velocity_.x) / grid_.width,
                              std::abs(velocity_.y) / grid_.height);  // of the field, per frame
  return std::clamp(static_cast<int>(std::min(kLongestLag / std::max(lag, 1e-9), 1e4)),
                    kShortestMemory, config_.template_memory_frames);
}

void DriftTracker::learn(const Spectrum& frame, const MatchResult& match) {
  const double away =
      std::hypot(match.shift_cells.x - anchor_place_.x, match.shift_cells.y - anchor_place_.y);
  // The field has moved on: a new anchor is made from the template. That of a lattice that fills
  // the field, wherever that is, holds.
  if (away > kAnchorReach * std::min(grid_.width, grid_.height) && !is_filled(anchor_))
    has_anchor_ = false;
  follow_lattice(frame, match);
  const Vector2 place = anchored(frame, match.shift_cells);
  for (std::size_t l = 0; l < kLabels; ++l) misfit_[l] += 0.1 * (misfit_of(match, l) - misfit_[l]);
  watch_reflections(match);

  const double aperiodic = aperiodic_j(match) / std::max(expected_aperiodic_j(), 1e-30);
  const double unusual = std::clamp(aperiodic, 0.0, 1.5) - usual_aperiodic_;
  usual_scatter_ += 0.1 * (std::min(std::abs(unusual), 0.1) - usual_scatter_);
  usual_aperiodic_ = std::min(1.0, usual_aperiodic_ + 0.1 * unusual);

  const Vector2 pull = aperiodic_pull(match);
  const Vector2 change{pull.x - usual_pull_.x, pull.y - usual_pull_.y};
  usual_pull_ = {usual_pull_.x + 0.1 * change.x, usual_pull_.y + 0.1 * change.y};
  usual_pull_scatter_ +=
      0.1 * (std::min(0.8 * std::hypot(change.x, change.y), kMostScatter) - usual_pull_scatter_);

  ++frames_learnt_;
  memory_ = std::min(memory_ + 1, longest_memory());
  const float blend = 1.0f / static_cast<float>(memory_);
  template_white_ += static_cast<double>(blend) * (white_ - template_white_);
  ramps_.set(place);
  filling_memory_ = std::min(filling_memory_ + 1, config_.template_memory_frames);
  const float filling_blend = 1.0f / static_cast<float>(filling_memory_);
  list_.update(frame, ramps_, blend, filling_blend);
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
  template_noise_ = {noise_after(template_noise_.others, static_cast<double>(blend)),
                     noise_after(template_noise_.filling, static_cast<double>(filling_blend))};
  full_noise_ =
      is_young ? template_noise_.others
               : full_noise_ + (noise_after(full_noise_, kStripeBlend) - full_noise_) / kStripes;
  is_behind_ |= shared_part(place) < kBehind;
  if (!has_anchor_ && frames_learnt_ >= config_.anchor_frames) make_anchor();
}

// How well the template's own place is known for a frame at this shift. Film moves the frequencies
// a lattice is followed by, in every field anew: an error of scale within one field, a random walk
// from field to field.
Vector2 DriftTracker::place_sigma(Vector2 shift) const noexcept {
  const double way = std::hypot(shift.x, shift.y);
  const double ways = way * std::min(way, static_cast<double>(std::min(grid_.width, grid_.height)));
  return {
      std::sqrt(origin_sigma_.x * origin_sigma_.x + away_variance_.x + ways * scale_variance_.x),
      std::sqrt(origin_sigma_.y * origin_sigma_.y + away_variance_.y + ways * scale_variance_.y)};
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
  const Vector2 leak = leak_.leak();
  out.drift_px = {origin_.x + shift.x - leak.x, origin_.y + shift.y - leak.y};
  const double doubt = half_cell() + innovation_ * std::sqrt(1.0 + frames_lost_);
  const Vector2 place = place_sigma(shift);
  out.sigma_drift_px = {std::hypot(doubt, place.x), std::hypot(doubt, place.y)};
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
  const Vector2 place = place_sigma(match.shift_cells);
  out.sigma_drift_px = {std::hypot(out.sigma_drift_px.x, place.x),
                        std::hypot(out.sigma_drift_px.y, place.y)};
  last_sigma_ = out.sigma_drift_px;
  return out;
}

// The best match within a cell of the prediction.
MatchResult DriftTracker::match_expected(const Spectrum& frame, Vector2 predicted) {
  const MatchResult match = reweighed(frame, match_near(used_labels_, predicted));
  const Verdict verdict = judge(match);
  if (verdict.is_accepted && verdict.match >= kPlainMatch) return match;
  // A fine reflection has maxima of its own: look over the whole cell before doubting more.
  const double step =
      std::min(half_cell() / GridSearch::kReach,
               bins_.finest_period_cells() > 0.0 ? bins_.finest_period_cells() / 3.0 : 1.0);
  const Vector2 start = grid_search_.best(list_, used_labels_, predicted, step, ramps_);
  const MatchResult other = match_near(used_labels_, start);
  // J is a log-likelihood: a step is as good as J and how usual it is.
  const double usual = usual_step();
  const auto nats = [&](const MatchResult& m) {
    return m.sums.j +
           step_nats(std::hypot(m.shift_cells.x - predicted.x, m.shift_cells.y - predicted.y),
                     usual);
  };
  const bool is_here = std::hypot(other.shift_cells.x - predicted.x,
                                  other.shift_cells.y - predicted.y) <= half_cell();
  const bool is_better = other.is_peak && is_here && (!match.is_peak || nats(other) > nats(match));
  return is_better ? reweighed(frame, other) : match;
}

// The frame matches nothing.
DriftMeasurement DriftTracker::lose(const Spectrum& frame, const RingNoise& noise,
                                    std::span<const Peak> peaks, double match) {
  // What was in doubt is forgotten with the way there: on from where the field was sure to be.
  if (doubt_.is_open()) shift_ = sure_shift_;
  doubt_.close();
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

// After a jump, once the cell is known.
void DriftTracker::settle(const Spectrum& frame, MatchResult& match) {
  has_jumped_ = false;
  astray_rest_ = kMemoryAfterJump;
  memory_ = std::min(memory_, kMemoryAfterJump);
  const bool is_near = shared_part(match.shift_cells) > kNearlyAll;
  if (is_near || !land(frame, match)) doubt_landing(match);
}

// The place of this field is badly known, that of one it shows much of is known well.
bool DriftTracker::is_astray(const MatchResult& match) const noexcept {
  return frames_landed_ >= astray_rest_ &&
         (away_variance_.x > taper_excess_ * match.covariance.xx ||
          away_variance_.y > taper_excess_ * match.covariance.yy) &&
         landing_.is_near_home(match.shift_cells, away_variance_);
}

// The shift by what both fields show, and the template of the new one. Where a lattice fills the
// field the template is not old, and where next to nothing of it has left the field neither. It
// costs several transforms: no more than one in eight frames.
bool DriftTracker::land(const Spectrum& frame, MatchResult& match) {
  const bool is_rested = frames_landed_ >= kMemoryAfterJump;
  if (!is_rested || shared_part(match.shift_cells) < kSmallestShare) return false;
  for (std::size_t l = 1; l < kShapes; ++l)
    if (list_.is_filling(l)) return false;
  list_.write_back(template_, template_mean_);
  const DriftLanding::Field left{template_mean_,  template_noise_.others, full_noise_,
                                 template_white_, away_variance_,         leak_.leak()};
  const double sigma =
      std::sqrt(taper_excess_ * std::min(match.covariance.xx, match.covariance.yy));
  const std::optional<DriftLanding::Landing> landing = landing_.land(
      {frame, match.shift_cells, sigma, list_, used_labels_, white_, misfit_, 0.25 * half_cell()},
      left, template_);
  if (!landing) return false;
  frames_landed_ = 0;
  is_behind_ = false;
  has_anchor_ = has_film_ = false;  // they are of the template, and have its errors
  shift_ = template_mean_ = landing->shift_cells;
  template_noise_ = {landing->field.noise, landing->field.noise};
  full_noise_ = landing->field.full_noise;
  template_white_ = landing->field.white;
  list_.choose(bins_.blocks(), bins_.label_begin(), template_, filling_, template_mean_);
  std::array<double, kLabels> frame_noise;
  for (std::size_t l = 0; l < kLabels; ++l) frame_noise[l] = white_ * misfit_[l];
  list_.weigh(template_noise_, frame_noise);
  list_.load(frame);
  match = match_near(used_labels_, shift_);  // for what is learnt of its fit
  match.shift_cells = shift_;
  const Covariance &all = match.covariance, &shared = landing->covariance;
  // What is new in the field lies where this frame was said to be: by what that part knows.
  const auto place = [this](double held_to, double in_all, double in_shared) {
    const double is_new = 1.0 - std::min(taper_excess_ * in_all / in_shared, 1.0);
    return held_to + is_new * is_new * in_shared;
  };
  away_variance_ = {place(landing->field.variance.x, all.xx, shared.xx),
                    place(landing->field.variance.y, all.yy, shared.yy)};
  match.covariance = {shared.xx / taper_excess_, shared.xy / taper_excess_,
                      shared.yy / taper_excess_};
  return true;
}

// Much of the template is of what is no longer in the field, and the new field is learnt where
// these frames say. Their shot noise averages out, the misfit of what is new does not.
void DriftTracker::doubt_landing(const MatchResult& match) noexcept {
  double misfit = 0.0, all = 0.0;
  for (std::size_t l = 0; l < kLabels; ++l) {
    const double information = list_.expected(l).gxx + list_.expected(l).gyy;
    misfit += information * (1.0 - 1.0 / misfit_of(match, l));
    all += information;
  }
  // Going back undoes it: it depends on the two places, not on the way. So it counts from the field
  // of which enough is left here.
  if (away_variance_.x == 0.0) home_ = template_mean_;
  const double share = window_.share({shift_.x - home_.x, shift_.y - home_.y});
  const double kept =
      kKeptError * kKeptError * (1.0 - share) * taper_excess_ * misfit / std::max(all, 1e-30);
  away_variance_ = {home_variance_.x + kept * match.covariance.xx,
                    home_variance_.y + kept * match.covariance.yy};
  if (share >= kSmallestShare) return;
  home_ = shift_;
  home_variance_ = away_variance_;
}

DriftMeasurement DriftTracker::track(const Spectrum& frame, const RingNoise& noise,
                                     std::span<const Peak> peaks) {
  white_ = std::max(static_cast<double>(noise.white), 1e-20);
  const bool is_first = frames_learnt_ == 0;
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
       (frames_learnt_ < 32 && std::has_single_bit(static_cast<unsigned>(frames_learnt_))));
  if (!is_first && is_due) renew_list(noise, peaks);
  ++frames_since_renewal_;

  std::array<double, kLabels> frame_noise;
  for (std::size_t l = 0; l < kLabels; ++l) frame_noise[l] = white_ * misfit_[l];
  if (is_first || is_due || frames_learnt_ < 32 || frames_learnt_ % kWeighEvery == 0 ||
      was_reweighed_)
    list_.weigh(is_first ? TemplateNoise{} : template_noise_, frame_noise);
  was_reweighed_ = false;
  // What a lattice that is gone has said keeps its doubt.
  if ((is_first || is_due) && is_filled(list_)) scale_variance_ = scale_variance();
  list_.load(frame);
  if (is_first) {
    MatchResult match = match_near(used_labels_, {});
    match.shift_cells = {};
    return report(match, judge(match), false);
  }

  const Vector2 predicted{shift_.x + velocity_.x, shift_.y + velocity_.y};
  MatchResult match = match_expected(frame, predicted);
  Verdict verdict = judge(match);
  if (!match.is_peak) match.shift_cells = predicted;
  const double apart =
      std::hypot(match.shift_cells.x - predicted.x, match.shift_cells.y - predicted.y);
  if (!doubt_.is_open() &&
      (!verdict.is_accepted || is_foreign(match) || is_cell_strange(match) || is_leap(apart)))
    open_doubt(frame, predicted, match);
  bool is_ambiguous = false;
  if (doubt_.is_open()) {
    is_ambiguous = weigh_places(match);
    match = reweighed(frame, match);
    verdict = judge(match);
  }
  if (!verdict.is_accepted || is_foreign(match)) return lose(frame, noise, peaks, verdict.match);
  // Neither film nor edge agree with the template, nor do the reflections as a whole: the frame is
  // no shifted copy of the field but a distorted one.
  const double aperiodic_match = aperiodic_j(match) / std::max(expected_aperiodic_j(), 1e-30);
  if (aperiodic_match < kRigidMatch && typical_misfit(match) > kDistorted)
    (void)average_of_reflections(frame, match);
  step_to(match, predicted);
  ++frames_landed_;
  if (has_jumped_ && !is_ambiguous)
    settle(frame, match);
  else if (!is_ambiguous && is_behind_)
    (void)land(frame, match);
  else if (!is_ambiguous && is_astray(match) && land(frame, match))
    astray_rest_ = std::min(2 * astray_rest_, kLongestRest);  // little is shared, and stays so
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
    learn(frame, match);
  }
  return out;
}

}  // namespace latticed::signal
