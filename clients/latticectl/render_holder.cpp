// SPDX-License-Identifier: GPL-3.0-or-later
#include <fmt/format.h>

#include "clients/latticectl/numbers.hpp"
#include "clients/latticectl/render.hpp"

namespace latticed::latticectl {

namespace {

std::string kelvin(double temperature_k) { return fmt::format("{:.1f} K", temperature_k); }

std::string joined(const std::vector<std::string>& parts) {
  return parts.empty() ? "nothing measured" : fmt::format("{}", fmt::join(parts, ", "));
}

/// Of a sample or a state: what it measures.
template <class Reading>
std::vector<std::string> readings(const Reading& reading) {
  std::vector<std::string> parts;
  if (reading.has_bias_v()) parts.push_back(with_prefix(reading.bias_v(), "V"));
  if (reading.has_current_a()) parts.push_back(with_prefix(reading.current_a(), "A"));
  if (reading.has_temperature_k()) parts.push_back(kelvin(reading.temperature_k()));
  return parts;
}

std::string sample_text(const v1::HolderSample& sample) {
  auto parts = readings(sample);
  parts.push_back(sample.output_on() ? "output ON" : "output off");
  if (sample.heater_on()) parts.emplace_back("heater ON");
  if (sample.in_compliance()) parts.emplace_back("IN COMPLIANCE");
  return joined(parts);
}

std::string target_text(const v1::HolderDescription& h) {
  std::vector<std::string> parts;
  const bool is_voltage = h.mode() == v1::SOURCE_MODE_VOLTAGE;
  if (is_voltage || h.mode() == v1::SOURCE_MODE_CURRENT) {
    const char* unit = is_voltage ? "V" : "A";
    parts.push_back(fmt::format("source {} (now {}), compliance {}",
                                with_prefix(h.source_target(), unit),
                                with_prefix(h.source_setpoint(), unit),
                                with_prefix(h.compliance(), is_voltage ? "A" : "V")));
  }
  if (h.output_target_on()) parts.emplace_back("output on");
  if (h.temperature_target_k() > 0.0) {
    parts.push_back(fmt::format("heater {} (now {})", kelvin(h.temperature_target_k()),
                                kelvin(h.temperature_setpoint_k())));
  }
  if (h.ramping()) parts.emplace_back("ramping");
  return parts.empty() ? "nothing set" : fmt::format("{}", fmt::join(parts, "; "));
}

std::string range_text(double low, double high, const char* unit) {
  return fmt::format("{} to {}", with_prefix(low, unit), with_prefix(high, unit));
}

std::string limits_text(const v1::HolderLimits& l) {
  std::vector<std::string> parts;
  if (l.has_voltage_max_v()) {
    parts.push_back(range_text(l.voltage_min_v(), l.voltage_max_v(), "V"));
  }
  if (l.has_voltage_v_per_s()) parts.push_back(with_prefix(l.voltage_v_per_s(), "V/s"));
  if (l.has_current_max_a()) {
    parts.push_back(range_text(l.current_min_a(), l.current_max_a(), "A"));
  }
  if (l.has_current_a_per_s()) parts.push_back(with_prefix(l.current_a_per_s(), "A/s"));
  if (l.has_temperature_max_k()) {
    parts.push_back(
        fmt::format("{} to {}", kelvin(l.temperature_min_k()), kelvin(l.temperature_max_k())));
  }
  if (l.has_temperature_k_per_s()) {
    parts.push_back(fmt::format("{:.4g} K/s", l.temperature_k_per_s()));
  }
  return parts.empty() ? "none" : fmt::format("{}", fmt::join(parts, ", "));
}

std::string description(const v1::HolderDescription& h) {
  std::string out = fmt::format("{}  {}", h.name(), word(h.arming()));
  if (!h.armed_by().empty()) out += " by " + h.armed_by();
  if (!h.cause().empty()) out += ": " + h.cause();
  out += fmt::format("\n  is      {}", sample_text(h.sample()));
  out += h.sample().time_ns() != 0 ? fmt::format(" ({} ago)", with_prefix(h.sample_age_s(), "s"))
                                   : " (no sample yet)";
  out += "\n  set     " + target_text(h);
  out += "\n  limits  " + limits_text(h.limits());
  return out + fmt::format("\n  device  {} {}\n", h.driver(), h.model());
}

template <class Holders>
std::string descriptions(const Holders& holders) {
  std::string out;
  for (const auto& holder : holders) out += description(holder);
  return out;
}

}  // namespace

std::string to_text(const v1::ListHoldersReply& reply) {
  std::string out = reply.guard_reachable()
                        ? ""
                        : "THE GUARD DOES NOT ANSWER: what follows is the last that was known\n";
  return out + (reply.holders().empty() ? "no holders\n" : descriptions(reply.holders()));
}

std::string to_text(const v1::HolderReply& reply) { return description(reply.holder()); }

std::string to_text(const v1::SafeOffReply& reply) {
  return "safe-off taken\n" + descriptions(reply.holders());
}

std::string to_line(const v1::HolderEvent& event) {
  std::string out;
  const std::string begin = mark(event.stamp()) + event.holder() + "  ";
  if (event.has_changed()) {
    const auto& now = event.changed();
    out += begin + word(now.arming()) + (now.cause().empty() ? "" : ": " + now.cause()) + "; " +
           target_text(now) + "\n";
  }
  if (!event.samples().empty()) {
    const auto& last = *event.samples().rbegin();
    out += begin + utc(last.time_ns()) + "  " + sample_text(last);
    if (event.samples_size() > 1) out += fmt::format("  ({} samples)", event.samples_size());
    if (event.skipped() > 0) out += fmt::format("  ({} missed so far)", event.skipped());
    out += "\n";
  }
  return out;
}

std::string to_text(const v1::HolderState& state) {
  auto parts = readings(state);
  parts.push_back(state.output_on() ? "output ON" : "output off");
  if (state.provisional()) parts.push_back(fmt::format("~{:.2f} s", state.age_s()));
  return joined(parts);
}

}  // namespace latticed::latticectl
