// SPDX-License-Identifier: GPL-3.0-or-later
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "server/config/config.hpp"

namespace latticed {
namespace {

using testing::HasSubstr;

constexpr const char* kSimulator =
    "[[detector]]\nname = \"a\"\ndriver = \"simulator\"\nsimulator.socket = \"w\"\n";

std::string mistakes_of(const std::string& text) {
  const auto config = parse_config(text, "c.toml");
  return config ? "none" : config.error().message;
}

TEST(ReadConfig, LeavesWhatIsNotSaidAtTheStructsDefaults) {
  const auto config = parse_config(kSimulator, "c.toml");
  ASSERT_TRUE(config) << config.error().message;
  const DetectorConfig& detector = config->detectors.at(0);
  EXPECT_EQ(config->pipeline.workers, PipelineConfig{}.workers);
  EXPECT_EQ(detector.line.frame_slots, LineConfig{}.frame_slots);
  EXPECT_EQ(detector.line.prepare.taper, PrepareConfig{}.taper);
  EXPECT_EQ(detector.replay.end_frame, ReplayOptions::kToTheEnd);
  EXPECT_EQ(config->rules.size(), default_rules().size());
}

TEST(ReadConfig, TakesWhatIsSaid) {
  const auto config = parse_config(
      "[pipeline]\nworkers = 3\npin_workers = false\n[log]\nlevel = \"error\"\n"
      "[[detector]]\nname = \"b\"\ndriver = \"replay\"\nsource_policy = \"stop_run\"\ndark = "
      "\"d.mrc\"\n"
      "[detector.replay]\nfiles = [\"x.mrc\", \"y.mrc\"]\nframes = \"2:9\"\npace = 1.5\n"
      "[detector.prepare]\nroi = [1, 2, 30, 40]\nbin = 2\n[detector.detect]\nmin_fringes = 8\n"
      "[detector.drift]\nanchor_frames = 12\n[detector.simulator]\ntimeout_s = 0.25\n",
      "c.toml");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->pipeline.workers, 3);
  EXPECT_FALSE(config->pipeline.pin_workers);
  EXPECT_EQ(config->log.level, LogLevel::error);
  const DetectorConfig& detector = config->detectors.at(0);
  EXPECT_EQ(detector.driver, DriverKind::replay);
  EXPECT_EQ(detector.source_policy, SourcePolicy::stop_run);
  EXPECT_EQ(detector.references.dark, "d.mrc");
  EXPECT_EQ(detector.replay.files.size(), 2u);
  EXPECT_EQ(detector.replay.first_frame, 2u);
  EXPECT_EQ(detector.replay.end_frame, 9u);
  EXPECT_EQ(detector.line.prepare.region.height, 40);
  EXPECT_EQ(detector.line.prepare.bin, 2);
  EXPECT_EQ(detector.line.prepare.detect.min_fringes, 8.0);
  EXPECT_EQ(detector.line.drift.anchor_frames, 12);
  EXPECT_EQ(detector.simulator.timeout, std::chrono::milliseconds(250));
}

TEST(ReadConfig, NeedsADetectorWithANameADriverAndItsSource) {
  EXPECT_THAT(mistakes_of(""), HasSubstr("detector: missing (expected at least one [[detector]])"));
  const std::string bare = mistakes_of("[[detector]]\n");
  EXPECT_THAT(bare, HasSubstr("detector[0].name: missing"));
  EXPECT_THAT(bare,
              HasSubstr("detector[0].driver: missing (expected \"simulator\" or \"replay\")"));
  EXPECT_THAT(mistakes_of("[[detector]]\nname = \"a\"\ndriver = \"simulator\"\n"),
              HasSubstr("socket: missing"));
  EXPECT_THAT(mistakes_of("[[detector]]\nname = \"a\"\ndriver = \"replay\"\n"),
              HasSubstr("files: missing"));
}

TEST(ReadConfig, RefusesTwoDetectorsOfOneNameAndNamesThatAreNoFileNames) {
  EXPECT_THAT(mistakes_of(std::string(kSimulator) + kSimulator),
              HasSubstr("c.toml:6:8: detector[1].name: \"a\" is used twice"));
  for (const char* name : {"", "a/b", "..", "a b", "a\\\"b"})
    EXPECT_THAT(mistakes_of(std::string("[[detector]]\nname = \"") + name +
                            "\"\ndriver = \"simulator\"\nsimulator.socket = \"w\"\n"),
                HasSubstr("c.toml:2:8: detector[0].name"))
        << name;
}

TEST(ReadConfig, KnowsTheRangeOfEveryNumber) {
  for (const char* wrong :
       {"frame_slots = 1", "pixel_size_sigma_ratio = 0.6", "prepare.bin = 17",
        "prepare.taper = 1.1", "prepare.band = 0.1", "detect.false_alarms_per_frame = 0",
        "drift.anchor_frames = 3", "drift.max_match_bins = 1000", "simulator.timeout_s = 0",
        "replay.pace = -1", "prepare.roi = [0, 0, 5, 0]", "frame_count = -1",
        "replay.frames = \"5\""})
    EXPECT_THAT(mistakes_of(std::string(kSimulator) + wrong + "\n"), HasSubstr("c.toml:5:"))
        << wrong;
}

TEST(ReadConfig, TakesTheSuperlatticesPlaces) {
  const auto config = parse_config(
      std::string(kSimulator) + "[detector.lattice]\nsuperlattice = [\"1/4 1/2\", \"0.2 0\"]\n",
      "c.toml");
  ASSERT_TRUE(config) << config.error().message;
  const auto& places = config->detectors.at(0).line.lattice.superlattice;
  ASSERT_EQ(places.size(), 2u);
  EXPECT_EQ(places[0].x, 0.25);
  EXPECT_EQ(places[0].y, 0.5);
  EXPECT_EQ(places[1].x, 0.2);
  const auto none = parse_config(std::string(kSimulator) + "lattice.superlattice = []\n", "c.toml");
  ASSERT_TRUE(none) << none.error().message;
  EXPECT_TRUE(none->detectors.at(0).line.lattice.superlattice.empty());
}

TEST(ReadConfig, NamesEveryWrongPlaceOfASuperlattice) {
  const std::string wrong =
      mistakes_of(std::string(kSimulator) +
                  "lattice.superlattice = [\"1/3\", \"1 0\", \"1/2 0\", \"-1/2 0\", \"99/2 0\"]\n");
  EXPECT_THAT(wrong,
              HasSubstr("c.toml:5:24: detector[0].lattice.superlattice: \"1/3\" (expected two"));
  EXPECT_THAT(wrong, HasSubstr("\"1 0\" (expected a fraction"));
  EXPECT_THAT(wrong, HasSubstr("\"-1/2 0\" is there twice"));
  EXPECT_THAT(wrong, HasSubstr("\"99/2 0\" (expected from -16 to 16)"));
  std::string many = "lattice.superlattice = [";
  for (int i = 1; i <= 13; ++i) many += "\"1/" + std::to_string(i + 1) + " 0\", ";
  EXPECT_THAT(mistakes_of(std::string(kSimulator) + many + "]\n"),
              HasSubstr("13 places (expected at most 12)"));
  EXPECT_THAT(mistakes_of(std::string(kSimulator) + "lattice.superlattice = [0.5, 0.5]\n"),
              HasSubstr("expected a text in quotes"));
}

TEST(ReadConfig, ReadsRulesAndNoRules) {
  const auto with = parse_config(std::string(kSimulator) +
                                     "[[rule]]\nname = \"drift\"\nquantity = \"drift_speed_px\"\n"
                                     "kind = \"limit\"\nabove = 2.5\ndwell_frames = 4\n",
                                 "c.toml");
  ASSERT_TRUE(with) << with.error().message;
  ASSERT_EQ(with->rules.size(), 1u);
  EXPECT_EQ(with->rules[0].quantity, Quantity::drift_speed_px);
  EXPECT_EQ(with->rules[0].kind, RuleKind::limit);
  EXPECT_EQ(with->rules[0].above, 2.5);
  EXPECT_TRUE(std::isinf(with->rules[0].below));
  EXPECT_EQ(with->rules[0].dwell_frames, 4);
  const auto without = parse_config("rule = []\n" + std::string(kSimulator), "c.toml");
  ASSERT_TRUE(without) << without.error().message;
  EXPECT_TRUE(without->rules.empty());
}

TEST(ReadConfig, RefusesRulesThatContradictThemselves) {
  const auto mistakes = [](const std::string& keys) {
    const auto rules = parse_rules("[[rule]]\nname = \"r\"\n" + keys, "r.toml");
    return rules ? "none" : rules.error().message;
  };
  EXPECT_THAT(mistakes("quantity = \"mean_counts\"\nkind = \"limit\"\n"),
              HasSubstr("without a limit"));
  EXPECT_THAT(mistakes("quantity = \"mean_counts\"\nabove = 1\n"),
              HasSubstr("r.toml:4:9: rule[0].above"));
  EXPECT_THAT(mistakes("quantity = \"mean_counts\"\nkind = \"limit\"\nabove = 1\nbelow = 2\n"),
              HasSubstr("rule[0].below: 2 (expected at most above, 1)"));
  EXPECT_THAT(mistakes("quantity = \"spot_d_nm\"\nd_min_nm = 0.5\nd_max_nm = 0.4\n"),
              HasSubstr("d_min_nm"));
  EXPECT_THAT(mistakes("quantity = \"mean_counts\"\nd_max_nm = 0.4\n"),
              HasSubstr("quantity of spots"));
  EXPECT_THAT(mistakes("quantity = \"drift_x_px\"\nof = \"sum\"\n"),
              HasSubstr("r.toml:4:6: rule[0].of: \"sum\" has no meaning for quantity drift_x_px"));
  EXPECT_THAT(mistakes("quantity = \"spot_d_nm\"\nof = \"sums\"\n"),
              HasSubstr("expected one of frame, sum"));
  EXPECT_THAT(mistakes(""), HasSubstr("rule[0].quantity: missing"));
  EXPECT_EQ(mistakes("quantity = \"spot_d_nm\"\nd_min_nm = 0.3\nd_max_nm = 0.4\n"), "none");
}

TEST(ReadConfig, ARuleAboutSumsNeedsADetectorThatHasSome) {
  const std::string rule = "[[rule]]\nname = \"r\"\nquantity = \"spot_d_nm\"\nof = \"sum\"\n";
  const auto with = parse_config(std::string(kSimulator) + rule, "c.toml");
  ASSERT_TRUE(with) << with.error().message;
  EXPECT_EQ(with->rules.at(0).of, RuleOf::sum);
  EXPECT_THAT(mistakes_of(std::string(kSimulator) + "sum.when = \"never\"\n" + rule),
              HasSubstr("no detector has a running sum"));
}

TEST(ReadConfig, ARulesFileHoldsRulesOnly) {
  EXPECT_FALSE(parse_rules("", "r.toml"));
  const auto other = parse_rules("rule = []\n[pipeline]\n", "r.toml");
  ASSERT_FALSE(other);
  EXPECT_THAT(other.error().message, HasSubstr("r.toml:2:2: pipeline: unknown key"));
}

}  // namespace
}  // namespace latticed
