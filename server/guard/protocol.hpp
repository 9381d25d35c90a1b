// SPDX-License-Identifier: GPL-3.0-or-later
// The words both ends of the guard's socket use: verbs, states, causes, reasons, and the limits a
// holder was given. Plain data. server/guard/README.md shows them as JSON lines.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "drivers/kit/holder.hpp"

namespace latticed {

enum class ArmingState : std::uint8_t {
  disarmed,     // outputs off (or held, after the policy `hold`); nothing that energises is taken
  armed,        // a named person takes set-points
  tripped,      // disarmed, because of TripCause
  unreachable,  // the device does not answer; it comes back as disarmed or tripped
};
inline constexpr std::array<std::string_view, 4> kArmingStates = {"disarmed", "armed", "tripped",
                                                                  "unreachable"};

enum class TripCause : std::uint8_t {
  none,
  voltage_limit,      // measured outside the limits
  current_limit,      // the same
  temperature_limit,  // the same
  stale_readback,     // the device has not answered for too long
  heartbeat_lost,     // the daemon is silent
  write_failed,       // the device refused or did not take a set-point
  driver_hung,        // a call to the driver does not return
  device_lost,        // the link to the device broke
};
inline constexpr std::array<std::string_view, 9> kTripCauses = {
    "none",           "voltage_limit", "current_limit", "temperature_limit", "stale_readback",
    "heartbeat_lost", "write_failed",  "driver_hung",   "device_lost"};

enum class HolderVerb : std::uint8_t {
  arm,
  disarm,  // like safe
  set_source,
  set_output,
  set_temperature,
  set_heater,
  hold,  // ramps stand still, targets stay; the next set_ goes on
  stop,  // target := present
  safe,  // ramp to safe, then outputs off; disarmed
  off,   // outputs off at once; disarmed
};
inline constexpr std::array<std::string_view, 10> kHolderVerbs = {
    "arm",        "disarm", "set_source", "set_output", "set_temperature",
    "set_heater", "hold",   "stop",       "safe",       "off"};

/// Why the guard refused. The words in capitals are what clients see.
enum class Refusal : std::uint8_t {
  none,
  above_limit,
  below_limit,
  not_a_number,
  compliance_required,
  compliance_above_limit,
  not_supported,  // this holder cannot
  not_armed,
  unreachable,
  readback_stale,
  mode_needs_output_off,
  stale_token,
  nobody_named,
  overtaken,  // a stop, hold, safe or off came after it
  busy,       // too many commands wait
  audit_failed,
  no_such_holder,
  malformed,
};
inline constexpr std::array<std::string_view, 18> kRefusals = {"NONE",
                                                               "ABOVE_LIMIT",
                                                               "BELOW_LIMIT",
                                                               "NOT_A_NUMBER",
                                                               "COMPLIANCE_REQUIRED",
                                                               "COMPLIANCE_ABOVE_LIMIT",
                                                               "NOT_SUPPORTED",
                                                               "NOT_ARMED",
                                                               "UNREACHABLE",
                                                               "READBACK_STALE",
                                                               "MODE_NEEDS_OUTPUT_OFF",
                                                               "STALE_TOKEN",
                                                               "NOBODY_NAMED",
                                                               "OVERTAKEN",
                                                               "BUSY",
                                                               "AUDIT_FAILED",
                                                               "NO_SUCH_HOLDER",
                                                               "MALFORMED"};

[[nodiscard]] constexpr std::string_view to_string(ArmingState x) noexcept {
  return kArmingStates[static_cast<std::size_t>(x)];
}
[[nodiscard]] constexpr std::string_view to_string(TripCause x) noexcept {
  return kTripCauses[static_cast<std::size_t>(x)];
}
[[nodiscard]] constexpr std::string_view to_string(HolderVerb x) noexcept {
  return kHolderVerbs[static_cast<std::size_t>(x)];
}
[[nodiscard]] constexpr std::string_view to_string(Refusal x) noexcept {
  return kRefusals[static_cast<std::size_t>(x)];
}
/// The enumerator of a word; nothing for a word that is none.
template <class Enum, std::size_t N>
[[nodiscard]] constexpr std::optional<Enum> from_word(const std::array<std::string_view, N>& words,
                                                      std::string_view word) noexcept {
  for (std::size_t i = 0; i < N; ++i) {
    if (words[i] == word) return static_cast<Enum>(i);
  }
  return std::nullopt;
}

/// What a holder may at most be told; from the guard's file. An absent range forbids the quantity.
struct HolderLimits {
  HolderRange voltage_v;
  HolderRange current_a;
  HolderRange temperature_k;
  double voltage_v_per_s = 0.0;
  double current_a_per_s = 0.0;
  double temperature_k_per_s = 0.0;
  bool operator==(const HolderLimits&) const = default;
};

/// What the guard tells the device at one moment, or what it is on its way to.
struct HolderSetpoints {
  SourceSetpoint source;
  double temperature_k = 0.0;
  bool is_output_on = false;
  bool is_heater_on = false;
  bool operator==(const HolderSetpoints&) const = default;
};

/// One command, as it goes over the socket.
struct HolderCommand {
  std::string holder;  // empty with hold, stop, safe, off, disarm: every holder
  HolderVerb verb = HolderVerb::safe;
  std::string who;              // the person; arm needs one
  std::uint64_t token = 0;      // of the lease; not looked at for hold, stop, safe, off, disarm
  SourceSetpoint source;        // set_source
  double temperature_k = 0.0;   // set_temperature
  double rate_per_s = 0.0;      // set_source, set_temperature: V/s, A/s or K/s; 0, or more than the
                                // limits allow = as fast as they allow
  Switch wanted = Switch::off;  // set_output, set_heater
};

}  // namespace latticed
