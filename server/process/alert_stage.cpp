// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/process/alert_stage.hpp"

#include <algorithm>
#include <cmath>

namespace latticed {

namespace {

constexpr std::uint64_t kBaselineFrames = 16;
// A spot is news when it stayed this long, and missed when it had been this plain.
constexpr std::uint32_t kFramesToAppear = 8;
constexpr std::uint32_t kFramesToBeMissed = 16;
constexpr double kPlainSnr = 8.0;
constexpr std::uint32_t kFramesGone = 8;
// What film and edge can do to a spacing while the field drifts is no change of the crystal.
constexpr double kSystematicSigmas = 2.0;

signal::ChangeConfig change_config(const AlertRule& rule, double period_s) {
  signal::ChangeConfig config;
  config.baseline_frames = static_cast<int>(kBaselineFrames);
  config.mean_frames_between_false_alarms =
      std::max(100.0, 3600.0 / (period_s > 0.0 ? period_s : 0.1) / rule.false_alarms_per_hour);
  return config;
}

}  // namespace

AlertStage::AlertStage(std::vector<AlertRule> rules, double frame_period_s) {
  for (AlertRule& rule : rules) {
    const Watch blank{.change = signal::ChangeDetector(change_config(rule, frame_period_s))};
    const std::size_t series = is_per_spot(rule.quantity) ? 2 * kMaxSpots : 1;
    rules_.push_back({std::move(rule), std::vector<Watch>(series, blank)});
  }
}

bool AlertStage::emit(std::uint16_t rule, const Watch& watch, bool is_raised, double value,
                      double sigma, Measurements& out) {
  return out.alerts.push_back({rule, watch.spot_id, is_raised, value, sigma, watch.since_seq});
}

AlertStage::Watch* AlertStage::find(RuleState& state, std::uint32_t spot_id, std::uint64_t seq) {
  Watch* oldest = &state.watches.front();
  for (Watch& watch : state.watches) {
    if (watch.spot_id == spot_id) return &watch;
    if (watch.spot_id == 0 && oldest->spot_id != 0) oldest = &watch;
    if (oldest->spot_id != 0 && watch.last_seq < oldest->last_seq) oldest = &watch;
  }
  // Twice as many series as spots: the one not seen for longest belongs to a spot long gone.
  const signal::ChangeDetector change = [&] {
    signal::ChangeDetector fresh = oldest->change;
    fresh.reset();
    return fresh;
  }();
  *oldest = Watch{.spot_id = spot_id, .change = change};
  oldest->first_seq = oldest->last_seq = seq;
  return oldest;
}

void AlertStage::observe(std::uint16_t index, Watch& watch, double value, double sigma,
                         double sigma_sys, std::uint64_t seq, Measurements& out) {
  const AlertRule& rule = rules_[index].rule;
  bool is_raised = watch.is_raised;
  if (rule.kind == RuleKind::change) {
    is_raised = watch.change.add(value, seq, kSystematicSigmas * sigma_sys) ==
                signal::ChangeDetector::State::changed;
    if (is_raised && !watch.is_raised) watch.since_seq = watch.change.onset_seq();
    // The spread the change was judged by includes what one frame's own sigma does not know.
    sigma = watch.change.spread();
  } else {
    const bool is_outside = value > rule.above || value < rule.below;
    const bool is_inside =
        value <= rule.above - rule.hysteresis && value >= rule.below + rule.hysteresis;
    if (!watch.is_raised) {
      if (is_outside && watch.dwell == 0) watch.since_seq = seq;
      watch.dwell = is_outside ? watch.dwell + 1 : 0;
      is_raised = watch.dwell >= rule.dwell_frames;
    } else if (is_inside) {
      is_raised = false;
      watch.dwell = 0;
    }
  }
  if (is_raised != watch.is_raised && emit(index, watch, is_raised, value, sigma, out))
    watch.is_raised = is_raised;
}

void AlertStage::watch_scalar(std::uint16_t index, std::uint64_t seq, Measurements& out) {
  const DriftMeasurement& drift = out.drift;
  const bool is_sound = out.quality == FrameQuality::good && drift.state != DriftState::lost;
  Watch& watch = rules_[index].watches.front();
  double value = 0.0, sigma = 0.0;
  switch (rules_[index].rule.quantity) {
    case Quantity::drift_lost:
      if (out.quality == FrameQuality::blanked) return;  // says nothing either way
      value = drift.state == DriftState::lost ? 1.0 : 0.0;
      observe(index, watch, value, 0.0, 0.0, seq, out);
      return;
    case Quantity::drift_x_px:
      value = drift.drift_px.x, sigma = drift.sigma_drift_px.x;
      break;
    case Quantity::drift_y_px:
      value = drift.drift_px.y, sigma = drift.sigma_drift_px.y;
      break;
    case Quantity::drift_speed_px:
      value = drift_speed_px_, sigma = std::hypot(drift.sigma_drift_px.x, drift.sigma_drift_px.y);
      break;
    case Quantity::sigma_drift_px:
      value = std::max(drift.sigma_drift_px.x, drift.sigma_drift_px.y);
      break;
    case Quantity::spot_count:
      value = static_cast<double>(out.spots.size());
      break;
    case Quantity::mean_counts:
      value = out.mean_counts;
      break;
    case Quantity::crystallinity:
      if (!out.crystallinity) return;
      value = *out.crystallinity;
      break;
    default:
      return;
  }
  if (is_sound) observe(index, watch, value, sigma, 0.0, seq, out);
}

void AlertStage::watch_spots(std::uint16_t index, std::uint64_t seq, Measurements& out) {
  RuleState& state = rules_[index];
  for (std::size_t i = 0; i < out.spots.size(); ++i) {
    const Spot& spot = out.spots[i];
    if (!spot.is_confirmed || spot.d_nm < state.rule.d_min_nm || spot.d_nm > state.rule.d_max_nm)
      continue;
    Watch& watch = *find(state, spot.id, seq);
    watch.last_seq = seq;
    switch (state.rule.quantity) {
      case Quantity::spot_d_nm:
        observe(index, watch, spot.d_nm, spot.sigma_d_nm, spot.sigma_d_sys_nm, seq, out);
        break;
      case Quantity::spot_snr:
        observe(index, watch, spot.snr, 1.0, 0.0, seq, out);
        break;
      case Quantity::spot_amplitude:
        observe(index, watch, spot.amplitude, spot.amplitude / std::max(spot.snr, 1e-9), 0.0, seq,
                out);
        break;
      default:
        break;
    }
  }
}

void AlertStage::watch_presence(std::uint16_t index, std::uint64_t seq, Measurements& out) {
  RuleState& state = rules_[index];
  for (std::size_t i = 0; i < out.spots.size(); ++i) {
    const Spot& spot = out.spots[i];
    if (!spot.is_confirmed || spot.d_nm < state.rule.d_min_nm || spot.d_nm > state.rule.d_max_nm)
      continue;
    Watch& watch = *find(state, spot.id, seq);
    if (watch.frames_present == 0) {
      watch.first_seq = seq >= spot.age_frames ? seq - spot.age_frames : 0;
      // Its age began when it was first seen, a few frames before it was confirmed.
      watch.is_known = accepted_frames_ <= kBaselineFrames + spot.age_frames;
    }
    watch.last_seq = seq;
    watch.frames_missed = 0;
    ++watch.frames_present;
    watch.snr_mean += (spot.snr - watch.snr_mean) / std::min(watch.frames_present, 32u);
    if (watch.is_known || watch.frames_present < kFramesToAppear) continue;
    watch.since_seq = watch.first_seq;
    watch.is_known = watch.snr_mean <= kPlainSnr || emit(index, watch, true, 1.0, 0.0, out);
  }
  for (Watch& watch : state.watches) {
    if (watch.spot_id == 0 || watch.last_seq == seq) continue;
    // Counted in frames that were looked at: a gap in the sequence is no evidence.
    if (++watch.frames_missed < kFramesGone) continue;
    watch.since_seq = watch.last_seq + 1;
    const bool is_missed = watch.frames_present >= kFramesToBeMissed && watch.snr_mean > kPlainSnr;
    // Presence 0: it is gone.
    if (is_missed && !emit(index, watch, true, 0.0, 0.0, out)) continue;
    watch = Watch{.change = watch.change};
  }
}

void AlertStage::process(const Frame& frame, const Prepared&, Measurements& out) noexcept {
  const bool is_sound = out.quality == FrameQuality::good && out.drift.state != DriftState::lost;
  if (is_sound) {
    ++accepted_frames_;
    drift_speed_px_ = has_last_drift_ ? std::hypot(out.drift.drift_px.x - last_drift_px_.x,
                                                   out.drift.drift_px.y - last_drift_px_.y)
                                      : 0.0;
    last_drift_px_ = out.drift.drift_px;
  }
  has_last_drift_ = is_sound;
  for (std::size_t r = 0; r < rules_.size(); ++r) {
    const auto index = static_cast<std::uint16_t>(r);
    const Quantity quantity = rules_[r].rule.quantity;
    if (quantity == Quantity::spot_presence) {
      if (is_sound) watch_presence(index, frame.seq, out);
    } else if (is_per_spot(quantity)) {
      if (is_sound) watch_spots(index, frame.seq, out);
    } else {
      watch_scalar(index, frame.seq, out);
    }
  }
}

}  // namespace latticed
