// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/process/alert_rules.hpp"

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

}  // namespace latticed
