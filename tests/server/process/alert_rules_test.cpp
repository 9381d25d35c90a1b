// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/process/alert_rules.hpp"

#include <gtest/gtest.h>

#include <set>

namespace latticed::test {
namespace {

TEST(AlertRules, EveryQuantityHasANameOfItsOwnAndAUnit) {
  std::set<std::string_view> names;
  for (std::size_t q = 0; q < kQuantities; ++q) {
    names.insert(to_string(static_cast<Quantity>(q)));
    EXPECT_FALSE(unit_of(static_cast<Quantity>(q)).empty());
  }
  EXPECT_EQ(names.size(), kQuantities);
}

TEST(AlertRules, QuantitiesOfSpotsAreThoseNamedSo) {
  for (std::size_t q = 0; q < kQuantities; ++q) {
    const auto quantity = static_cast<Quantity>(q);
    const bool is_named_so =
        to_string(quantity).starts_with("spot_") && quantity != Quantity::spot_count;
    EXPECT_EQ(is_per_spot(quantity), is_named_so) << to_string(quantity);
  }
}

TEST(AlertRules, TheDefaultsWatchSpacingPresenceCrystallinityAndLostDrift) {
  std::set<Quantity> watched;
  std::set<std::string> names;
  for (const AlertRule& rule : default_rules()) {
    watched.insert(rule.quantity);
    names.insert(rule.name);
    EXPECT_GT(rule.false_alarms_per_hour, 0.0);
    EXPECT_GE(rule.dwell_frames, 1);
    EXPECT_GE(rule.hysteresis, 0.0);
  }
  EXPECT_EQ(names.size(), default_rules().size());
  EXPECT_EQ(watched, (std::set{Quantity::spot_d_nm, Quantity::spot_presence,
                               Quantity::crystallinity, Quantity::drift_lost}));
}

}  // namespace
}  // namespace latticed::test
