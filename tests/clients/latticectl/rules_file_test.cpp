// SPDX-License-Identifier: GPL-3.0-or-later
#include "clients/latticectl/rules_file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "clients/latticectl/json.hpp"

namespace latticed::latticectl {
namespace {

using testing::HasSubstr;

v1::RulesReply two_rules() {
  v1::RulesReply reply;
  auto* limit = reply.add_rules();
  limit->set_name("too \"hot\"\n");
  limit->set_quantity("drift_speed_px");
  limit->set_kind("limit");
  limit->set_above(0.1);
  limit->set_below(-3.0);
  limit->set_hysteresis(0.05);
  limit->set_dwell_frames(3);
  auto* change = reply.add_rules();
  change->set_name("spacing");
  change->set_quantity("spot_d_nm");
  change->set_kind("change");
  change->set_false_alarms_per_hour(1e-6);
  change->set_d_min_nm(0.25);
  change->set_d_max_nm(0.28);
  return reply;
}

TEST(RulesFile, ReadsBackWhatItPrints) {
  const auto read = parse_rules(to_toml(two_rules()), "rules.toml");
  ASSERT_TRUE(read) << read.error().message;
  v1::SetRulesRequest wanted;
  *wanted.mutable_rules() = two_rules().rules();
  EXPECT_EQ(to_json(*read), to_json(wanted));
}

TEST(RulesFile, ReadsBackThatThereAreNoRules) {
  const auto read = parse_rules(to_toml({}), "rules.toml");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->rules_size(), 0);
}

TEST(RulesFile, TakesTheKeysOfTheConfiguration) {
  const auto read = parse_rules(
      "[[rule]]\nname = \"a\"\nquantity = \"crystallinity\"\nkind = \"limit\"\nabove = inf\n"
      "below = 0.2\nd_max_nm = inf\n",
      "rules.toml");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_FALSE(read->rules(0).has_above());  // inf means no limit
  EXPECT_FALSE(read->rules(0).has_d_max_nm());
  EXPECT_EQ(read->rules(0).below(), 0.2);
}

TEST(RulesFile, NamesAllMistakesWithTheirLines) {
  const auto read = parse_rules("[[rule]]\nname = 3\nquantity = \"x\"\nabov = 1.0\n", "r.toml");
  ASSERT_FALSE(read);
  EXPECT_THAT(read.error().message, HasSubstr("r.toml:2"));
  EXPECT_THAT(read.error().message, HasSubstr("abov"));
}

TEST(RulesFile, IsNoRulesFileWithoutRules) {
  EXPECT_FALSE(parse_rules("", "empty.toml"));
  EXPECT_FALSE(read_rules("/nonexistent/rules.toml"));
}

}  // namespace
}  // namespace latticed::latticectl
