// SPDX-License-Identifier: GPL-3.0-or-later
#include "clients/latticectl/holder_steps.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace latticed::latticectl {
namespace {

using testing::HasSubstr;

TEST(HolderSteps, AreReadInOrder) {
  const auto steps = parse_steps(
      R"([{"frame":0,"current_a":1e-9,"temperature_k":null},{"frame":40,"temperature_k":573.15},
          {"frame":40,"bias_v":0}])",
      "s.json");
  ASSERT_TRUE(steps) << steps.error().message;
  ASSERT_EQ(steps->size(), 3u);
  EXPECT_EQ((*steps)[0].current_a, 1e-9);
  EXPECT_FALSE((*steps)[0].temperature_k);
  EXPECT_EQ((*steps)[1].frame, 40u);
  EXPECT_EQ((*steps)[2].bias_v, 0.0);
  EXPECT_EQ(to_text((*steps)[0]), "1 nA");
}

TEST(HolderSteps, AreRefusedWithTheirNumberAndTheReason) {
  const std::pair<const char*, const char*> wrong[] = {
      {R"({"frame":1})", "list"},
      {R"([{"frame":1)", "list"},
      {R"([3])", "step 1: expected an object"},
      {R"([{"current_a":1}])", "frame"},
      {R"([{"frame":-1,"current_a":1}])", "frame"},
      {R"([{"frame":1.5,"current_a":1}])", "frame"},
      {R"([{"frame":1,"current_a":"1"}])", "current_a"},
      {R"([{"frame":1,"current_ma":1}])", "current_ma: unknown"},
      {R"([{"frame":1,"current_a":1,"bias_v":1}])", "not both"},
      {R"([{"frame":1}])", "tells nothing"},
      {R"([{"frame":1,"temperature_k":-3}])", "below 0 K"},
      {R"([{"frame":5,"current_a":1},{"frame":4,"current_a":1}])", "step 2: frame 4 after"}};
  for (const auto& [text, why] : wrong) {
    const auto steps = parse_steps(text, "s.json");
    ASSERT_FALSE(steps) << text;
    EXPECT_THAT(steps.error().message, HasSubstr(why)) << text;
  }
}

}  // namespace
}  // namespace latticed::latticectl
