// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/guard/guard_config.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace latticed {
namespace {

using testing::HasSubstr;

constexpr const char* kHolder =
    "[[holder]]\nname = \"bias\"\n[holder.simulator]\nsocket = \"/w.sock\"\n[holder.limits]\n";
constexpr const char* kSource =
    "voltage_v = [-1, 5]\nvoltage_v_per_s = 1\ncurrent_a = [-1e-6, 1e-6]\ncurrent_a_per_s = 1e-7\n";

std::string mistakes(const std::string& text) {
  const auto config = parse_guard_config(text, "g.toml");
  return config ? "" : config.error().message;
}

TEST(GuardConfig, ReadsTheShippedFile) {
  const auto config = read_guard_config(LATTICED_SHIPPED_GUARD_CONFIG);
  ASSERT_TRUE(config) << config.error().message;
  const GuardConfig defaults;
  EXPECT_EQ(config->socket, defaults.socket);
  EXPECT_EQ(config->safe_off_socket, defaults.safe_off_socket);
  EXPECT_EQ(config->audit, defaults.audit);
  EXPECT_EQ(config->heartbeat_ms, defaults.heartbeat_ms);
  EXPECT_EQ(config->missed_heartbeats, defaults.missed_heartbeats);
  EXPECT_EQ(config->driver_patience_ms, defaults.driver_patience_ms);
  ASSERT_EQ(config->holders.size(), 1u);
  const HolderPolicy& policy = config->holders[0].policy;
  const HolderPolicy none;
  EXPECT_EQ(policy.safe_temperature_k, none.safe_temperature_k);
  EXPECT_EQ(policy.longest_safe, none.longest_safe);
  EXPECT_EQ(policy.stale_after, none.stale_after);
  EXPECT_EQ(policy.on_heartbeat_loss, none.on_heartbeat_loss);
  EXPECT_EQ(policy.limits.voltage_v, (HolderRange{-0.5, 5.0}));
}

TEST(GuardConfig, ForbidsWhatIsLeftOut) {
  const auto config = parse_guard_config(std::string(kHolder) + kSource, "g.toml");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_TRUE(config->holders[0].policy.limits.temperature_k.is_absent());
  EXPECT_FALSE(config->holders[0].policy.limits.current_a.is_absent());
}

TEST(GuardConfig, NamesAllMistakesTogether) {
  const std::string said = mistakes(
      "[guard]\nsokcet = \"x\"\nheartbeat_ms = 0\n[[holder]]\nname = \"a\"\ndriver = \"magic\"\n");
  EXPECT_THAT(said, HasSubstr("g.toml:2:1: guard.sokcet: unknown key"));
  EXPECT_THAT(said, HasSubstr("heartbeat_ms"));
  EXPECT_THAT(said, HasSubstr("driver: \"magic\""));
  EXPECT_THAT(said, HasSubstr("limits: missing"));
  EXPECT_THAT(said, HasSubstr("simulator: missing"));
}

TEST(GuardConfig, WantsLimitsThatMakeSense) {
  const std::string head(kHolder);
  EXPECT_THAT(mistakes(head + "voltage_v = [5, -1]\nvoltage_v_per_s = 1\n"), HasSubstr("below"));
  EXPECT_THAT(mistakes(head + "voltage_v = [1, 5]\nvoltage_v_per_s = 1\n"), HasSubstr("0 must"));
  EXPECT_THAT(mistakes(head + "voltage_v = [-1, 5]\nvoltage_v_per_s = 1\n"),
              HasSubstr("compliance"));
  EXPECT_THAT(mistakes(head + "voltage_v = [-1, 5]\n"), HasSubstr("voltage_v_per_s: missing"));
  EXPECT_THAT(mistakes(head + kSource + "temperature_k = [300, 400]\ntemperature_k_per_s = 1\n"),
              HasSubstr("within the limits"));
  EXPECT_THAT(mistakes(head + kSource + kHolder + kSource), HasSubstr("used twice"));
  EXPECT_THAT(mistakes(""), HasSubstr("at least one [[holder]]"));
  EXPECT_THAT(mistakes(head + "voltage_v = [-1, nan]\n"), HasSubstr("pair of numbers"));
}

}  // namespace
}  // namespace latticed
