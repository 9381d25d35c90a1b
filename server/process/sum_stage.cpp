// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/process/sum_stage.hpp"

#include <algorithm>
#include <cmath>
#include <optional>

namespace latticed {

namespace {

constexpr int kRichSpots = 2;  // two make a lattice
constexpr double kRichSnr = 8.0;
constexpr double kRichMemory = 1.0 / 8.0;
constexpr double kPoorBelow = 0.5, kRichAbove = 0.9;
// Fields further apart share too little under the taper, and a turned spectrum wraps round.
constexpr double kReach = 1.0 / 16.0;  // of the field
// After a gap this long the drift tracker may have begun a new template, at a place it doubts.
constexpr std::uint64_t kLongestGap = 32;
constexpr std::uint32_t kFewestFrames = 2;

bool is_rich(const Measurements& m) {
  int plain = 0;
  for (const Spot& spot : m.spots) plain += spot.is_confirmed && spot.snr >= kRichSnr ? 1 : 0;
  return plain >= kRichSpots;
}

}  // namespace

SumStage::SumStage(const signal::FrameFft& fft, const FrameGeometry& geometry, const Config& config)
    : grid_(fft.grid()),
      config_(config.sum),
      frames_per_part_((static_cast<std::uint64_t>(config.sum.frames) + kParts - 1) / kParts),
      sum_(fft.grid()),
      detector_(fft.grid(), config.detect, fft.moments().hann_noise_ratio),
      work_(detector_.make_workspace()),
      lattice_(fft, geometry, config.lattice) {
  prepared_.spectrum = signal::Spectrum(grid_.spectrum_size());
  added_.resize(kParts * frames_per_part_);
  row_.reserve(added_.size());
}

void SumStage::forget_frames() noexcept {
  tallies_.fill({});
  open_ = 0;
  frames_in_part_ = parts_closed_ = frames_unused_ = 0;
  is_due_ = false;
}

void SumStage::restart() noexcept {
  forget_frames();
  lattice_.restart();
}

void SumStage::take_over(const SumStage& other) noexcept {
  restart();
  lattice_.take_over(other.lattice_);
  richness_ = other.richness_;
  is_summing_ = other.is_summing_;
}

bool SumStage::is_near(Vector2 a, Vector2 b) const noexcept {
  return std::abs(a.x - b.x) <= kReach * grid_.width &&
         std::abs(a.y - b.y) <= kReach * grid_.height;
}

void SumStage::judge(const Measurements& out) noexcept {
  if (config_.when == SumWhen::always) {
    is_summing_ = true;
    return;
  }
  richness_ += kRichMemory * ((is_rich(out) ? 1.0 : 0.0) - richness_);
  const bool was_summing = is_summing_;
  is_summing_ = richness_ < (was_summing ? kRichAbove : kPoorBelow);
  if (!is_summing_ && was_summing) restart();
}

void SumStage::take(const Frame& frame, const Prepared& prepared,
                    const Measurements& out) noexcept {
  const bool is_usable = prepared.quality == FrameQuality::good &&
                         out.drift.state == DriftState::locked && !out.drift.is_cell_ambiguous;
  if (!is_usable) {
    ++tallies_[open_].left_out;
    ++frames_unused_;
    return;
  }
  const Vector2 place{out.drift.drift_px.x / grid_.bin, out.drift.drift_px.y / grid_.bin};
  const bool is_elsewhere = tallies_[open_].added > 0 && !is_near(place, tallies_[open_].place);
  if (is_elsewhere || frames_unused_ >= kLongestGap) forget_frames();
  frames_unused_ = 0;
  Tally& tally = tallies_[open_];
  if (tally.added == 0) {
    tally.place = place;
    tally.first_seq = frame.seq;
    sum_.begin(open_, place);
  }
  sum_.add(open_, prepared.spectrum, place);
  const Vector2 sigma = out.drift.sigma_drift_px;
  added_[open_ * frames_per_part_ + tally.added] = {static_cast<double>(frame.seq),
                                                    out.drift.drift_px,
                                                    {sigma.x * sigma.x, sigma.y * sigma.y},
                                                    out.mean_counts};
  ++tally.added;
  tally.last_seq = frame.seq;
  tally.mean_seq += (static_cast<double>(frame.seq) - tally.mean_seq) / tally.added;
  tally.counts += out.mean_counts;
  tally.place_sum = {tally.place_sum.x + place.x, tally.place_sum.y + place.y};
  if (frame.header.time_ns == kUnknownTime) return;
  if (tally.timed == 0) tally.first_time_ns = frame.header.time_ns;
  ++tally.timed;
  const auto after = static_cast<double>(frame.header.time_ns - tally.first_time_ns);
  tally.mean_after_first_ns += (after - tally.mean_after_first_ns) / tally.timed;
}

void SumStage::close_part() noexcept {
  open_ = (open_ + 1) % kParts;
  frames_in_part_ = 0;
  ++parts_closed_;
  is_due_ = parts_closed_ >= kParts;
}

void SumStage::advance(std::uint64_t frames) noexcept {
  frames_in_part_ += frames;
  if (frames_in_part_ >= frames_per_part_) close_part();
}

void SumStage::process(const Frame& frame, const Prepared& prepared, Measurements& out) noexcept {
  judge(out);
  if (!is_summing_) return;
  // The oldest part is let go only when a frame comes that needs its place.
  if (is_due_) measure(out);
  if (frames_in_part_ == 0) tallies_[open_] = {};
  take(frame, prepared, out);
  advance(1);
  if (is_due_) measure(out);
}

void SumStage::skip(const Frame& lost) noexcept {
  if (!is_summing_) return;
  const std::uint64_t count = lost.header.lost_count;
  if (count >= kLongestGap || count >= frames_per_part_ * kParts) return forget_frames();
  for (std::uint64_t i = 0; i < count; ++i) {
    if (frames_in_part_ == 0) tallies_[open_] = {};
    ++tallies_[open_].left_out;
    ++frames_unused_;
    advance(1);
  }
}

void SumStage::detect() noexcept {
  for (int kx = 0; kx < grid_.kx_count; ++kx)
    detector_.survey(kx, prepared_.spectrum.data() + grid_.at(kx, 0), work_);
  detector_.detect(prepared_.spectrum, work_, prepared_.peaks);
}

// Oldest part first.
signal::MeanVelocity SumStage::velocity(std::uint32_t parts) noexcept {
  row_.clear();
  for (std::size_t i = 0; i < kParts; ++i) {
    const std::size_t p = (open_ + i) % kParts;
    if ((parts & (1u << p)) == 0) continue;
    const auto begin = added_.begin() + static_cast<std::ptrdiff_t>(p * frames_per_part_);
    row_.insert(row_.end(), begin, begin + tallies_[p].added);
  }
  return signal::mean_velocity(row_);
}

void SumStage::measure(Measurements& out) noexcept {
  is_due_ = false;
  // Newest first: what lies too far from it is left out.
  std::uint32_t parts = 0;
  SumMeasurement sum;
  Vector2 places;
  const Tally* newest = nullptr;
  double seqs = 0.0, timed = 0.0, after_ns = 0.0;
  std::optional<std::int64_t> from_ns;
  for (std::size_t i = 1; i <= kParts; ++i) {
    const std::size_t p = (open_ + kParts - i) % kParts;
    const Tally& tally = tallies_[p];
    sum.frames_left_out += tally.left_out;
    if (tally.added == 0) continue;
    if (!newest) newest = &tally;
    if (!is_near(tally.place, newest->place)) {
      sum.frames_left_out += tally.added;
      continue;
    }
    parts |= 1u << p;
    sum.frames_added += tally.added;
    if (tally.timed > 0 && !from_ns) from_ns = tally.first_time_ns;
    sum.first_seq = tally.first_seq;
    sum.last_seq = std::max(sum.last_seq, tally.last_seq);
    sum.mean_counts += tally.counts;
    seqs += tally.mean_seq * tally.added;
    places = {places.x + tally.place_sum.x, places.y + tally.place_sum.y};
    if (tally.timed > 0) {
      after_ns +=
          (static_cast<double>(tally.first_time_ns - *from_ns) + tally.mean_after_first_ns) *
          tally.timed;
      timed += tally.timed;
    }
  }
  if (sum.frames_added < kFewestFrames) return;
  const double n = sum.frames_added;
  sum.effective_seq = seqs / n;
  // Of all or of none: a mean of some would be of another time than the sum is.
  if (timed == n) sum.effective_time_ns = *from_ns + std::llround(after_ns / n);
  const Vector2 place{places.x / n, places.y / n};
  sum.drift_px = {place.x * grid_.bin, place.y * grid_.bin};

  sum_.total(parts, place, prepared_.spectrum);
  detect();
  prepared_.statistics.mean = sum.mean_counts;
  seen_ = {};
  seen_.mean_counts = sum.mean_counts;
  lattice_.process_sum(prepared_, velocity(parts), seen_);
  sum.crystallinity = seen_.crystallinity;
  sum.scan_affine = seen_.scan_affine;
  for (Spot spot : seen_.spots) {
    spot.is_confirmed = spot.is_confirmed && spot.age_frames >= kParts;
    spot.age_frames *= static_cast<std::uint32_t>(frames_per_part_);
    sum.spots.push_back(spot);
  }
  if (const Lattice* lattice = seen_.main_lattice()) {
    sum.lattice = *lattice;
    sum.lattice->is_confirmed = lattice->is_confirmed && lattice->age_frames >= kParts;
    sum.lattice->age_frames *= static_cast<std::uint32_t>(frames_per_part_);
  }
  out.sum = sum;
}

}  // namespace latticed
