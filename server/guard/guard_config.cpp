// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/guard/guard_config.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "drivers/toml/table_reader.hpp"

namespace latticed {
namespace {

bool read_range(TableReader& in, const char* key, HolderRange& out) {
  std::array<double, 2> pair{out.low, out.high};
  if (!in.pair(key, pair)) return false;
  if (pair[0] >= pair[1])
    in.mistake(key, fmt::format("[{}, {}]: the first must be below the second", pair[0], pair[1]));
  out = {pair[0], pair[1]};
  return true;
}

/// A quantity that may be told needs a slope.
void read_quantity(TableReader& in, const char* key, HolderRange& range, double& rate) {
  const std::string rate_key = std::string(key) + "_per_s";
  const bool is_there = read_range(in, key, range);
  const bool has_rate = in.number(rate_key, rate, kPositive);
  if (is_there && !has_rate) in.require(rate_key, "a number, above 0");
}

void read_limits(TableReader& in, HolderLimits& out) {
  read_quantity(in, "voltage_v", out.voltage_v, out.voltage_v_per_s);
  read_quantity(in, "current_a", out.current_a, out.current_a_per_s);
  read_quantity(in, "temperature_k", out.temperature_k, out.temperature_k_per_s);
  for (const auto& [key, range] :
       {std::pair("voltage_v", out.voltage_v), std::pair("current_a", out.current_a)}) {
    if (!range.is_absent() && !range.contains(0.0))
      in.mistake(key, "0 must be within: it is where an output begins and ends");
  }
  if (out.voltage_v.is_absent() != out.current_a.is_absent())
    in.mistake(out.voltage_v.is_absent() ? "voltage_v" : "current_a",
               "missing: a source is limited in both, one of them is its compliance");
  in.finish();
}

void read_safe(TableReader& in, HolderPolicy& out) {
  in.number("temperature_k", out.safe_temperature_k, kPositive);
  double longest_s = 1e-3 * static_cast<double>(out.longest_safe.count());
  in.number("longest_s", longest_s, {0.01, 3600.0});
  out.longest_safe = std::chrono::milliseconds(static_cast<std::int64_t>(1e3 * longest_s));
  std::size_t how = static_cast<std::size_t>(out.voltage_off);
  in.choice("voltage_off", how, {"ramp", "open"});
  out.voltage_off = static_cast<VoltageOff>(how);
  in.finish();
}

GuardedHolder read_holder(TableReader& in) {
  GuardedHolder out;
  in.require("name");
  in.text("name", out.name);
  std::size_t driver = 0;
  in.choice("driver", driver, {"simulator"});
  if (auto simulator = in.table("simulator")) {
    simulator->require("socket");
    simulator->text("socket", out.simulator.socket);
    double timeout_s = 1e-3 * static_cast<double>(out.simulator.timeout.count());
    simulator->number("timeout_s", timeout_s, {0.01, 60.0});
    out.simulator.timeout = std::chrono::milliseconds(static_cast<std::int64_t>(1e3 * timeout_s));
    simulator->finish();
  } else {
    in.require("simulator", "a table [holder.simulator]");
  }
  in.require("limits", "a table [holder.limits]");
  if (auto limits = in.table("limits")) read_limits(*limits, out.policy.limits);
  if (auto safe = in.table("safe")) read_safe(*safe, out.policy);
  const HolderRange& heat = out.policy.limits.temperature_k;
  if (!heat.is_absent() && !heat.contains(out.policy.safe_temperature_k)) {
    in.mistake("safe", fmt::format("temperature_k {} must be within the limits, {} to {}",
                                   out.policy.safe_temperature_k, heat.low, heat.high));
  }
  std::size_t policy = 0;
  in.choice("on_heartbeat_loss", policy, {"safe", "hold"});
  out.policy.on_heartbeat_loss = static_cast<OnHeartbeatLoss>(policy);
  double stale_s = 1e-3 * static_cast<double>(out.policy.stale_after.count());
  in.number("stale_after_s", stale_s, {0.05, 60.0});
  out.policy.stale_after = std::chrono::milliseconds(static_cast<std::int64_t>(1e3 * stale_s));
  in.finish();
  return out;
}

void read_guard(TableReader& in, GuardConfig& out) {
  in.text("socket", out.socket);
  in.text("safe_off_socket", out.safe_off_socket);
  in.text("audit", out.audit);
  in.integer("heartbeat_ms", out.heartbeat_ms, {10.0, 10000.0});
  in.integer("missed_heartbeats", out.missed_heartbeats, {1.0, 100.0});
  in.integer("driver_patience_ms", out.driver_patience_ms, {50.0, 60000.0});
  if (out.socket == out.safe_off_socket)
    in.mistake("safe_off_socket", "must not be that of the daemon");
  in.finish();
}

GuardConfig read(TableReader& root) {
  GuardConfig out;
  if (auto guard = root.table("guard")) read_guard(*guard, out);
  for (TableReader& in : root.tables("holder")) {
    GuardedHolder holder = read_holder(in);
    const bool is_known = std::any_of(out.holders.begin(), out.holders.end(),
                                      [&](const auto& other) { return other.name == holder.name; });
    if (is_known) in.mistake("name", fmt::format("\"{}\" is used twice", holder.name));
    out.holders.push_back(std::move(holder));
  }
  if (out.holders.empty()) root.mistake("holder", "at least one [[holder]] is needed");
  root.finish();
  return out;
}

}  // namespace

Result<GuardConfig> parse_guard_config(std::string_view text, const std::string& file) {
  GuardConfig config;
  auto ok = read_toml(text, file, [&](TableReader& root) { config = read(root); });
  if (!ok) return ok.error();
  return config;
}

Result<GuardConfig> read_guard_config(const std::string& path) {
  GuardConfig config;
  auto ok =
      read_toml_file(path, "guard configuration", [&](TableReader& root) { config = read(root); });
  if (!ok) return ok.error();
  return config;
}

}  // namespace latticed
