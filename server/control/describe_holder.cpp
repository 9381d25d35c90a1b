// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/control/describe_holder.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "server/live/to_proto.hpp"

namespace latticed {

namespace {

static_assert(static_cast<int>(ArmingState::disarmed) + 1 == v1::ARMING_STATE_DISARMED);
static_assert(static_cast<int>(ArmingState::unreachable) + 1 == v1::ARMING_STATE_UNREACHABLE);

v1::SourceMode to_proto(SourceMode mode) {
  return mode == SourceMode::voltage ? v1::SOURCE_MODE_VOLTAGE : v1::SOURCE_MODE_CURRENT;
}

v1::HolderLimits to_proto(const HolderLimits& limits) {
  v1::HolderLimits out;
  if (!limits.voltage_v.is_absent()) {
    out.set_voltage_min_v(limits.voltage_v.low);
    out.set_voltage_max_v(limits.voltage_v.high);
    out.set_voltage_v_per_s(limits.voltage_v_per_s);
  }
  if (!limits.current_a.is_absent()) {
    out.set_current_min_a(limits.current_a.low);
    out.set_current_max_a(limits.current_a.high);
    out.set_current_a_per_s(limits.current_a_per_s);
  }
  if (!limits.temperature_k.is_absent()) {
    out.set_temperature_min_k(limits.temperature_k.low);
    out.set_temperature_max_k(limits.temperature_k.high);
    out.set_temperature_k_per_s(limits.temperature_k_per_s);
  }
  return out;
}

HolderStatus status_of(const std::vector<HolderStatus>& all, const std::string& name) {
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const auto& s) { return s.name == name; });
  if (found != all.end()) return *found;
  HolderStatus unknown;
  unknown.name = name;
  return unknown;
}

}  // namespace

v1::HolderDescription to_proto(const HolderDescription& description, const HolderStatus& status) {
  v1::HolderDescription out;
  out.set_name(description.name);
  out.set_driver(description.driver);
  out.set_model(description.model);
  *out.mutable_limits() = to_proto(description.limits);
  out.set_arming(static_cast<v1::ArmingState>(static_cast<int>(status.state) + 1));
  if (status.cause != TripCause::none)
    out.set_cause(std::string(to_string(status.cause)));
  else if (status.state == ArmingState::unreachable)
    out.set_cause("the guard or the device does not answer");
  out.set_armed_by(status.armed_by);
  out.set_mode(to_proto(status.target.source.mode));
  out.set_source_target(status.target.source.level);
  out.set_source_setpoint(status.present.source.level);
  out.set_compliance(status.present.source.compliance);
  out.set_temperature_target_k(status.target.is_heater_on ? status.target.temperature_k : 0.0);
  out.set_temperature_setpoint_k(status.present.is_heater_on ? status.present.temperature_k : 0.0);
  out.set_ramping(status.is_ramping);
  out.set_output_target_on(status.target.is_output_on);
  out.set_heater_target_on(status.target.is_heater_on);
  if (status.last) *out.mutable_sample() = to_proto(*status.last);
  if (status.last_came_at)
    out.set_sample_age_s(
        std::chrono::duration<double>(std::chrono::steady_clock::now() - *status.last_came_at)
            .count());
  return out;
}

namespace {

/// The guard's word, or the one the whole API has for the same thing (errors.proto).
std::string_view reason_of(const GuardError& error) {
  switch (error.reason) {
    case Refusal::none:  // it has not been asked
      return error.code == ErrorCode::resource_exhausted ? "TOO_MANY" : "GUARD_UNREACHABLE";
    case Refusal::not_a_number:
      return "NOT_FINITE";
    case Refusal::not_armed:
      return "DISARMED";
    case Refusal::no_such_holder:
      return "NOT_FOUND";
    case Refusal::malformed:
      return "INVALID_VALUE";
    default:
      return to_string(error.reason);
  }
}

}  // namespace

grpc::Status to_status(const GuardError& error) {
  rpc::Refusal refusal{{error.code, error.message}, std::string(reason_of(error)), {}};
  if (error.limit) refusal.metadata["limit"] = fmt::format("{}", *error.limit);
  if (error.value) refusal.metadata["value"] = fmt::format("{}", *error.value);
  if (!error.unit.empty()) refusal.metadata["unit"] = error.unit;
  return rpc::to_status(refusal);
}

std::vector<v1::HolderDescription> describe_holders(const GuardLink& guard) {
  std::vector<v1::HolderDescription> out;
  const auto all = guard.status();
  for (const HolderDescription& description : guard.descriptions())
    out.push_back(to_proto(description, status_of(all, description.name)));
  return out;
}

std::optional<v1::HolderDescription> describe_holder(const GuardLink& guard,
                                                     const std::string& name) {
  auto all = describe_holders(guard);
  if (name.empty()) {
    if (all.size() == 1) return std::move(all.front());
    return std::nullopt;
  }
  for (v1::HolderDescription& one : all)
    if (one.name() == name) return std::move(one);
  return std::nullopt;
}

}  // namespace latticed
