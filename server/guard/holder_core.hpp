// SPDX-License-Identifier: GPL-3.0-or-later
// What one holder may do, as pure logic: limits, ramps, arming, trips. It is told what happened and
// the time, and says what the device should be told now. No threads, no sockets, no allocation.
// The control thread owns one for each holder.
#pragma once

#include <chrono>
#include <cstdint>

#include "server/guard/protocol.hpp"

namespace latticed {

enum class OnHeartbeatLoss : std::uint8_t { safe, hold };
/// How a source that holds a voltage goes off. A chip is ramped to zero; a battery would be
/// discharged on the way there, so its circuit is opened.
enum class VoltageOff : std::uint8_t { ramp, open };

/// From the guard's file.
struct HolderPolicy {
  HolderLimits limits;
  double safe_temperature_k = 293.0;              // where a heater ramps to before it goes off
  std::chrono::milliseconds longest_safe{30000};  // then off at once
  std::chrono::milliseconds stale_after{1000};
  OnHeartbeatLoss on_heartbeat_loss = OnHeartbeatLoss::safe;
  VoltageOff voltage_off = VoltageOff::ramp;
};

struct CoreCommand {
  HolderVerb verb = HolderVerb::safe;
  bool is_somebody = false;  // a person was named
  std::uint64_t token = 0;
  std::uint32_t lowered_seen = 0;  // HolderCore::lowered() when it was asked for
  SourceSetpoint source;
  double temperature_k = 0.0;
  double rate_per_s = 0.0;  // wanted slope of the ramp; 0 = the limits'
  Switch wanted = Switch::off;
};

/// Refusal::none = done. What was compared, if anything was.
struct CoreAnswer {
  Refusal reason = Refusal::none;
  double value = kNotMeasured;
  double limit = kNotMeasured;
  char unit = ' ';  // 'V', 'A', 'K'
};

/// Whether it needs a token, an armed holder and an audited intent.
[[nodiscard]] constexpr bool is_raising(HolderVerb verb, Switch wanted) noexcept {
  using enum HolderVerb;
  if (verb == set_output || verb == set_heater) return wanted == Switch::on;
  return verb == arm || verb == set_source || verb == set_temperature;
}

struct CoreStatus {
  ArmingState state = ArmingState::unreachable;
  TripCause cause = TripCause::none;
  std::uint32_t trips = 0;  // ever
  double trip_value = kNotMeasured;
  double trip_limit = kNotMeasured;
  HolderSetpoints present;
  HolderSetpoints target;
  bool is_ramping = false;
  bool is_holding = false;
};

class HolderCore {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  explicit HolderCore(const HolderPolicy& policy) noexcept : policy_(policy) {}

  // What happened.
  CoreAnswer obey(const CoreCommand& command, TimePoint now) noexcept;
  void device_opened(const HolderCapabilities& can, TimePoint now) noexcept;
  void device_lost() noexcept;
  void device_answered(TimePoint now) noexcept { answered_at_ = now; }
  void take_sample(const HolderSample& sample, TimePoint now) noexcept;
  void heartbeat_lost(TimePoint now) noexcept;
  void trip(TripCause cause) noexcept;

  /// Time passed: ramps go on, a silent device trips.
  void step(TimePoint now) noexcept;

  /// What the device should be told now.
  [[nodiscard]] const HolderSetpoints& present() const noexcept { return present_; }
  /// Counts demands that everything goes off at once, by make_safe.
  [[nodiscard]] std::uint32_t cuts() const noexcept { return cuts_; }
  /// Counts what lowered: a raising command asked for before the last one is overtaken.
  [[nodiscard]] std::uint32_t lowered() const noexcept { return lowered_; }
  [[nodiscard]] bool is_energised() const noexcept {
    return present_.is_output_on || present_.is_heater_on;
  }
  [[nodiscard]] bool is_armed() const noexcept { return is_armed_; }
  [[nodiscard]] bool is_reachable() const noexcept { return is_reachable_; }
  [[nodiscard]] CoreStatus status() const noexcept;

 private:
  static constexpr int kSamplesToTrip = 2;

  CoreAnswer raise(const CoreCommand& command, TimePoint now) noexcept;
  CoreAnswer lower(const CoreCommand& command, TimePoint now) noexcept;
  CoreAnswer arm(const CoreCommand& command, TimePoint now) noexcept;
  CoreAnswer set_source(const SourceSetpoint& wanted, double rate_per_s) noexcept;
  CoreAnswer set_temperature(double temperature_k, double rate_k_per_s) noexcept;
  void make_safe_slowly(TimePoint now) noexcept;
  void cut() noexcept;
  void ramp(double passed_s, TimePoint now) noexcept;
  [[nodiscard]] double first_level(TimePoint now) const noexcept;
  [[nodiscard]] double source_rate() const noexcept;
  [[nodiscard]] double temperature_rate() const noexcept;
  void check(double value, const HolderRange& limits, TripCause cause, int& count) noexcept;

  const HolderPolicy policy_;
  HolderCapabilities can_;
  HolderSetpoints present_, target_;
  double wanted_source_rate_ = 0.0, wanted_temperature_rate_ = 0.0;  // 0 = the limits'
  HolderSample last_;
  TimePoint stepped_at_{}, answered_at_{}, sampled_at_{}, safe_since_{};
  TripCause cause_ = TripCause::none;
  double trip_value_ = kNotMeasured, trip_limit_ = kNotMeasured;
  std::uint64_t highest_token_ = 0;
  std::uint32_t trips_ = 0, cuts_ = 0, lowered_ = 0;
  int over_voltage_ = 0, over_current_ = 0, over_temperature_ = 0;  // samples in a row
  bool is_reachable_ = false, is_armed_ = false, is_tripped_ = false;
  bool is_holding_ = false;
  bool is_safing_ = false;  // on the way to safe: only `off` is faster
};

}  // namespace latticed
