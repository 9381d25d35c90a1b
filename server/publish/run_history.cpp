// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/publish/run_history.hpp"

#include <algorithm>
#include <cmath>

namespace latticed {

void Spread::add(double value, double sigma) {
  if (!std::isfinite(value)) return;
  sum += value;
  variance_sum += std::isfinite(sigma) ? sigma * sigma : 0.0;
  low = std::min(low, value);
  high = std::max(high, value);
  ++count;
}

void Spread::merge(const Spread& other) {
  sum += other.sum;
  variance_sum += other.variance_sum;
  low = std::min(low, other.low);
  high = std::max(high, other.high);
  count += other.count;
}

double Spread::mean() const noexcept {
  return count ? sum / static_cast<double>(count) : std::numeric_limits<double>::quiet_NaN();
}

double Spread::sigma() const noexcept {
  return count ? std::sqrt(variance_sum / static_cast<double>(count)) : 0.0;
}

void DriftEntry::merge(const DriftEntry& other) {
  x_px.merge(other.x_px);
  y_px.merge(other.y_px);
  seq_sum += other.seq_sum;
  frames += other.frames;
  lost += other.lost;
  ambiguous += other.ambiguous;
  not_measured += other.not_measured;
}

void SpacingEntry::merge(const SpacingEntry& other) {
  d_nm.merge(other.d_nm);
  seq_sum += other.seq_sum;
}

void RunHistory::add(const Frame& frame) {
  DriftEntry entry;
  entry.frames = 1;
  if (!frame.has_pixels()) {
    entry.not_measured = 1;
    // A gap may be long: no more of its frames one by one than the trace can tell apart.
    const std::uint64_t count = std::max<std::uint64_t>(frame.header.lost_count, 1);
    const std::uint64_t step = std::max<std::uint64_t>(1, count / 4096);
    for (std::uint64_t i = 0; i < count; i += step) {
      entry.seq_sum = frame.seq + i;
      drift_.add(frame.seq + i, entry);
    }
    frames_ += count;
    return;
  }
  ++frames_;
  entry.seq_sum = frame.seq;
  const Measurements& m = frame.measurements;
  if (m.quality != FrameQuality::good) {
    entry.not_measured = 1;
  } else if (m.drift.state == DriftState::lost) {
    entry.lost = 1;
    ++measured_;
  } else {
    const DriftMeasurement& d = m.drift;
    entry.x_px.add(d.drift_px.x, std::hypot(d.sigma_drift_px.x, d.sigma_drift_sys_px.x));
    entry.y_px.add(d.drift_px.y, std::hypot(d.sigma_drift_px.y, d.sigma_drift_sys_px.y));
    entry.ambiguous = d.is_cell_ambiguous ? 1 : 0;
    ++measured_;
  }
  drift_.add(frame.seq, entry);
  if (m.quality == FrameQuality::good) add_spots(frame);
  for (const AlertEvent& alert : m.alerts) {
    if (!alert.is_raised) continue;
    ++alerts_raised_;
    if (alerts_.size() < kAlerts)
      alerts_.push_back({run_.rules[alert.rule].name, frame.seq, alert.since_seq, alert.spot_id});
  }
}

void RunHistory::add_spots(const Frame& frame) {
  for (const Spot& measured : frame.measurements.spots) {
    if (!measured.is_confirmed) continue;
    SpotHistory& kept = spot(measured.id);
    SpacingEntry entry;
    entry.d_nm.add(measured.d_nm, measured.sigma_d_nm);
    entry.seq_sum = frame.seq * entry.d_nm.count;
    if (entry.d_nm.count == 0) continue;
    kept.spacing.add(frame.seq, entry);
    kept.whole_d_nm.merge(entry.d_nm);
    kept.snr_sum += measured.snr;
    if (std::isfinite(measured.sigma_d_sys_nm)) kept.sigma_sys_sum_nm += measured.sigma_d_sys_nm;
    const double weight = std::max(measured.amplitude, 1e-12);
    kept.g_x_sum += weight * measured.g_per_nm.x;
    kept.g_y_sum += weight * measured.g_per_nm.y;
    kept.weight_sum += weight;
    kept.last_seq = frame.seq;
    kept.is_harmonic = measured.harmonic_order > 1;
  }
}

SpotHistory& RunHistory::spot(std::uint32_t id) {
  const auto known = std::find_if(spots_.begin(), spots_.end(),
                                  [id](const SpotHistory& spot) { return spot.id == id; });
  if (known != spots_.end()) return *known;
  if (spots_.size() < kSpots) {
    spots_.emplace_back().id = id;
    return spots_.back();
  }
  SpotHistory& weakest = *std::min_element(
      spots_.begin(), spots_.end(),
      [](const SpotHistory& a, const SpotHistory& b) { return a.snr_sum < b.snr_sum; });
  weakest = SpotHistory{};
  weakest.id = id;
  return weakest;
}

}  // namespace latticed
