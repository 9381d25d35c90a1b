// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/process/alert_stage.hpp"

#include <algorithm>
#include <cmath>

#include "server/signal/running_sum.hpp"

namespace latticed {

namespace {

constexpr std::uint64_t kBaselineFrames = 16;
// A spot is news when it stayed this long, and missed when it had been this plain.
constexpr std::uint32_t kFramesToAppear = 8;
constexpr std::uint32_t kFramesToBeMissed = 16;
constexpr double kPlainSnr = 8.0;
constexpr std::uint32_t kParts = signal::RunningSum::kParts;  // of a sum, renewed in turn
constexpr std::uint32_t kSumsGone = 8;  // so long without one, summing has ended
constexpr std::uint32_t kFramesGone = 8;
constexpr std::size_t kMostTold = 64;  // spots whose coming or going stays open, per rule
// What film and edge can do to a spacing while the field drifts is no change of the crystal.
constexpr double kSystematicSigmas = 2.0;

signal::ChangeConfig change_config(const AlertRule& rule, double period_s) {
  signal::ChangeConfig config;
  config.baseline_frames = static_cast<int>(kBaselineFrames);
  // At least a hundred frames, or sums.
  config.mean_frames_between_false_alarms =
      std::max(100.0, 3600.0 / period_s / rule.false_alarms_per_hour);
  return config;
}

}  // namespace

AlertStage::RuleSet::RuleSet(const std::vector<AlertRule>& rules, double frame_period_s,
                             int frames_per_sum) {
  std::size_t all_series = 0;
  const double frame_s = frame_period_s > 0.0 ? frame_period_s : 0.1;
  for (const AlertRule& rule : rules) {
    const double period_s =
        rule.of == RuleOf::sum ? frame_s * std::max(1, frames_per_sum) : frame_s;
    const Watch blank{.change = signal::ChangeDetector(change_config(rule, period_s))};
    const std::size_t series = is_per_spot(rule.quantity) ? 2 * kMaxSpots : 1;
    RuleState state{rule, 0, std::vector<Watch>(series, blank), {}};
    if (rule.quantity == Quantity::spot_presence) state.told.reserve(kMostTold);
    all_series += rule.quantity == Quantity::spot_presence ? kMostTold : series;
    rules_.push_back(std::move(state));
    entries_.push_back(std::make_unique<const AlertRule>(rule));
  }
  owed_.reserve(all_series);
}

AlertStage::AlertStage(const RuleBook& book, double frame_period_s, int frames_per_sum)
    : book_(book),
      frames_per_sum_(static_cast<std::uint32_t>(std::max(1, frames_per_sum))),
      frames_from_sum_to_sum_((frames_per_sum_ + kParts - 1) / kParts) {
  std::vector<AlertRule> rules;
  for (std::size_t i = 0; i < book.size(); ++i) rules.push_back(book[i]);
  set_ = RuleSet(rules, frame_period_s, frames_per_sum);
  for (std::size_t i = 0; i < set_.rules_.size(); ++i)
    set_.rules_[i].number = static_cast<std::uint16_t>(i);
}

bool AlertStage::replace_rules(RuleSet& rules) noexcept {
  const auto twin_of = [this](const RuleState& state) {
    return std::find_if(set_.rules_.begin(), set_.rules_.end(),
                        [&](const RuleState& old) { return old.rule == state.rule; });
  };
  // What the book has, it has for good: going to and fro between two sets does not fill it.
  const auto number_of = [this](const AlertRule& rule) {
    std::size_t number = 0;
    while (number < book_.size() && book_[number] != rule) ++number;
    return number;
  };
  const auto fresh = static_cast<std::size_t>(
      std::count_if(rules.rules_.begin(), rules.rules_.end(),
                    [&](const RuleState& state) { return number_of(state.rule) == book_.size(); }));
  if (book_.size() + fresh > RuleBook::kMaxRules) return false;
  // Both lists are empty: the larger has room for what the old rules owe and for the new ones.
  if (rules.owed_.capacity() > set_.owed_.capacity()) std::swap(set_.owed_, rules.owed_);
  for (std::size_t i = 0; i < rules.rules_.size(); ++i) {
    RuleState& state = rules.rules_[i];
    if (const auto twin = twin_of(state); twin != set_.rules_.end()) {
      std::swap(*twin, state);
      // What is left behind in its place has nothing open.
    } else if (const std::size_t number = number_of(state.rule); number < book_.size()) {
      state.number = static_cast<std::uint16_t>(number);
    } else {
      state.number = book_.add(std::move(rules.entries_[i]));
    }
  }
  for (const RuleState& gone : set_.rules_) owe_what_is_open(gone);
  std::swap(set_.rules_, rules.rules_);
  return true;
}

void AlertStage::restart() noexcept {
  for (RuleState& state : set_.rules_) begin_anew(state);
  accepted_frames_ = accepted_sums_ = 0;
  has_last_drift_ = false;
}

void AlertStage::begin_anew(RuleState& state) noexcept {
  owe_what_is_open(state);
  state.told.clear();
  for (Watch& watch : state.watches) {
    watch.change.reset();
    watch = Watch{.change = watch.change};
  }
}

void AlertStage::list_numbers(std::vector<std::uint16_t>& out) const {
  for (const RuleState& state : set_.rules_) out.push_back(state.number);
}

void AlertStage::owe_what_is_open(const RuleState& state) noexcept {
  for (AlertEvent event : state.told) {
    event.is_raised = false;
    set_.owed_.push_back(event);
  }
  for (const Watch& watch : state.watches)
    if (watch.is_raised)
      set_.owed_.push_back(
          {state.number, watch.spot_id, false, watch.value, watch.sigma, watch.since_seq});
}

void AlertStage::pay(Measurements& out) noexcept {
  auto& owed = set_.owed_;
  std::size_t paid = 0;
  while (paid < owed.size() && out.alerts.push_back(owed[paid])) ++paid;
  owed.erase(owed.begin(), owed.begin() + static_cast<std::ptrdiff_t>(paid));
}

bool AlertStage::emit(const RuleState& state, const Watch& watch, bool is_raised,
                      Measurements& out) {
  return out.alerts.push_back(
      {state.number, watch.spot_id, is_raised, watch.value, watch.sigma, watch.since_seq});
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

bool AlertStage::tell_presence(RuleState& state, const Watch& watch, double presence,
                               Measurements& out) {
  const AlertEvent event{state.number, watch.spot_id, true, presence, 0.0, watch.since_seq};
  auto same = std::find_if(state.told.begin(), state.told.end(),
                           [&](const AlertEvent& told) { return told.spot_id == watch.spot_id; });
  if (same == state.told.end() && state.told.size() == kMostTold) {
    AlertEvent oldest = state.told.front();
    oldest.is_raised = false;
    if (!out.alerts.push_back(oldest)) return false;
    state.told.erase(state.told.begin());
    same = state.told.end();
  }
  if (!out.alerts.push_back(event)) return false;
  if (same != state.told.end()) state.told.erase(same);
  state.told.push_back(event);
  return true;
}

void AlertStage::observe(RuleState& state, Watch& watch, const Value& measured,
                         const Picture& picture, Measurements& out) {
  const double value = measured.value;
  double sigma = measured.sigma;
  if (!std::isfinite(value)) return;  // unknown: no evidence, and one would spoil a baseline
  const AlertRule& rule = state.rule;
  bool is_raised = watch.is_raised;
  if (rule.kind == RuleKind::change) {
    if (!picture.is_evidence_of_change) return;
    is_raised =
        watch.change.add(value, picture.dated_seq, kSystematicSigmas * measured.sigma_sys) ==
        signal::ChangeDetector::State::changed;
    if (is_raised && !watch.is_raised) watch.since_seq = watch.change.onset_seq();
    // The spread the change was judged by includes what one frame's own sigma does not know.
    sigma = watch.change.spread();
  } else {
    const bool is_outside = value > rule.above || value < rule.below;
    const bool is_inside =
        value <= rule.above - rule.hysteresis && value >= rule.below + rule.hysteresis;
    if (!watch.is_raised) {
      if (is_outside && watch.dwell == 0) watch.since_seq = picture.dated_seq;
      watch.dwell = is_outside ? watch.dwell + 1 : 0;
      is_raised = watch.dwell >= rule.dwell_frames;
    } else if (is_inside) {
      is_raised = false;
      watch.dwell = 0;
    }
  }
  watch.value = value;
  watch.sigma = sigma;
  if (is_raised != watch.is_raised && emit(state, watch, is_raised, out))
    watch.is_raised = is_raised;
}

void AlertStage::watch_scalar(RuleState& state, std::uint64_t seq, Measurements& out) {
  const DriftMeasurement& drift = out.drift;
  const bool is_sound = out.quality == FrameQuality::good && drift.state != DriftState::lost;
  Watch& watch = state.watches.front();
  const Picture picture{.spots = out.spots, .seq = seq, .dated_seq = seq};
  double value = 0.0, sigma = 0.0, sigma_sys = 0.0;
  switch (state.rule.quantity) {
    case Quantity::drift_lost:
      if (out.quality == FrameQuality::blanked) return;  // says nothing either way
      value = drift.state == DriftState::lost ? 1.0 : 0.0;
      observe(state, watch, {value}, picture, out);
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
    default: {
      const auto found = lattice_value(state.rule.quantity, out.main_lattice());
      if (!found) return;
      value = found->value, sigma = found->sigma, sigma_sys = found->sigma_sys;
    }
  }
  if (is_sound) observe(state, watch, {value, sigma, sigma_sys}, picture, out);
}

// Of a confirmed lattice; nothing for what is no lattice's.
std::optional<AlertStage::Value> AlertStage::lattice_value(Quantity quantity,
                                                           const Lattice* lattice) noexcept {
  if (!lattice || !lattice->is_confirmed) return std::nullopt;
  switch (quantity) {
    case Quantity::lattice_a_nm:
      return Value{lattice->a_nm, lattice->sigma_a_nm, lattice->sigma_a_sys_nm};
    case Quantity::lattice_b_nm:
      return Value{lattice->b_nm, lattice->sigma_b_nm, lattice->sigma_b_sys_nm};
    case Quantity::lattice_gamma_deg:
      return Value{lattice->gamma_deg, lattice->sigma_gamma_deg, 0.0};
    default:
      return std::nullopt;
  }
}

// What there is one of in a sum.
void AlertStage::watch_sum(RuleState& state, const Picture& picture, Measurements& out) {
  const SumMeasurement& sum = *out.sum;
  std::optional<Value> value;
  switch (state.rule.quantity) {
    case Quantity::spot_count:
      value = Value{static_cast<double>(sum.spots.size())};
      break;
    case Quantity::mean_counts:
      value = Value{sum.mean_counts / sum.frames_added};  // of one frame, as without sums
      break;
    case Quantity::crystallinity:
      if (sum.crystallinity) value = Value{*sum.crystallinity};
      break;
    default:
      value = lattice_value(state.rule.quantity, sum.lattice ? &*sum.lattice : nullptr);
  }
  if (value) observe(state, state.watches.front(), *value, picture, out);
}

/// Calls act(spot, watch) for every confirmed spot in the rule's range.
template <class Act>
void AlertStage::for_each_watched(RuleState& state, const Picture& picture, const Act& act) {
  for (const Spot& spot : picture.spots) {
    if (!spot.is_confirmed || spot.d_nm < state.rule.d_min_nm || spot.d_nm > state.rule.d_max_nm)
      continue;
    Watch& watch = *find(state, spot.id, picture.seq);
    watch.last_seq = picture.seq;
    watch.last_dated_seq = picture.dated_seq;
    watch.frames_missed = 0;
    act(spot, watch);
  }
}

void AlertStage::watch_spots(RuleState& state, const Picture& picture, Measurements& out) {
  for_each_watched(state, picture, [&](const Spot& spot, Watch& watch) {
    switch (state.rule.quantity) {
      case Quantity::spot_d_nm:
        observe(state, watch, {spot.d_nm, spot.sigma_d_nm, spot.sigma_d_sys_nm}, picture, out);
        break;
      case Quantity::spot_snr:
        observe(state, watch, {spot.snr, 1.0}, picture, out);
        break;
      case Quantity::spot_amplitude:
        observe(state, watch, {spot.amplitude, spot.amplitude / std::max(spot.snr, 1e-9)}, picture,
                out);
        break;
      case Quantity::spot_harmonic_ratio:  // unknown of a row's first order
        observe(state, watch, {spot.harmonic_ratio, spot.sigma_harmonic_ratio}, picture, out);
        break;
      default:
        break;
    }
  });
  // A spot that is gone, or out of the rule's range, is not alarming any more. Its baseline stays.
  for (Watch& watch : state.watches) {
    if (!watch.is_raised || watch.last_seq == picture.seq || ++watch.frames_missed < kFramesGone)
      continue;
    if (!emit(state, watch, false, out)) continue;
    watch.is_raised = false;
    watch.dwell = 0;
  }
}

void AlertStage::watch_presence(RuleState& state, const Picture& picture, Measurements& out) {
  for_each_watched(state, picture, [&](const Spot& spot, Watch& watch) {
    if (watch.frames_present == 0) {
      watch.first_seq =
          picture.dated_seq >= spot.age_frames ? picture.dated_seq - spot.age_frames : 0;
      // Its age began when it was first seen, a few frames before it was confirmed.
      watch.is_known = picture.accepted <= kBaselineFrames + spot.age_frames / picture.frames_apart;
    }
    ++watch.frames_present;
    watch.snr_mean += (spot.snr - watch.snr_mean) / std::min(watch.frames_present, 32u);
    if (watch.is_known || watch.frames_present < kFramesToAppear) return;
    watch.since_seq = watch.first_seq;
    watch.is_known = watch.snr_mean <= kPlainSnr || tell_presence(state, watch, 1.0, out);
  });
  for (Watch& watch : state.watches) {
    if (watch.spot_id == 0 || watch.last_seq == picture.seq) continue;
    // Counted in frames that were looked at: a gap in the sequence is no evidence.
    if (++watch.frames_missed < kFramesGone) continue;
    watch.since_seq = watch.last_dated_seq + 1;
    const bool is_missed = watch.frames_present >= kFramesToBeMissed && watch.snr_mean > kPlainSnr;
    // Presence 0: it is gone.
    if (is_missed && !tell_presence(state, watch, 0.0, out)) continue;
    watch = Watch{.change = watch.change};
  }
}

void AlertStage::judge_frame(RuleState& state, const Frame& frame, Measurements& out) {
  const bool is_sound = out.quality == FrameQuality::good && out.drift.state != DriftState::lost;
  const Picture picture{
      .spots = out.spots, .seq = frame.seq, .dated_seq = frame.seq, .accepted = accepted_frames_};
  if (!is_per_spot(state.rule.quantity))
    watch_scalar(state, frame.seq, out);
  else if (is_sound && state.rule.quantity == Quantity::spot_presence)
    watch_presence(state, picture, out);
  else if (is_sound)
    watch_spots(state, picture, out);
}

// A sum is made of sound frames, whatever the one is like that brought it.
void AlertStage::judge_sums(const Frame& frame, Measurements& out) {
  const auto is_of_sum = [](const RuleState& state) { return state.rule.of == RuleOf::sum; };
  if (!out.sum) {
    const std::uint64_t longest = frames_per_sum_ + kSumsGone * frames_from_sum_to_sum_;
    if (accepted_sums_ == 0 || frame.seq - last_sum_seq_ <= longest || owes()) return;
    // Summing has ended: nothing of it is watched any more. What comes later begins anew.
    for (RuleState& state : set_.rules_)
      if (is_of_sum(state)) begin_anew(state);
    accepted_sums_ = 0;
    return;
  }
  const SumMeasurement& sum = *out.sum;
  const bool is_first = accepted_sums_ == 0;
  ++accepted_sums_;
  last_sum_seq_ = frame.seq;
  const Picture picture{.spots = sum.spots,
                        .seq = frame.seq,
                        .dated_seq = static_cast<std::uint64_t>(std::llround(sum.effective_seq)),
                        .frames_apart = frames_from_sum_to_sum_,
                        .accepted = accepted_sums_,
                        .is_evidence_of_change = is_first || sum.first_seq > change_judged_until_};
  if (picture.is_evidence_of_change) change_judged_until_ = sum.last_seq;
  for (RuleState& state : set_.rules_) {
    if (!is_of_sum(state)) continue;
    if (!is_per_spot(state.rule.quantity))
      watch_sum(state, picture, out);
    else if (state.rule.quantity == Quantity::spot_presence)
      watch_presence(state, picture, out);
    else
      watch_spots(state, picture, out);
  }
}

void AlertStage::process(const Frame& frame, const Prepared&, Measurements& out) noexcept {
  pay(out);
  const bool is_sound = out.quality == FrameQuality::good && out.drift.state != DriftState::lost;
  if (is_sound) {
    ++accepted_frames_;
    drift_speed_px_ = has_last_drift_ ? std::hypot(out.drift.drift_px.x - last_drift_px_.x,
                                                   out.drift.drift_px.y - last_drift_px_.y)
                                      : 0.0;
    last_drift_px_ = out.drift.drift_px;
  }
  has_last_drift_ = is_sound;
  for (RuleState& state : set_.rules_)
    if (state.rule.of == RuleOf::frame) judge_frame(state, frame, out);
  judge_sums(frame, out);
}

}  // namespace latticed
