// SPDX-License-Identifier: GPL-3.0-or-later
#include "sim/world/world.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/sim/support/build_scenario.hpp"

namespace latticed::sim {
namespace {

using Json = nlohmann::json;

class WorldAnswers : public testing::Test {
 protected:
  void SetUp() override {
    RunOptions options;
    options.speed = 0.0;
    auto world = World::create(test::still_scenario(64), options);
    ASSERT_TRUE(world) << world.error().message;
    world_ = std::move(*world);
  }
  void TearDown() override { world_->leave(client_); }
  Json ask(const std::string& line) { return Json::parse(world_->answer(client_, line).line); }

  std::unique_ptr<World> world_;
  Client client_{nullptr, 0, false, false, [] {}};
};

TEST_F(WorldAnswers, DescribesItsDetectors) {
  const Json reply = ask(R"({"cmd":"describe"})");
  EXPECT_TRUE(reply["ok"].get<bool>());
  EXPECT_EQ(reply["detectors"][0]["width"], 64);
  EXPECT_EQ(reply["detectors"][0]["scan_line_time_s"], 0.0);
  EXPECT_FALSE(reply.contains("truth"));
}

TEST_F(WorldAnswers, RefusesWhatIsNoCommandAndStaysUp) {
  for (const char* line :
       {"", "{", "[]", "7", R"({"cmd":7})", R"({"cmd":"fly"})", R"({})", "\xff\xfe",
        R"({"cmd":"open","detector":5})", R"({"cmd":"set","current_a":"much"})"}) {
    const Json reply = ask(line);
    EXPECT_FALSE(reply["ok"].get<bool>()) << line;
    EXPECT_FALSE(reply["message"].get<std::string>().empty()) << line;
  }
  EXPECT_TRUE(ask(R"({"cmd":"status"})")["ok"].get<bool>());
}

TEST_F(WorldAnswers, KeepsTheOrderOfConfigureArmStart) {
  EXPECT_EQ(ask(R"({"cmd":"arm"})")["code"], "failed_precondition");
  EXPECT_TRUE(ask(R"({"cmd":"open"})")["ok"].get<bool>());
  EXPECT_EQ(ask(R"({"cmd":"arm"})")["code"], "failed_precondition");
  EXPECT_TRUE(ask(R"({"cmd":"configure","frame_count":2})")["ok"].get<bool>());
  EXPECT_EQ(ask(R"({"cmd":"start"})")["code"], "failed_precondition");
  EXPECT_TRUE(ask(R"({"cmd":"arm"})")["ok"].get<bool>());
  EXPECT_TRUE(ask(R"({"cmd":"start"})")["ok"].get<bool>());
}

TEST_F(WorldAnswers, NamesTheDetectorsThereAre) {
  const Json reply = ask(R"({"cmd":"open","detector":"eels"})");
  EXPECT_EQ(reply["code"], "not_found");
  EXPECT_NE(reply["message"].get<std::string>().find("camera"), std::string::npos);
}

TEST_F(WorldAnswers, RefusesSetPointsOutOfRange) {
  EXPECT_EQ(ask(R"({"cmd":"set","temperature_k":1e6})")["code"], "out_of_range");
  EXPECT_EQ(ask(R"({"cmd":"set","current_a":2.0})")["code"], "out_of_range");
  EXPECT_EQ(ask(R"({"cmd":"set"})")["code"], "invalid_argument");
  EXPECT_EQ(ask(R"({"cmd":"set","temperature_k":400})")["frame"], 0);
  EXPECT_EQ(ask(R"({"cmd":"set","specimen_in":1})")["code"], "invalid_argument");
}

TEST_F(WorldAnswers, TakesASourceOfEitherModeAndSaysWhatItHolds) {
  EXPECT_TRUE(ask(R"({"cmd":"open_holder"})")["ok"].get<bool>());
  EXPECT_EQ(ask(R"({"cmd":"source","mode":"power","level":1,"compliance":1})")["code"],
            "invalid_argument");
  EXPECT_EQ(ask(R"({"cmd":"source","current_a":1e-9,"compliance_v":1})")["code"],
            "invalid_argument");
  EXPECT_EQ(ask(R"({"cmd":"source","mode":"voltage","level":4.2,"compliance":1e-9})")["frame"], 0);
  EXPECT_EQ(ask(R"({"cmd":"status"})")["holder"]["current_a"], 0.0);
  EXPECT_TRUE(ask(R"({"cmd":"output","on":true})")["ok"].get<bool>());
  EXPECT_EQ(ask(R"({"cmd":"status"})")["holder"]["source_v"], 4.2);
  EXPECT_TRUE(ask(R"({"cmd":"status"})")["holder"]["current_a"].is_null());
  EXPECT_EQ(ask(R"({"cmd":"source","mode":"current","level":0,"compliance":1})")["code"],
            "failed_precondition");
  EXPECT_TRUE(ask(R"({"cmd":"output","on":false})")["ok"].get<bool>());
  EXPECT_EQ(ask(R"({"cmd":"source","mode":"current","level":1e-9,"compliance":1})")["frame"], 0);
}

TEST(World, RefusesAPhaseItDoesNotKnow) {
  Scenario scenario = test::still_scenario(64);
  scenario.specimen.phase = "Q7";
  const auto world = World::create(scenario, {});
  ASSERT_FALSE(world);
  EXPECT_EQ(world.error().code, ErrorCode::not_found);
  EXPECT_NE(world.error().message.find("P2"), std::string::npos);
}

}  // namespace
}  // namespace latticed::sim
