// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/process/alert_rules.hpp"

#include <gtest/gtest.h>

#include <cmath>
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

TEST(AlertRules, TheirCheckNamesTheRuleAndWhatIsWrong) {
  EXPECT_TRUE(check_rules(default_rules()));
  EXPECT_TRUE(check_rules({}));
  const auto refused = [](auto&& spoil) {
    std::vector<AlertRule> rules = default_rules();
    spoil(rules);
    const auto outcome = check_rules(rules);
    return outcome ? std::string("accepted") : outcome.error().message;
  };
  using Rules = std::vector<AlertRule>;
  EXPECT_EQ(refused([](Rules& r) { r[1].name.clear(); }), "alert rule \"\": expected a name");
  EXPECT_EQ(refused([](Rules& r) { r[1].name = r[0].name; }),
            "alert rule \"spacing_change\": the name is there twice");
  EXPECT_EQ(refused([](Rules& r) { r[3].above = NAN; }),
            "alert rule \"drift_lost\": expected above >= below");
  EXPECT_EQ(refused([](Rules& r) { r[3].above = INFINITY; }),
            "alert rule \"drift_lost\": a limit needs above or below");
  EXPECT_NE(refused([](Rules& r) { r[0].hysteresis = -1.0; }), "accepted");
  EXPECT_NE(refused([](Rules& r) { r[0].dwell_frames = 0; }), "accepted");
  EXPECT_NE(refused([](Rules& r) { r[0].false_alarms_per_hour = 0.0; }), "accepted");
  EXPECT_NE(refused([](Rules& r) { r[0].d_max_nm = -1.0; }), "accepted");
}

TEST(RuleBook, IsSharedByItsCopiesAndKeepsItsNumbers) {
  RuleBook sut(default_rules());
  const RuleBook copy = sut;
  ASSERT_EQ(copy.size(), 4u);
  const AlertRule& first = copy[0];
  EXPECT_EQ(sut.add(std::make_unique<const AlertRule>(AlertRule{.name = "fifth"})), 4u);
  ASSERT_EQ(copy.size(), 5u);
  EXPECT_EQ(copy[4].name, "fifth");
  EXPECT_EQ(&copy[0], &first);
  EXPECT_EQ(RuleBook().size(), 0u);
}

}  // namespace
}  // namespace latticed::test
