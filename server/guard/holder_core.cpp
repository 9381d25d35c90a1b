// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/guard/holder_core.hpp"

#include <algorithm>
#include <cmath>

namespace latticed {
namespace {

// A control thread that was late must not make up for it in one write.
constexpr double kLongestStep_s = 0.02;

CoreAnswer refused(Refusal reason) noexcept {
  CoreAnswer answer;
  answer.reason = reason;
  return answer;
}

CoreAnswer refused(Refusal reason, double value, double limit, char unit) noexcept {
  return {reason, value, limit, unit};
}

HolderRange intersection(const HolderRange& a, const HolderRange& b) noexcept {
  return {std::max(a.low, b.low), std::min(a.high, b.high)};
}

double largest(const HolderRange& range) noexcept {
  return std::max(std::abs(range.low), std::abs(range.high));
}

CoreAnswer check_within(double value, const HolderRange& range, char unit) noexcept {
  if (!std::isfinite(value)) return refused(Refusal::not_a_number, value, kNotMeasured, unit);
  if (value > range.high) return refused(Refusal::above_limit, value, range.high, unit);
  if (value < range.low) return refused(Refusal::below_limit, value, range.low, unit);
  return {};
}

CoreAnswer check_rate(double rate_per_s, char unit) noexcept {
  if (!std::isfinite(rate_per_s))
    return refused(Refusal::not_a_number, rate_per_s, kNotMeasured, unit);
  if (rate_per_s < 0.0) return refused(Refusal::below_limit, rate_per_s, 0.0, unit);
  return {};
}

/// 0 = the limit.
double slower(double wanted, double limit) noexcept {
  return wanted > 0.0 ? std::min(wanted, limit) : limit;
}

double moved(double from, double to, double by) noexcept {
  return std::abs(to - from) <= by ? to : from + std::copysign(by, to - from);
}

}  // namespace

CoreAnswer HolderCore::obey(const CoreCommand& command, TimePoint now) noexcept {
  return is_raising(command.verb, command.wanted) ? raise(command, now) : lower(command, now);
}

CoreAnswer HolderCore::raise(const CoreCommand& command, TimePoint now) noexcept {
  if (command.token < highest_token_) return refused(Refusal::stale_token);
  highest_token_ = command.token;
  if (!is_reachable_) return refused(Refusal::unreachable);
  if (command.lowered_seen != lowered_) return refused(Refusal::overtaken);
  if (now - answered_at_ > policy_.stale_after) return refused(Refusal::readback_stale);
  if (command.verb == HolderVerb::arm) return arm(command, now);
  if (!is_armed_) return refused(Refusal::not_armed);
  CoreAnswer answer;
  switch (command.verb) {
    case HolderVerb::set_source:
      answer = set_source(command.source, command.rate_per_s);
      break;
    case HolderVerb::set_temperature:
      answer = set_temperature(command.temperature_k, command.rate_per_s);
      break;
    case HolderVerb::set_output:
      // Without a source set-point there is no compliance yet.
      if (!(target_.source.compliance > 0.0)) return refused(Refusal::compliance_required);
      target_.is_output_on = true;
      break;
    case HolderVerb::set_heater:
      if (policy_.limits.temperature_k.is_absent() || can_.temperature_k.is_absent())
        return refused(Refusal::not_supported);
      if (!(target_.temperature_k > 0.0)) target_.temperature_k = policy_.safe_temperature_k;
      target_.is_heater_on = true;
      break;
    default:
      return refused(Refusal::malformed);
  }
  if (answer.reason == Refusal::none) is_holding_ = false;
  return answer;
}

CoreAnswer HolderCore::arm(const CoreCommand& command, TimePoint) noexcept {
  if (!command.is_somebody) return refused(Refusal::nobody_named);
  if (is_safing_) return refused(Refusal::busy);
  if (is_armed_) return {};
  is_armed_ = true;
  is_tripped_ = is_holding_ = false;
  cause_ = TripCause::none;
  trip_value_ = trip_limit_ = kNotMeasured;
  const double temperature_k = target_.temperature_k;
  target_ = present_;  // after `hold` outputs may be on: they go on as they are
  if (!present_.is_output_on) target_.source = {};
  if (!present_.is_heater_on) target_.temperature_k = temperature_k;
  return {};
}

CoreAnswer HolderCore::set_source(const SourceSetpoint& wanted, double rate_per_s) noexcept {
  const bool is_voltage = wanted.mode == SourceMode::voltage;
  if (!(is_voltage ? can_.holds_voltage : can_.holds_current))
    return refused(Refusal::not_supported);
  const HolderRange voltage = intersection(policy_.limits.voltage_v, can_.voltage_v);
  const HolderRange current = intersection(policy_.limits.current_a, can_.current_a);
  if (voltage.is_absent() || current.is_absent()) return refused(Refusal::not_supported);
  const char unit = is_voltage ? 'V' : 'A';
  const char other_unit = is_voltage ? 'A' : 'V';
  if (auto bad = check_within(wanted.level, is_voltage ? voltage : current, unit);
      bad.reason != Refusal::none)
    return bad;
  if (std::isnan(wanted.compliance) || std::isinf(wanted.compliance))
    return refused(Refusal::not_a_number, wanted.compliance, kNotMeasured, other_unit);
  if (!(wanted.compliance > 0.0))
    return refused(Refusal::compliance_required, wanted.compliance, 0.0, other_unit);
  // A compliance has no sign; a limit that is narrower on one side is kept by the readback.
  if (const double most = largest(is_voltage ? current : voltage); wanted.compliance > most)
    return refused(Refusal::compliance_above_limit, wanted.compliance, most, other_unit);
  if (present_.is_output_on && wanted.mode != present_.source.mode)
    return refused(Refusal::mode_needs_output_off);
  if (auto bad = check_rate(rate_per_s, unit); bad.reason != Refusal::none) return bad;
  target_.source = wanted;
  wanted_source_rate_ = rate_per_s;
  if (present_.is_output_on) present_.source.compliance = wanted.compliance;
  return {};
}

CoreAnswer HolderCore::set_temperature(double temperature_k, double rate_k_per_s) noexcept {
  const HolderRange range = intersection(policy_.limits.temperature_k, can_.temperature_k);
  if (range.is_absent()) return refused(Refusal::not_supported);
  if (auto bad = check_within(temperature_k, range, 'K'); bad.reason != Refusal::none) return bad;
  if (auto bad = check_rate(rate_k_per_s, 'K'); bad.reason != Refusal::none) return bad;
  target_.temperature_k = temperature_k;
  wanted_temperature_rate_ = rate_k_per_s;
  return {};
}

CoreAnswer HolderCore::lower(const CoreCommand& command, TimePoint now) noexcept {
  ++lowered_;
  switch (command.verb) {
    case HolderVerb::off:
      cut();
      break;
    case HolderVerb::hold:
      if (!is_safing_) is_holding_ = true;
      break;
    case HolderVerb::stop:
      if (is_safing_) break;
      target_.is_output_on = present_.is_output_on;
      target_.is_heater_on = present_.is_heater_on;
      if (present_.is_output_on) target_.source = present_.source;
      if (present_.is_heater_on) target_.temperature_k = present_.temperature_k;
      is_holding_ = false;
      break;
    case HolderVerb::set_output:
      target_.is_output_on = false;
      is_holding_ = false;
      break;
    case HolderVerb::set_heater:
      target_.is_heater_on = false;
      is_holding_ = false;
      break;
    default:
      make_safe_slowly(now);
  }
  return {};
}

void HolderCore::make_safe_slowly(TimePoint now) noexcept {
  is_armed_ = is_holding_ = false;
  target_.is_output_on = target_.is_heater_on = false;
  if (is_safing_ || !is_energised()) return;
  is_safing_ = true;
  safe_since_ = now;
}

void HolderCore::cut() noexcept {
  is_armed_ = is_holding_ = is_safing_ = false;
  present_.is_output_on = present_.is_heater_on = false;
  target_.is_output_on = target_.is_heater_on = false;
  present_.source.level = 0.0;
  target_.source = {};  // what comes after is set anew
  ++cuts_;
}

void HolderCore::trip(TripCause cause) noexcept {
  ++lowered_;
  if (!is_tripped_) {
    is_tripped_ = true;
    cause_ = cause;
    ++trips_;
  }
  cut();
}

void HolderCore::heartbeat_lost(TimePoint now) noexcept {
  if (!is_armed_) return;
  ++lowered_;
  cause_ = TripCause::heartbeat_lost;
  if (policy_.on_heartbeat_loss == OnHeartbeatLoss::safe) {
    make_safe_slowly(now);
    return;
  }
  is_armed_ = false;
  const bool was_output_on = present_.is_output_on;
  const bool was_heater_on = present_.is_heater_on;
  if (was_output_on) target_.source = present_.source;
  if (was_heater_on) target_.temperature_k = present_.temperature_k;
  target_.is_output_on = was_output_on;
  target_.is_heater_on = was_heater_on;
}

void HolderCore::device_opened(const HolderCapabilities& can, TimePoint now) noexcept {
  can_ = can;
  is_reachable_ = true;
  answered_at_ = now;
  last_ = {};
  over_voltage_ = over_current_ = over_temperature_ = 0;
}

void HolderCore::device_lost() noexcept {
  ++lowered_;
  if (is_armed_ || is_energised()) cause_ = TripCause::device_lost;
  is_reachable_ = false;
  cut();
}

void HolderCore::take_sample(const HolderSample& sample, TimePoint now) noexcept {
  last_ = sample;
  sampled_at_ = now;
  if (!is_energised()) {
    over_voltage_ = over_current_ = over_temperature_ = 0;
    return;
  }
  const HolderLimits& limits = policy_.limits;
  check(sample.bias_v, limits.voltage_v, TripCause::voltage_limit, over_voltage_);
  check(sample.current_a, limits.current_a, TripCause::current_limit, over_current_);
  check(sample.temperature_k, limits.temperature_k, TripCause::temperature_limit,
        over_temperature_);
}

void HolderCore::check(double value, const HolderRange& limits, TripCause cause,
                       int& count) noexcept {
  if (std::isnan(value) || limits.is_absent() || limits.contains(value)) {
    count = 0;
    return;
  }
  if (++count < kSamplesToTrip || !is_energised()) return;
  if (!is_tripped_) {
    trip_value_ = value;
    trip_limit_ = value > limits.high ? limits.high : limits.low;
  }
  trip(cause);
}

void HolderCore::step(TimePoint now) noexcept {
  const double passed_s =
      std::clamp(std::chrono::duration<double>(now - stepped_at_).count(), 0.0, kLongestStep_s);
  stepped_at_ = now;
  if (!is_reachable_) return;
  if ((is_armed_ || is_energised()) && now - answered_at_ > policy_.stale_after) {
    trip(TripCause::stale_readback);
    return;
  }
  if (is_safing_ && now - safe_since_ > policy_.longest_safe) cut();
  if (!is_holding_) ramp(passed_s, now);
  if (is_safing_ && !is_energised()) is_safing_ = false;
}

double HolderCore::source_rate() const noexcept {
  const double limit = present_.source.mode == SourceMode::voltage ? policy_.limits.voltage_v_per_s
                                                                   : policy_.limits.current_a_per_s;
  // On the way off nobody's patience counts.
  return target_.is_output_on ? slower(wanted_source_rate_, limit) : limit;
}

double HolderCore::temperature_rate() const noexcept {
  const double limit = policy_.limits.temperature_k_per_s;
  return target_.is_heater_on ? slower(wanted_temperature_rate_, limit) : limit;
}

/// Where a ramp begins when the output goes on: a voltage from what is there, or a charged cell
/// would be discharged on the way up.
double HolderCore::first_level(TimePoint now) const noexcept {
  const bool is_known = std::isfinite(last_.bias_v) && now - sampled_at_ <= policy_.stale_after;
  if (target_.source.mode == SourceMode::current || !is_known) return 0.0;
  const HolderRange range = intersection(policy_.limits.voltage_v, can_.voltage_v);
  return std::clamp(last_.bias_v, range.low, range.high);
}

void HolderCore::ramp(double passed_s, TimePoint now) noexcept {
  const bool is_to_open =
      present_.source.mode == SourceMode::voltage && policy_.voltage_off == VoltageOff::open;
  if (present_.is_output_on && !target_.is_output_on && is_to_open) {
    present_.source.level = 0.0;
    present_.is_output_on = false;
  } else if (present_.is_output_on) {
    const double goal = target_.is_output_on ? target_.source.level : 0.0;
    double& level = present_.source.level;
    level = moved(level, goal, source_rate() * passed_s);
    if (!target_.is_output_on && level == 0.0) present_.is_output_on = false;
  } else if (target_.is_output_on) {
    present_.source = {target_.source.mode, first_level(now), target_.source.compliance};
    present_.is_output_on = true;
  }
  if (present_.is_heater_on) {
    const double goal = target_.is_heater_on ? target_.temperature_k : policy_.safe_temperature_k;
    double& temperature_k = present_.temperature_k;
    temperature_k = moved(temperature_k, goal, temperature_rate() * passed_s);
    if (!target_.is_heater_on && temperature_k == goal) present_.is_heater_on = false;
  } else if (target_.is_heater_on) {
    // From where the specimen is, or it would be shocked.
    const HolderRange range = intersection(policy_.limits.temperature_k, can_.temperature_k);
    const double now_k = last_.temperature_k;
    present_.temperature_k = std::isfinite(now_k) ? std::clamp(now_k, range.low, range.high)
                                                  : policy_.safe_temperature_k;
    present_.is_heater_on = true;
  }
}

CoreStatus HolderCore::status() const noexcept {
  CoreStatus out;
  out.state = !is_reachable_ ? ArmingState::unreachable
              : is_armed_    ? ArmingState::armed
              : is_tripped_  ? ArmingState::tripped
                             : ArmingState::disarmed;
  out.cause = cause_;
  out.trips = trips_;
  out.trip_value = trip_value_;
  out.trip_limit = trip_limit_;
  out.present = present_;
  out.target = target_;
  out.is_holding = is_holding_;
  const bool is_source_moving =
      present_.is_output_on != target_.is_output_on ||
      (present_.is_output_on && present_.source.level != target_.source.level);
  const bool is_heat_moving =
      present_.is_heater_on != target_.is_heater_on ||
      (present_.is_heater_on && present_.temperature_k != target_.temperature_k);
  out.is_ramping = !is_holding_ && (is_source_moving || is_heat_moving);
  return out;
}

}  // namespace latticed
