// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/signal/lattice_tracker.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numbers>

#include "server/signal/lattice_search.hpp"

namespace latticed::signal {

namespace {

// A spot belongs to a lattice within this of the place it is expected at. Two phases whose spots
// are resolved are two bins apart; chance puts a spot there in less than one of a hundred.
constexpr double kGateBins = 0.6;
// A lattice of which nothing is left there has taken a step: its spots are sought as far off as a
// spot is taken for the same from frame to frame.
constexpr double kLostGateBins = 2.5;
constexpr std::uint32_t kWindow = 5;  // frames that decide about birth and death
constexpr int kSeenToConfirm = 3;
constexpr double kSmallestStepBins = 1e-4;  // of the basis, per frame: always allowed for
constexpr double kFinerOdds = 4.0;          // by so much must a finer basis be more likely
constexpr std::uint32_t kFinerFrames = 3;   // in a row
constexpr double kSecondOdds = 3.0;         // a third spot that chance would not have put there
constexpr double kOvertakes = 1.5;
constexpr double kStrengthMemory = 0.1;
constexpr double kFractionTolerance = 0.04;  // of an index

constexpr std::uint32_t kWindowBits = (1u << kWindow) - 1;

double part_of(double value) { return value - std::floor(value); }

double cyclic(double a, double b) {
  const double apart = std::abs(part_of(a) - part_of(b));
  return std::min(apart, 1.0 - apart);
}

constexpr std::uint64_t kNobody = 0xcbf29ce484222325ULL;  // FNV-1a

std::uint64_t hashed(std::uint64_t hash, std::uint32_t id) {
  return (hash ^ id) * 0x100000001b3ULL;
}

}  // namespace

LatticeBasis TrackedLattice::predicted() const noexcept {
  const Vector4& p = filter.value();
  return {{p[0], p[1]}, {p[2], p[3]}, filter.covariance()};
}

LatticeTracker::LatticeTracker(double bin_x, double bin_y, double shortest)
    : bin_x_(bin_x), bin_y_(bin_y), shortest_(shortest) {}

void LatticeTracker::set_fractions(std::span<const Vector2> fractions) noexcept {
  fractions_.clear();
  for (const Vector2 fraction : fractions) (void)fractions_.push_back(fraction);
}

bool LatticeTracker::predict(std::uint32_t id, int h, int k, Vector2* frequency,
                             Covariance2* covariance) const noexcept {
  for (const TrackedLattice& lattice : lattices_) {
    if (lattice.id != id || !lattice.filter.has_state()) continue;
    const LatticeBasis basis = lattice.predicted();
    *frequency = basis.at(h, k);
    *covariance = basis.covariance_at(h, k);
    return true;
  }
  return false;
}

// Each sample to the lattice whose point is nearest. Reach::lost: only samples without a lattice,
// to lattices that this frame does not fix yet.
void LatticeTracker::assign(std::span<LatticeSample> samples, Reach reach) const noexcept {
  for (LatticeSample& sample : samples) {
    if (reach == Reach::lost && sample.lattice != 0) continue;
    double nearest = reach == Reach::lost ? kLostGateBins : kGateBins;
    sample.lattice = 0;
    for (const TrackedLattice& lattice : lattices_) {
      if (lattice.id == sample.not_of) continue;
      if (sample.only_of != 0 && lattice.id != sample.only_of) continue;
      if (reach == Reach::lost && lattice.is_measured) continue;
      const LatticeBasis basis = lattice.is_measured ? lattice.measured : lattice.predicted();
      const Vector2 index = basis.index_of(sample.frequency);
      const double h = std::round(index.x), k = std::round(index.y);
      const Vector2 at = basis.at(h, k);
      const double apart =
          std::hypot((sample.frequency.x - at.x) / bin_x_, (sample.frequency.y - at.y) / bin_y_);
      if (apart >= nearest || (h == 0.0 && k == 0.0)) continue;
      nearest = apart;
      sample.lattice = lattice.id;
      sample.h = static_cast<int>(h);
      sample.k = static_cast<int>(k);
    }
  }
}

void LatticeTracker::fit(TrackedLattice& lattice, std::span<LatticeSample> samples) const noexcept {
  FixedVector<IndexedSpot, kMaxSpots> indexed;
  double strength = 0.0;
  for (const LatticeSample& sample : samples)
    if (sample.lattice == lattice.id && !sample.is_doubtful) {
      (void)indexed.push_back({sample.frequency, sample.covariance, sample.h, sample.k});
      strength += sample.snr * sample.snr;
    }
  lattice.spots = static_cast<std::uint32_t>(indexed.size());
  lattice.is_measured = fit_lattice({indexed.begin(), indexed.size()}, &lattice.measured);
  lattice.strength_now = strength;
}

// At a place where the lattice would have a superlattice's spot.
bool LatticeTracker::is_fraction(const LatticeSample& sample) const noexcept {
  for (const TrackedLattice& lattice : lattices_) {
    if (!lattice.is_confirmed) continue;
    const Vector2 index = lattice.predicted().index_of(sample.frequency);
    for (const Vector2 fraction : fractions_)
      for (const double sign : {1.0, -1.0})
        if (cyclic(index.x, sign * fraction.x) < kFractionTolerance &&
            cyclic(index.y, sign * fraction.y) < kFractionTolerance)
          return true;
  }
  return false;
}

void LatticeTracker::begin(TrackedLattice& lattice, const LatticeBasis& basis,
                           std::span<LatticeSample> samples) const noexcept {
  lattice.measured = basis;
  lattice.is_measured = true;
  lattice.choice = {};
  lattice.filter = RandomWalkFilter<4>(kSmallestStepBins * std::min(bin_x_, bin_y_));
  assign(samples, Reach::near);
  fit(lattice, samples);
  if (lattice.is_measured)
    lattice.filter.update(lattice.measured.values(), lattice.measured.covariance);
}

void LatticeTracker::find_new(std::span<LatticeSample> samples) noexcept {
  if (lattices_.size() == kMaxLattices) return;
  FixedVector<LooseSpot, kMaxSpots> loose;
  std::uint64_t who = kNobody;
  for (const LatticeSample& sample : samples) {
    if (sample.lattice != 0 || sample.is_doubtful || is_fraction(sample)) continue;
    (void)loose.push_back({sample.frequency, sample.covariance, sample.amplitude});
    who = hashed(who, sample.id);
  }
  if (loose.size() < 2 || who == tried_) return;
  tried_ = who;
  LatticeBasis basis;
  double odds = 0.0;
  const LatticeSearch search{kGateBins * bin_x_, kGateBins * bin_y_, shortest_};
  if (!find_lattice({loose.begin(), loose.size()}, search, &basis, &odds)) return;
  // Two spots always have a basis. Beside another lattice that says nothing.
  if (!lattices_.empty() && odds < kSecondOdds) return;
  TrackedLattice lattice;
  lattice.id = next_id_;
  (void)lattices_.push_back(lattice);
  TrackedLattice& added = lattices_.back();
  begin(added, basis, samples);
  if (!added.is_measured) {
    lattices_.resize(lattices_.size() - 1);
    return;
  }
  ++next_id_;
  added.seen = 1;
  added.strength = added.strength_now;  // the first frame is all there is yet
  tried_ = 0;
}

// A lattice that was found from few of its spots may have been taken too coarse.
void LatticeTracker::find_finer(TrackedLattice& lattice,
                                std::span<LatticeSample> samples) noexcept {
  FixedVector<LooseSpot, kMaxSpots> all;
  std::size_t own = 0, loose = 0;
  std::uint64_t who = kNobody;
  for (const LatticeSample& sample : samples) {
    const bool is_own = sample.lattice == lattice.id;
    const bool is_loose = sample.lattice == 0 && !is_fraction(sample);
    if (sample.is_doubtful || (!is_own && !is_loose)) continue;
    (void)all.push_back({sample.frequency, sample.covariance, sample.amplitude});
    own += is_own ? 1 : 0;
    loose += is_loose ? 1 : 0;
    if (is_loose) who = hashed(who, sample.id);
  }
  if (finer_seen_ == 0 && who == finer_tried_) return;
  finer_tried_ = who;
  LatticeBasis basis;
  double odds = 0.0;
  const LatticeSearch search{kGateBins * bin_x_, kGateBins * bin_y_, shortest_};
  const bool is_asked =
      loose > 0 && own >= 2 && find_lattice({all.begin(), all.size()}, search, &basis, &odds);
  const double chance = std::numbers::pi * kGateBins * kGateBins * bin_x_ * bin_y_ /
                        std::abs(lattice.measured.area());
  const double now = (static_cast<double>(own) - 2.0) * -std::log(std::min(chance, 0.9));
  const bool is_finer = is_asked && odds > now + kFinerOdds &&
                        std::abs(basis.area()) < 0.9 * std::abs(lattice.measured.area());
  finer_seen_ = is_finer ? finer_seen_ + 1 : 0;
  if (!is_finer || (finer_seen_ < kFinerFrames && lattice.is_confirmed)) return;
  finer_seen_ = 0;
  begin(lattice, basis, samples);
}

void LatticeTracker::bury() noexcept {
  std::size_t kept = 0;
  for (const TrackedLattice& lattice : lattices_)
    if ((lattice.seen & kWindowBits) != 0) lattices_[kept++] = lattice;
  lattices_.resize(kept);
}

void LatticeTracker::rank() noexcept {
  if (lattices_.empty()) return;
  const auto stronger = [](const TrackedLattice& a, const TrackedLattice& b) {
    return a.strength > b.strength;
  };
  TrackedLattice* strongest = std::min_element(lattices_.begin(), lattices_.end(), stronger);
  if (strongest->strength > kOvertakes * lattices_[0].strength) std::swap(*strongest, lattices_[0]);
  std::sort(lattices_.begin() + 1, lattices_.end(), stronger);
}

void LatticeTracker::measure(std::span<LatticeSample> samples) noexcept {
  for (TrackedLattice& lattice : lattices_) {
    ++lattice.age_frames;
    lattice.seen <<= 1;
    lattice.is_measured = false;
    lattice.filter.advance();
  }
  // Where spots were expected; where a step may have taken them; and where this frame's lattice is.
  for (const Reach reach : {Reach::near, Reach::lost, Reach::near}) {
    assign(samples, reach);
    for (TrackedLattice& lattice : lattices_) fit(lattice, samples);
  }
  for (TrackedLattice& lattice : lattices_) {
    lattice.strength += kStrengthMemory * (lattice.strength_now - lattice.strength);
    if (!lattice.is_measured) continue;
    lattice.seen |= 1u;
    lattice.filter.update(lattice.measured.values(), lattice.measured.covariance);
  }
  bury();
  if (!lattices_.empty() && lattices_[0].is_measured) find_finer(lattices_[0], samples);
  find_new(samples);
  for (TrackedLattice& lattice : lattices_) {
    if (std::popcount(lattice.seen & kWindowBits) >= kSeenToConfirm) lattice.is_confirmed = true;
    if (lattice.is_measured) lattice.cell = reduced_cell(lattice.measured, &lattice.choice);
  }
  rank();
}

void LatticeTracker::restart() noexcept {
  lattices_.clear();
  tried_ = finer_tried_ = 0;
  finer_seen_ = 0;
}

}  // namespace latticed::signal
