// SPDX-License-Identifier: GPL-3.0-or-later
// sim-world and sim-score as they are called: exit codes, messages, and one way through both.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "tests/sim/support/small_scenario.hpp"
#include "tests/sim/support/temporary_directory.hpp"

namespace latticed::sim {
namespace {

using nlohmann::json;
using testing::HasSubstr;

struct Outcome {
  int status = -1;
  std::string text;  // stdout and stderr
};

Outcome call(const std::string& command) {
  Outcome outcome;
  FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) return outcome;
  char bytes[4096];
  for (std::size_t n = 0; (n = fread(bytes, 1, sizeof bytes, pipe)) > 0;)
    outcome.text.append(bytes, n);
  const int status = pclose(pipe);
  outcome.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return outcome;
}

class Programs : public testing::Test {
 protected:
  std::string write(const std::string& name, const std::string& text) {
    std::ofstream(directory_.file(name)) << text;
    return directory_.file(name);
  }
  std::string world(const std::string& arguments) {
    return std::string(LATTICED_SIM_WORLD) + " " + arguments;
  }
  std::string score(const std::string& measurements) {
    return std::string(LATTICED_SIM_SCORE) + " --truth " + directory_.file("truth.jsonl") +
           " --measurements " + measurements + " --summary " + directory_.file("summary.json") +
           " --series " + directory_.file("series.csv");
  }
  /// What a perfect instrument would say of the truth, with sigmas that say it is not quite one.
  std::string perfect_measurements() {
    std::string out;
    std::ifstream truth(directory_.file("truth.jsonl"));
    for (std::string line; std::getline(truth, line);) {
      const json frame = json::parse(line);
      if (frame.contains("truth") || frame.contains("event")) continue;
      json spots = json::array();
      for (const json& reflection : frame["reflections"]) {
        if (!reflection["visible"].get<bool>()) continue;
        spots.push_back({{"id", spots.size()},
                         {"g_per_nm", reflection["g_per_nm"]},
                         {"d_nm", reflection["d_nm"]},
                         {"sigma_d_nm", 1e-4},
                         {"confirmed", true}});
      }
      out += json{{"seq", frame["frame"]},
                  {"drift_px", frame["drift_px"]},
                  {"sigma_drift_px", {0.02, 0.02}},
                  {"drift_state", "locked"},
                  {"spots", spots},
                  {"alerts", json::array()}}
                 .dump() +
             "\n";
    }
    return out;
  }

  test::TemporaryDirectory directory_;
};

TEST_F(Programs, WorldReportsAllMistakesOfAScenarioAndExits2) {
  const auto path = write("bad.toml", "name = 1\nsped = 2\n");
  const Outcome outcome = call(world("--check --scenario " + path));
  EXPECT_EQ(outcome.status, 2);
  EXPECT_THAT(outcome.text, HasSubstr("bad.toml:1:8: name: 1 (expected a text"));
  EXPECT_THAT(outcome.text, HasSubstr("bad.toml:2:1: sped: unknown key"));
}

TEST_F(Programs, WorldSaysWhatItNeedsToDoSomething) {
  const auto path = write("s.toml", test::small_scenario(1));
  const Outcome outcome = call(world("--scenario " + path));
  EXPECT_EQ(outcome.status, 2);
  EXPECT_THAT(outcome.text, HasSubstr("--socket"));
}

TEST_F(Programs, WorldNamesASocketItCannotOpen) {
  const auto path = write("s.toml", test::small_scenario(1));
  const Outcome outcome = call(world("--socket /nowhere/at/all.sock --scenario " + path));
  EXPECT_EQ(outcome.status, 2);
  EXPECT_THAT(outcome.text, HasSubstr("/nowhere/at/all.sock"));
}

TEST_F(Programs, ScorePassesThePerfectAndFailsTheIncomplete) {
  const auto scenario = write("s.toml", test::small_scenario(30));
  const Outcome made =
      call(world("--scenario " + scenario + " --movie " + directory_.file("m.mrc") + " --truth " +
                 directory_.file("truth.jsonl")));
  ASSERT_EQ(made.status, 0) << made.text;
  const std::string perfect = perfect_measurements();
  const Outcome passed = call(score(write("perfect.jsonl", perfect)));
  EXPECT_EQ(passed.status, 0) << passed.text;
  std::ifstream in(directory_.file("summary.json"));
  const json summary = json::parse(in);
  EXPECT_EQ(summary["frames"], 30);
  EXPECT_EQ(summary["verdict"], "pass");
  const Outcome failed = call(score(write("short.jsonl", perfect.substr(perfect.find('\n') + 1))));
  EXPECT_EQ(failed.status, 1);
  EXPECT_THAT(failed.text, HasSubstr("neither measured nor listed as lost, first 0"));
}

TEST_F(Programs, ScoreExits2WhenThereIsNothingToScore) {
  const Outcome outcome = call(score("/nowhere/m.jsonl"));
  EXPECT_EQ(outcome.status, 2);
  EXPECT_THAT(outcome.text, HasSubstr("truth.jsonl"));
  EXPECT_THAT(outcome.text, HasSubstr("/nowhere/m.jsonl"));
}

}  // namespace
}  // namespace latticed::sim
