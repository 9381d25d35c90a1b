// SPDX-License-Identifier: GPL-3.0-or-later
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "server/config/config.hpp"

namespace latticed {
namespace {

Config read_back(const std::string& text) {
  auto config = parse_config(text, "written.toml");
  EXPECT_TRUE(config) << config.error().message << "\n" << text;
  return config ? std::move(*config) : Config{};
}

Config with_one_detector() {
  Config config;
  DetectorConfig& detector = config.detectors.emplace_back();
  detector.name = "camera";
  detector.simulator.socket = "/run/latticed/world.sock";
  return config;
}

TEST(WriteConfig, IsReadBackToTheSame) {
  const std::string text = to_toml(with_one_detector());
  EXPECT_EQ(to_toml(read_back(text)), text);
}

TEST(WriteConfig, KeepsAwkwardValues) {
  Config config = with_one_detector();
  config.output.directory = "a \"quoted\\\" place\n\t\x01 µ";
  config.rules.clear();
  DetectorConfig& detector = config.detectors.emplace_back();
  detector.name = "b";
  detector.driver = DriverKind::replay;
  detector.replay.files = {"one, two.mrc", "\"three\".tif"};
  detector.replay.first_frame = 7;
  detector.line.pixel_size_nm = 0.1 + 0.2;
  detector.line.prepare.detect.false_alarms_per_frame = 1e-7;
  detector.line.prepare.region = {1, 2, 3, 4};
  detector.line.lattice.superlattice = {{1.0 / 7, -0.123}};
  detector.simulator.timeout = std::chrono::milliseconds(1234);
  const Config back = read_back(to_toml(config));
  EXPECT_EQ(back.output.directory, config.output.directory);
  EXPECT_TRUE(back.rules.empty());
  ASSERT_EQ(back.detectors.size(), 2u);
  const DetectorConfig& b = back.detectors[1];
  EXPECT_EQ(b.driver, DriverKind::replay);
  EXPECT_EQ(b.replay.files, detector.replay.files);
  EXPECT_EQ(b.replay.first_frame, 7u);
  EXPECT_EQ(b.replay.end_frame, ReplayOptions::kToTheEnd);
  EXPECT_EQ(b.line.pixel_size_nm, 0.1 + 0.2);
  EXPECT_EQ(b.line.prepare.detect.false_alarms_per_frame, 1e-7);
  EXPECT_EQ(b.line.prepare.region.width, 3);
  ASSERT_EQ(b.line.lattice.superlattice.size(), 1u);
  EXPECT_EQ(b.line.lattice.superlattice[0].x, 1.0 / 7);
  EXPECT_EQ(b.line.lattice.superlattice[0].y, -0.123);
  EXPECT_EQ(b.simulator.timeout, std::chrono::milliseconds(1234));
}

TEST(WriteConfig, KeepsRulesWithTheirInfinities) {
  Config config = with_one_detector();
  config.rules = {AlertRule{
      .name = "low", .quantity = Quantity::crystallinity, .kind = RuleKind::limit, .below = -0.25}};
  const Config back = read_back(to_toml(config));
  ASSERT_EQ(back.rules.size(), 1u);
  EXPECT_EQ(back.rules[0].below, -0.25);
  EXPECT_EQ(back.rules[0].above, std::numeric_limits<double>::infinity());
  EXPECT_EQ(back.rules[0].quantity, Quantity::crystallinity);
}

// To renew the file after a change of keys or defaults: latticed check-config it, and put it there.
TEST(WriteConfig, TheShippedFileShowsEveryKeyAtItsDefault) {
  std::ifstream file(LATTICED_SHIPPED_CONFIG);
  std::ostringstream shipped;
  shipped << file.rdbuf();
  EXPECT_EQ(shipped.str(), to_toml(with_one_detector()));
}

}  // namespace
}  // namespace latticed
