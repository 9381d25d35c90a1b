// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/guard/wire.hpp"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

namespace latticed::wire {

using Json = nlohmann::json;

Json number(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }
double number(const Json& json) { return json.is_null() ? kNotMeasured : json.get<double>(); }

Json range(const HolderRange& range) { return Json{range.low, range.high}; }
HolderRange range(const Json& json) { return {json.at(0).get<double>(), json.at(1).get<double>()}; }

Json limits(const HolderLimits& limits) {
  return {{"voltage_v", range(limits.voltage_v)},
          {"current_a", range(limits.current_a)},
          {"temperature_k", range(limits.temperature_k)},
          {"voltage_v_per_s", limits.voltage_v_per_s},
          {"current_a_per_s", limits.current_a_per_s},
          {"temperature_k_per_s", limits.temperature_k_per_s}};
}

HolderLimits limits(const Json& json) {
  return {range(json.at("voltage_v")),
          range(json.at("current_a")),
          range(json.at("temperature_k")),
          json.at("voltage_v_per_s").get<double>(),
          json.at("current_a_per_s").get<double>(),
          json.at("temperature_k_per_s").get<double>()};
}

Json capabilities(const HolderCapabilities& can) {
  return {
      {"voltage_v", range(can.voltage_v)},         {"current_a", range(can.current_a)},
      {"temperature_k", range(can.temperature_k)}, {"holds_voltage", can.holds_voltage},
      {"holds_current", can.holds_current},        {"on_link_loss", to_string(can.on_link_loss)}};
}

HolderCapabilities capabilities(const Json& json) {
  HolderCapabilities can{range(json.at("voltage_v")),          range(json.at("current_a")),
                         range(json.at("temperature_k")),      json.at("holds_voltage").get<bool>(),
                         json.at("holds_current").get<bool>(), OnLinkLoss::unknown};
  const auto word = json.at("on_link_loss").get<std::string>();
  for (const auto what : {OnLinkLoss::outputs_off, OnLinkLoss::outputs_stay}) {
    if (to_string(what) == word) can.on_link_loss = what;
  }
  return can;
}

Json setpoints(const HolderSetpoints& setpoints) {
  return {{"mode", to_string(setpoints.source.mode)},  {"level", setpoints.source.level},
          {"compliance", setpoints.source.compliance}, {"temperature_k", setpoints.temperature_k},
          {"output", setpoints.is_output_on},          {"heater", setpoints.is_heater_on}};
}

HolderSetpoints setpoints(const Json& json) {
  HolderSetpoints out;
  out.source.mode =
      json.at("mode") == to_string(SourceMode::current) ? SourceMode::current : SourceMode::voltage;
  out.source.level = json.at("level").get<double>();
  out.source.compliance = json.at("compliance").get<double>();
  out.temperature_k = json.at("temperature_k").get<double>();
  out.is_output_on = json.at("output").get<bool>();
  out.is_heater_on = json.at("heater").get<bool>();
  return out;
}

Json sample(const HolderSample& sample) {
  const int flags = (sample.is_output_on ? 1 : 0) | (sample.is_heater_on ? 2 : 0) |
                    (sample.is_in_compliance ? 4 : 0);
  return Json{sample.time_ns, number(sample.bias_v), number(sample.current_a),
              number(sample.temperature_k), flags};
}

HolderSample sample(const Json& json) {
  const int flags = json.at(4).get<int>();
  return {json.at(0).get<std::int64_t>(),
          number(json.at(1)),
          number(json.at(2)),
          number(json.at(3)),
          (flags & 1) != 0,
          (flags & 2) != 0,
          (flags & 4) != 0};
}

Json command(const HolderCommand& command) {
  Json out{{"do", to_string(command.verb)}, {"holder", command.holder}};
  if (!command.who.empty()) out["who"] = command.who;
  if (command.token > 0) out["token"] = command.token;
  switch (command.verb) {
    case HolderVerb::set_source:
      out["mode"] = to_string(command.source.mode);
      out["level"] = number(command.source.level);
      out["compliance"] = number(command.source.compliance);
      out["rate_per_s"] = number(command.rate_per_s);
      break;
    case HolderVerb::set_temperature:
      out["temperature_k"] = number(command.temperature_k);
      out["rate_per_s"] = number(command.rate_per_s);
      break;
    case HolderVerb::set_output:
    case HolderVerb::set_heater:
      out["on"] = command.wanted == Switch::on;
      break;
    default:
      break;
  }
  return out;
}

namespace {

Error malformed(const std::string& why) { return {ErrorCode::invalid_argument, why}; }

Result<HolderCommand> read_command(const Json& json) {
  const auto word = json.at("do").get<std::string>();
  const auto verb = from_word<HolderVerb>(kHolderVerbs, word);
  if (!verb) return malformed(fmt::format("\"{}\" is no verb", word));
  HolderCommand out;
  out.verb = *verb;
  out.holder = json.value("holder", "");
  out.who = json.value("who", "");
  out.token = json.value("token", std::uint64_t{0});
  if (out.verb == HolderVerb::set_source) {
    const auto mode = json.at("mode").get<std::string>();
    if (mode != "voltage" && mode != "current")
      return malformed(fmt::format("mode \"{}\": must be voltage or current", mode));
    out.source.mode = mode == "current" ? SourceMode::current : SourceMode::voltage;
    out.source.level = number(json.at("level"));
    // Without one the core says that it is required.
    out.source.compliance = json.contains("compliance") ? number(json.at("compliance")) : 0.0;
  }
  if (json.contains("rate_per_s")) out.rate_per_s = number(json.at("rate_per_s"));
  if (out.verb == HolderVerb::set_temperature) out.temperature_k = number(json.at("temperature_k"));
  if (out.verb == HolderVerb::set_output || out.verb == HolderVerb::set_heater)
    out.wanted = json.at("on").get<bool>() ? Switch::on : Switch::off;
  return out;
}

std::string tried(const HolderCommand& command, const CoreAnswer& answer) {
  const std::string verb(to_string(command.verb));
  const bool is_compliance = answer.reason == Refusal::compliance_above_limit ||
                             answer.reason == Refusal::compliance_required;
  if (answer.unit != ' ')
    return fmt::format("{}{} {} {}", verb, is_compliance ? " compliance" : "", answer.value,
                       answer.unit);
  return command.holder.empty() ? verb : fmt::format("{} of holder {}", verb, command.holder);
}

}  // namespace

Result<HolderCommand> command(const Json& json) {
  try {
    return read_command(json);
  } catch (const Json::exception& error) {
    return malformed(error.what());
  }
}

std::string message(const HolderCommand& command, const CoreAnswer& answer) {
  const auto why = [&]() -> std::string {
    switch (answer.reason) {
      case Refusal::none:
        return "done";
      case Refusal::above_limit:
      case Refusal::compliance_above_limit:
        return fmt::format("above holder limit {} {}", answer.limit, answer.unit);
      case Refusal::below_limit:
        return fmt::format("below holder limit {} {}", answer.limit, answer.unit);
      case Refusal::not_a_number:
        return "not a finite number";
      case Refusal::compliance_required:
        return "a compliance above 0 is required";
      case Refusal::not_supported:
        return "the holder cannot do that, or its limits forbid it";
      case Refusal::not_armed:
        return "the holder is not armed";
      case Refusal::unreachable:
        return "the device does not answer";
      case Refusal::readback_stale:
        return "the device has not been read for too long";
      case Refusal::mode_needs_output_off:
        return "the output must be off to change the mode";
      case Refusal::stale_token:
        return fmt::format("token {} is older than one already seen", command.token);
      case Refusal::nobody_named:
        return "who arms must be named";
      case Refusal::overtaken:
        return "a stop, hold, safe or off came in between";
      case Refusal::busy:
        return "too many commands wait, or the ramp to safe is not over";
      case Refusal::audit_failed:
        return "the audit could not be written";
      case Refusal::no_such_holder:
        return "there is no such holder";
      case Refusal::malformed:
        return "not understood";
    }
    return "refused";
  }();
  return tried(command, answer) + ": " + why;
}

ErrorCode code_of(Refusal reason) noexcept {
  switch (reason) {
    case Refusal::above_limit:
    case Refusal::below_limit:
    case Refusal::compliance_above_limit:
      return ErrorCode::out_of_range;
    case Refusal::not_a_number:
    case Refusal::compliance_required:
    case Refusal::nobody_named:
    case Refusal::not_supported:
    case Refusal::malformed:
      return ErrorCode::invalid_argument;
    case Refusal::unreachable:
      return ErrorCode::unavailable;
    case Refusal::overtaken:
      return ErrorCode::cancelled;
    case Refusal::busy:
      return ErrorCode::resource_exhausted;
    case Refusal::no_such_holder:
      return ErrorCode::not_found;
    case Refusal::none:
    case Refusal::audit_failed:
      return ErrorCode::internal;
    default:
      return ErrorCode::failed_precondition;
  }
}

}  // namespace latticed::wire
