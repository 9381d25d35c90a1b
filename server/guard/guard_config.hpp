// SPDX-License-Identifier: GPL-3.0-or-later
// What the guard's own file says (deploy/guard.toml): sockets, holders, and what each may at most
// be told. The daemon can tighten nothing and loosen nothing of it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "drivers/kit/result.hpp"
#include "drivers/simulator/sim_holder.hpp"
#include "server/guard/holder_core.hpp"

namespace latticed {

struct GuardedHolder {
  std::string name;
  std::string driver = "simulator";
  SimHolderOptions simulator;
  HolderPolicy policy;
};

struct GuardConfig {
  std::string socket = "/run/latticed/guard.sock";
  std::string safe_off_socket = "/run/latticed/safe-off.sock";
  std::string audit = "/var/log/latticed/guard-audit.jsonl";
  int heartbeat_ms = 100;
  int missed_heartbeats = 5;
  int driver_patience_ms = 1000;
  std::vector<GuardedHolder> holders;
};

/// All mistakes at once, with their lines.
Result<GuardConfig> parse_guard_config(std::string_view text, const std::string& file);
Result<GuardConfig> read_guard_config(const std::string& path);

}  // namespace latticed
