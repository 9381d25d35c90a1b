// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/guard/wire.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

namespace latticed {
namespace {

using Json = nlohmann::json;

Json through_text(const Json& json) { return Json::parse(json.dump()); }

TEST(Wire, EveryCommandArrivesAsItWas) {
  for (std::size_t i = 0; i < kHolderVerbs.size(); ++i) {
    HolderCommand command;
    command.verb = static_cast<HolderVerb>(i);
    command.holder = "bias";
    command.who = "Ada";
    command.token = (1ULL << 60) + 1;
    if (command.verb == HolderVerb::set_source)
      command.source = {SourceMode::current, 1.85e-9, 4.4};
    if (command.verb == HolderVerb::set_temperature) command.temperature_k = 593.1;
    if (command.verb == HolderVerb::set_output) command.wanted = Switch::on;
    const auto back = wire::command(through_text(wire::command(command)));
    ASSERT_TRUE(back) << back.error().message;
    EXPECT_EQ(back->verb, command.verb);
    EXPECT_EQ(back->holder, command.holder);
    EXPECT_EQ(back->who, command.who);
    EXPECT_EQ(back->token, command.token);
    EXPECT_EQ(back->source, command.source);
    EXPECT_EQ(back->temperature_k, command.temperature_k);
    EXPECT_EQ(back->wanted, command.wanted);
  }
}

TEST(Wire, RefusesWhatIsNoCommandInWords) {
  for (const char* text :
       {"{}", R"({"do":7})", R"({"do":"fly"})", R"({"do":"arm","holder":7})",
        R"({"do":"set_output"})", R"({"do":"set_output","on":1})", R"({"do":"set_source"})",
        R"({"do":"set_source","mode":"power","level":1,"compliance":1})",
        R"({"do":"set_temperature","temperature_k":"hot"})", R"({"do":"arm","token":"x"})"}) {
    const auto command = wire::command(Json::parse(text));
    ASSERT_FALSE(command) << text;
    EXPECT_FALSE(command.error().message.empty()) << text;
  }
}

TEST(Wire, SamplesKeepTheirTimeToTheNanosecondAndWhatWasNotMeasured) {
  HolderSample sample;
  sample.time_ns = 1'795'355'926'123'456'789;
  sample.current_a = 1.0 / 3.0;
  sample.is_heater_on = true;
  const HolderSample back = wire::sample(through_text(wire::sample(sample)));
  EXPECT_EQ(back.time_ns, sample.time_ns);
  EXPECT_TRUE(std::isnan(back.bias_v));
  EXPECT_EQ(back.current_a, sample.current_a);
  EXPECT_TRUE(back.is_heater_on);
  EXPECT_FALSE(back.is_output_on);
  EXPECT_FALSE(back.is_in_compliance);
}

TEST(Wire, LimitsCapabilitiesAndSetPointsArriveAsTheyWere) {
  const HolderLimits limits{{-1.0, 5.0}, {-1e-8, 1e-8}, {}, 0.5, 1e-9, 0.0};
  EXPECT_EQ(wire::limits(through_text(wire::limits(limits))), limits);
  HolderCapabilities can;
  can.current_a = {-1.0, 1.0};
  can.holds_current = true;
  can.on_link_loss = OnLinkLoss::outputs_stay;
  const HolderCapabilities back = wire::capabilities(through_text(wire::capabilities(can)));
  EXPECT_EQ(back.current_a, can.current_a);
  EXPECT_TRUE(back.voltage_v.is_absent());
  EXPECT_TRUE(back.holds_current);
  EXPECT_EQ(back.on_link_loss, OnLinkLoss::outputs_stay);
  const HolderSetpoints setpoints{{SourceMode::current, 1e-9, 4.0}, 300.0, true, false};
  EXPECT_EQ(wire::setpoints(through_text(wire::setpoints(setpoints))), setpoints);
}

TEST(Wire, SaysWhatWasTriedAndWhy) {
  HolderCommand command;
  command.verb = HolderVerb::set_source;
  command.holder = "bias";
  EXPECT_EQ(wire::message(command, {Refusal::above_limit, 12.0, 10.0, 'V'}),
            "set_source 12 V: above holder limit 10 V");
  EXPECT_EQ(wire::message(command, {Refusal::compliance_above_limit, 2.0, 1.0, 'A'}),
            "set_source compliance 2 A: above holder limit 1 A");
  command.verb = HolderVerb::arm;
  EXPECT_EQ(wire::message(command, {Refusal::nobody_named, 0.0, 0.0, ' '}),
            "arm of holder bias: who arms must be named");
}

}  // namespace
}  // namespace latticed
