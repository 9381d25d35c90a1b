// SPDX-License-Identifier: GPL-3.0-or-later
#include "sim/scenario/read_scenario.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/sim/support/small_scenario.hpp"

namespace latticed::sim {
namespace {

using testing::HasSubstr;

std::string mistakes_of(const std::string& text) {
  const auto scenario = parse_scenario(text, "s.toml");
  return scenario ? "none" : scenario.error().message;
}

TEST(ReadScenario, TakesEveryScenarioThatIsShipped) {
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(LATTICED_SCENARIOS)) {
    const auto scenario = read_scenario(entry.path().string());
    EXPECT_TRUE(scenario) << scenario.error().message;
    if (scenario) {
      EXPECT_EQ(scenario->name, entry.path().stem().string());
    }
    ++count;
  }
  EXPECT_GE(count, 6);
}

TEST(ReadScenario, ReportsEveryMistakeAtOnceWithItsLine) {
  const std::string found = mistakes_of(
      "name = \"x\"\n"          // 1
      "seed = \"seven\"\n"      // 2 wrong type
      "colour = 3\n"            // 3 unknown
      "[[detector]]\n"          // 4
      "width = 7\n"             // 5 out of range
      "[specimen]\n"            // 6
      "field = \"sphere\"\n"    // 7 not one of the words
      "edges = [[1.0]]\n"       // 8 not pairs
      "[[step]]\n"              // 9 t_s missing
      "temperature_k = -5\n");  // 10
  EXPECT_THAT(found, HasSubstr("s.toml:2:8: seed: \"seven\" (expected a whole number, 0 or more)"));
  EXPECT_THAT(found, HasSubstr("s.toml:3:1: colour: unknown key"));
  EXPECT_THAT(found,
              HasSubstr("s.toml:5:9: detector[0].width: 7 (expected a whole number, 32 to 8192)"));
  EXPECT_THAT(
      found,
      HasSubstr("s.toml:7:9: specimen.field: \"sphere\" (expected one of particle, lattice)"));
  EXPECT_THAT(found, HasSubstr("s.toml:8:10: specimen.edges"));
  EXPECT_THAT(found, HasSubstr("s.toml:9:1: step[0].t_s: missing"));
  EXPECT_THAT(found,
              HasSubstr("s.toml:10:17: step[0].temperature_k: -5 (expected a number, 1 to 2000)"));
}

TEST(ReadScenario, ReportsAFileThatIsNoToml) {
  EXPECT_THAT(mistakes_of("name = \"x\"\n[detector\n"), HasSubstr("s.toml:2"));
}

TEST(ReadScenario, ReportsWhatIsMissing) {
  const std::string found = mistakes_of("seed = 1\n");
  EXPECT_THAT(found, HasSubstr("name: missing"));
  EXPECT_THAT(found, HasSubstr("at least one [[detector]] is needed"));
  EXPECT_THAT(found, HasSubstr("specimen: missing"));
}

TEST(ReadScenario, RefusesAnExposureLongerThanThePeriod) {
  const std::string found = mistakes_of(
      "name = \"x\"\nframe_period_s = 0.1\n[[detector]]\nexposure_s = 0.2\n[specimen]\nedges = "
      "[[0, 1]]\n");
  EXPECT_EQ(found, "s.toml:4:14: detector[0].exposure_s: 0.2 must not be above frame_period_s 0.1");
}

TEST(ReadScenario, ExposesAScannedFrameFromItsFirstRowToItsLast) {
  const auto text = [](const std::string& keys) {
    return "name = \"x\"\nframe_period_s = 0.3\n[[detector]]\nheight = 100\n" + keys +
           "[specimen]\nedges = [[0, 1]]\n";
  };
  const auto scenario = parse_scenario(text("scan_line_time_s = 0.002\n"), "s");
  ASSERT_TRUE(scenario) << scenario.error().message;
  EXPECT_NEAR(scenario->detectors[0].exposure_s, 0.2, 1e-15);
  EXPECT_EQ(
      mistakes_of(text("exposure_s = 0.1\nscan_line_time_s = 0.002\n")),
      "s.toml:5:14: detector[0].exposure_s: 0.1 must be 0.2, scan_line_time_s x height, or be "
      "left out");
  EXPECT_THAT(mistakes_of(text("scan_line_time_s = 0.004\n")),
              HasSubstr("0.4 must not be above frame_period_s 0.3"));
}

TEST(ReadScenario, ReadsReflectionsOfTheSpecimensOwn) {
  const std::string before = "name = \"x\"\n[[detector]]\n[specimen]\nedges = [[0, 1]]\n";
  const auto scenario = parse_scenario(
      before + "[[specimen.reflection]]\nh = 0.5\nl = 0\namplitude = [[0.0, 0.02]]\n", "s");
  ASSERT_TRUE(scenario) << scenario.error().message;
  ASSERT_EQ(scenario->specimen.reflections.size(), 1u);
  EXPECT_EQ(scenario->specimen.reflections[0].h, 0.5);
  EXPECT_EQ(scenario->specimen.reflections[0].amplitude[0][1], 0.02);
  EXPECT_THAT(mistakes_of(before + "[[specimen.reflection]]\nh = 0\nl = 0\namplitude = [[0, 1]]\n"),
              HasSubstr("h and l must not both be 0"));
  EXPECT_THAT(mistakes_of(before + "[[specimen.reflection]]\nh = 1\n"),
              HasSubstr("amplitude: missing"));
}

TEST(ReadScenario, RefusesACurveThatGoesBack) {
  const std::string found = mistakes_of(
      "name = \"x\"\n[[detector]]\n[specimen]\nedges = [[0, 1]]\nd_layer_nm = [[0.5, 0.55], [0.2, "
      "0.56]]\n");
  EXPECT_EQ(found,
            "s.toml:5:14: specimen.d_layer_nm: point 1: 0.2 must be above the one before, 0.5");
}

TEST(ReadScenario, NamesAFileThatIsNotThere) {
  const auto scenario = read_scenario("/nowhere/at/all.toml");
  ASSERT_FALSE(scenario);
  EXPECT_EQ(scenario.error().code, ErrorCode::not_found);
  EXPECT_THAT(scenario.error().message, HasSubstr("/nowhere/at/all.toml"));
}

TEST(ReadScenario, PutsStepsInTheOrderOfTheirTime) {
  const auto scenario = parse_scenario(
      test::small_scenario(
          1, "[[step]]\nt_s = 2\ncurrent_a = 1e-9\n[[step]]\nt_s = 1\nbeam = \"blank\"\n"),
      "s");
  ASSERT_TRUE(scenario) << scenario.error().message;
  ASSERT_EQ(scenario->steps.size(), 2u);
  EXPECT_EQ(scenario->steps[0].beam_on, false);
  EXPECT_EQ(scenario->steps[1].current_a, 1e-9);
}

}  // namespace
}  // namespace latticed::sim
