// SPDX-License-Identifier: GPL-3.0-or-later
// The rules in force, and changing them. Whoever runs the acquisition implements it.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "drivers/kit/result.hpp"
#include "server/process/alert_rules.hpp"

namespace latticed {

class RulesControl {
 public:
  virtual ~RulesControl() = default;
  /// In force. Any thread, as set().
  [[nodiscard]] virtual std::vector<AlertRule> get() = 0;
  /// Replaces all of them. In a running run: the first frame they hold for, by detector. Waits for
  /// that at most until `deadline`.
  virtual Result<std::map<std::string, std::uint64_t>> set(
      std::vector<AlertRule> rules, std::chrono::steady_clock::time_point deadline) = 0;
};

}  // namespace latticed
