// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/process/alert_rules.hpp"

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

namespace latticed {

std::vector<AlertRule> default_rules() {
  AlertRule spacing{.name = "spacing_change", .quantity = Quantity::spot_d_nm};
  AlertRule presence{.name = "spot_presence", .quantity = Quantity::spot_presence};
  AlertRule crystallinity{.name = "crystallinity_change", .quantity = Quantity::crystallinity};
  AlertRule lost{.name = "drift_lost", .quantity = Quantity::drift_lost, .kind = RuleKind::limit};
  lost.above = 0.5;
  lost.dwell_frames = 3;
  return {spacing, presence, crystallinity, lost};
}

Result<void> check_rules(const std::vector<AlertRule>& rules) {
  std::set<std::string> names;
  for (const AlertRule& rule : rules) {
    const auto refuse = [&](const std::string& what) {
      return Error{ErrorCode::invalid_argument, "alert rule \"" + rule.name + "\": " + what};
    };
    if (rule.name.empty()) return refuse("expected a name");
    if (!names.insert(rule.name).second) return refuse("the name is there twice");
    if (rule.of == RuleOf::sum && !is_of_sums(rule.quantity))
      return refuse(std::string(to_string(rule.quantity)) + " has no meaning of a running sum");
    if (std::isnan(rule.above) || std::isnan(rule.below) || !(rule.above >= rule.below))
      return refuse("expected above >= below");
    if (rule.kind == RuleKind::limit && !std::isfinite(rule.above) && !std::isfinite(rule.below))
      return refuse("a limit needs above or below");
    if (!(rule.hysteresis >= 0.0) || !std::isfinite(rule.hysteresis))
      return refuse("hysteresis " + std::to_string(rule.hysteresis) + ": expected 0 or more");
    if (rule.dwell_frames < 1)
      return refuse("dwell_frames " + std::to_string(rule.dwell_frames) + ": expected 1 or more");
    if (!(rule.false_alarms_per_hour > 0.0) || !std::isfinite(rule.false_alarms_per_hour))
      return refuse("false_alarms_per_hour " + std::to_string(rule.false_alarms_per_hour) +
                    ": expected more than 0");
    if (!(rule.d_max_nm >= rule.d_min_nm)) return refuse("expected d_max_nm >= d_min_nm");
  }
  return {};
}

RuleBook::RuleBook(const std::vector<AlertRule>& rules) : pages_(std::make_shared<Pages>()) {
  const std::size_t count = std::min(rules.size(), kMaxRules);
  for (std::size_t i = 0; i < count; ++i) (void)add(std::make_unique<const AlertRule>(rules[i]));
}

std::uint16_t RuleBook::add(std::unique_ptr<const AlertRule> rule) noexcept {
  const std::size_t number = pages_->count.load(std::memory_order_relaxed);
  pages_->rules[number] = std::move(rule);
  pages_->count.store(number + 1, std::memory_order_release);  // publishes the rule
  return static_cast<std::uint16_t>(number);
}

}  // namespace latticed
