// SPDX-License-Identifier: GPL-3.0-or-later
#include "sim/truth/truth_writer.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/sim/support/build_scenario.hpp"
#include "tests/sim/support/temporary_directory.hpp"

namespace latticed::sim {
namespace {

using Json = nlohmann::json;

std::vector<Json> truth_of(const Scenario& scenario, int frames) {
  const test::TemporaryDirectory directory;
  Specimen specimen(scenario, test::phases(), 1.0);
  {
    auto sut =
        TruthWriter::create(directory.file("truth.jsonl"), scenario, scenario.detectors.front());
    EXPECT_TRUE(sut);
    for (int i = 0; i < frames; ++i)
      (*sut)->write(specimen.advance({}), i == 2 ? LossReason::incomplete : LossReason::none);
  }
  std::vector<Json> lines;
  std::ifstream in(directory.file("truth.jsonl"));
  for (std::string line; std::getline(in, line);) lines.push_back(Json::parse(line));
  return lines;
}

TEST(TruthWriter, BeginsWithAHeaderAndHasALineForEachFrame) {
  const auto lines = truth_of(test::still_scenario(), 4);
  ASSERT_EQ(lines.size(), 5u);
  EXPECT_EQ(lines[0]["truth"], 1);
  EXPECT_EQ(lines[0]["pixel_size_nm"], 0.04);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(lines[static_cast<std::size_t>(i) + 1]["frame"], i);
  EXPECT_TRUE(lines[2]["lost"].is_null());
  EXPECT_EQ(lines[3]["lost"], "incomplete");
}

TEST(TruthWriter, GivesDriftAgainstFrameZeroInPixelsRightAndDown) {
  Scenario scenario = test::still_scenario();
  scenario.drift.rate_nm_per_s = {0.08, -0.04};
  const auto lines = truth_of(scenario, 3);
  EXPECT_EQ(lines[1]["drift_px"], (Json{0.0, 0.0}));
  EXPECT_NEAR(lines[3]["drift_px"][0].get<double>(), 4.0, 1e-9);   // 2 x 0.08 nm to the right
  EXPECT_NEAR(lines[3]["drift_px"][1].get<double>(), -2.0, 1e-9);  // and up
}

TEST(TruthWriter, SaysWhatAScanMakesOfAMovingSpecimen) {
  Scenario scenario = test::still_scenario();
  scenario.drift.rate_nm_per_s = {0.08, -0.04};  // 2 and -1 px/s
  EXPECT_FALSE(truth_of(scenario, 1)[1].contains("scan_matrix"));
  scenario.detectors.front().scan_line_time_s = 1.0 / 128;
  const auto lines = truth_of(scenario, 1);
  EXPECT_NEAR(lines[0]["scan_line_time_s"].get<double>(), 1.0 / 128, 1e-15);
  EXPECT_NEAR(lines[1]["drift_velocity_px_per_s"][0].get<double>(), 2.0, 1e-9);
  const Json& matrix = lines[1]["scan_matrix"];
  EXPECT_NEAR(matrix[0][1].get<double>(), 2.0 / 129.0, 1e-12);
  EXPECT_NEAR(matrix[1][1].get<double>(), 128.0 / 129.0, 1e-12);
  EXPECT_EQ(matrix[0][0], 1.0);
  EXPECT_EQ(matrix[1][0], 0.0);
}

TEST(TruthWriter, ListsOneOfEachFriedelPairWithItsSpacing) {
  const auto lines = truth_of(test::still_scenario(), 1);
  const Json& reflections = lines[1]["reflections"];
  ASSERT_GT(reflections.size(), 8u);
  for (const Json& reflection : reflections) {
    const double gx = reflection["g_per_nm"][0].get<double>();
    const double gy = reflection["g_per_nm"][1].get<double>();
    EXPECT_GT(gx, 0.0);
    EXPECT_NEAR(reflection["d_nm"].get<double>() * std::hypot(gx, gy), 1.0, 1e-12);
  }
  EXPECT_NEAR(reflections[0]["d_nm"].get<double>(), 0.555545, 1e-6);
  EXPECT_TRUE(reflections[0]["visible"].get<bool>());
}

TEST(TruthWriter, GivesASuperlatticeItsFractions) {
  Scenario scenario = test::still_scenario();
  scenario.specimen.reflections = {{0.5, 0.0, {{0.0, 0.02}}}};
  const auto lines = truth_of(scenario, 1);
  const Json& last = lines[1]["reflections"].back();
  EXPECT_NEAR(std::abs(last["hkl"][0].get<double>()), 0.5, 1e-12);
  EXPECT_GT(last["amplitude"].get<double>(), 0.005);
  EXPECT_EQ(lines[1]["reflections"][0]["hkl"], (Json{0, 0, 2})) << "whole ones stay whole";
}

TEST(TruthWriter, DatesTheEventsByFrame) {
  Scenario scenario = test::still_scenario();
  scenario.heat.expansion_c_per_k = 1e-4;
  scenario.heat.tau_s = 0.01;
  scenario.steps = {{.t_s = 1.0,
                     .current_a = {},
                     .temperature_k = 320.0,
                     .beam_on = {},
                     .jump_nm = Pair{1.0, 0.0}}};
  std::map<std::string, int> events;
  for (const Json& line : truth_of(scenario, 4)) {
    if (line.contains("event")) events[line["event"].get<std::string>()] = line["frame"].get<int>();
  }
  EXPECT_EQ(events, (std::map<std::string, int>{{"step", 1}, {"jump", 1}, {"spacing_change", 2}}));
}

TEST(TruthWriter, ShowsNothingOfASpecimenThatIsOut) {
  Scenario scenario = test::still_scenario();
  scenario.drift.rate_nm_per_s = {0.08, 0.0};
  scenario.heat.expansion_c_per_k = 1e-4;
  scenario.heat.tau_s = 0.01;
  Step out;
  out.t_s = 1.0;
  out.temperature_k = 320.0;  // the spacing changes at frame 2, unseen
  out.specimen_in = false;
  Step back;
  back.t_s = 3.0;
  back.specimen_in = true;
  scenario.steps = {out, back};
  std::vector<Json> frames;
  std::map<std::string, int> events;
  for (const Json& line : truth_of(scenario, 4)) {
    if (line.contains("t_s")) frames.push_back(line);
    if (line.contains("event")) events[line["event"].get<std::string>()] = line["frame"].get<int>();
  }
  ASSERT_EQ(frames.size(), 4u);
  for (const std::size_t i : {1u, 2u}) {
    EXPECT_EQ(frames[i]["specimen_in"], false);
    EXPECT_EQ(frames[i]["phase_fractions"]["P2"], 0.0);
    EXPECT_FALSE(frames[i]["reflections"].empty());
    for (const Json& reflection : frames[i]["reflections"]) {
      EXPECT_EQ(reflection["amplitude"], 0.0);
      EXPECT_FALSE(reflection["visible"].get<bool>());
    }
  }
  EXPECT_NEAR(frames[2]["drift_px"][0].get<double>(), 4.0, 1e-9);
  EXPECT_FALSE(frames[0].contains("specimen_in"));
  EXPECT_FALSE(frames[3].contains("specimen_in"));
  EXPECT_TRUE(frames[3]["reflections"][0]["visible"].get<bool>());
  EXPECT_EQ(events["spacing_change"], 3);
}

TEST(TruthWriter, GivesEveryNthFrameItsBoundsWhenAsked) {
  const Scenario scenario = test::still_scenario();
  const DetectorModel& detector = scenario.detectors.front();
  const test::TemporaryDirectory directory;
  Specimen specimen(scenario, test::phases(), 1.0);
  Renderer renderer(scenario, detector, 1);
  {
    auto sut = TruthWriter::create(directory.file("truth.jsonl"), scenario, detector);
    ASSERT_TRUE(sut);
    (*sut)->add_bounds(2, renderer);
    for (int i = 0; i < 3; ++i) (*sut)->write(specimen.advance({}), LossReason::none);
  }
  std::vector<Json> frames;
  std::ifstream in(directory.file("truth.jsonl"));
  for (std::string line; std::getline(in, line);)
    if (Json read = Json::parse(line); read.contains("t_s")) frames.push_back(std::move(read));
  ASSERT_EQ(frames.size(), 3u);
  EXPECT_FALSE(frames[1].contains("bound_drift_px"));
  EXPECT_FALSE(frames[1]["reflections"][0].contains("bound_d_nm"));
  for (const std::size_t i : {0u, 2u}) {
    EXPECT_GT(frames[i]["bound_drift_px"][0].get<double>(), 0.0);
    for (const Json& reflection : frames[i]["reflections"]) {
      if (!reflection["visible"].get<bool>() && !reflection.contains("bound_d_nm")) continue;
      ASSERT_TRUE(reflection.contains("bound_d_nm"));
      EXPECT_LT(reflection["bound_d_lattice_nm"].get<double>(),
                reflection["bound_d_nm"].get<double>())
          << "what is shared by more waves is known better";
    }
  }
}

TEST(TruthWriter, NamesAFileItCannotWrite) {
  const Scenario scenario = test::still_scenario();
  const auto sut =
      TruthWriter::create("/nowhere/truth.jsonl", scenario, scenario.detectors.front());
  ASSERT_FALSE(sut);
  EXPECT_NE(sut.error().message.find("/nowhere/truth.jsonl"), std::string::npos);
}

}  // namespace
}  // namespace latticed::sim
