// SPDX-License-Identifier: GPL-3.0-or-later
#include "sim/world/command_log.hpp"

#include <gtest/gtest.h>

namespace latticed::sim {
namespace {

Step current(double current_a) {
  Step step;
  step.current_a = current_a;
  return step;
}

TEST(CommandLog, StampsWithTheFirstFrameNobodyHasBegun) {
  CommandLog sut(2);
  std::vector<Step> taken;
  sut.begin(0);
  sut.begin(1);
  for (std::uint64_t frame = 0; frame < 5; ++frame) sut.take(0, frame, taken);
  sut.take(1, 0, taken);
  EXPECT_EQ(sut.add(current(1.0)), 5u);  // detector 0 is ahead
  sut.take(0, 5, taken);
  EXPECT_EQ(taken, std::vector{current(1.0)});
  for (std::uint64_t frame = 1; frame < 5; ++frame) {
    sut.take(1, frame, taken);
    EXPECT_TRUE(taken.empty()) << frame;
  }
  sut.take(1, 5, taken);  // the other detector sees the same world
  EXPECT_EQ(taken, std::vector{current(1.0)});
}

TEST(CommandLog, KeepsACommandGivenBeforeTheRunForFrameZero) {
  CommandLog sut(1);
  std::vector<Step> taken;
  EXPECT_EQ(sut.add(current(2.0)), 0u);
  sut.begin(0);
  sut.take(0, 0, taken);
  EXPECT_EQ(taken, std::vector{current(2.0)});
}

TEST(CommandLog, OfTheCommandsOfAFrameTheLastHeldQuantityCounts) {
  CommandLog sut(1);
  std::vector<Step> taken;
  sut.begin(0);
  sut.take(0, 0, taken);
  Step voltage;
  voltage.source_v = 4.2;
  voltage.compliance_a = 1e-9;
  sut.add(current(1.0));
  sut.add(voltage);
  sut.take(0, 1, taken);
  EXPECT_EQ(taken, std::vector{voltage});
  sut.add(voltage);
  sut.add(current(0.0));
  sut.take(0, 2, taken);
  EXPECT_EQ(taken, std::vector{current(0.0)});
}

TEST(CommandLog, KeepsBeamAndSpecimenOfOneFrame) {
  CommandLog sut(1);
  std::vector<Step> taken;
  Step beam;
  beam.beam_on = false;
  Step specimen;
  specimen.specimen_in = false;
  sut.add(beam);
  sut.add(specimen);
  sut.begin(0);
  sut.take(0, 0, taken);
  ASSERT_EQ(taken.size(), 1u);
  EXPECT_EQ(taken[0].beam_on, false);
  EXPECT_EQ(taken[0].specimen_in, false);
}

TEST(CommandLog, ForgetsTheLastRunsCommands) {
  CommandLog sut(1);
  std::vector<Step> taken;
  sut.begin(0);
  sut.take(0, 0, taken);
  EXPECT_EQ(sut.add(current(1.0)), 1u);
  sut.end(0);
  sut.begin(0);
  sut.take(0, 0, taken);
  EXPECT_TRUE(taken.empty());
  sut.take(0, 1, taken);
  EXPECT_TRUE(taken.empty());
}

}  // namespace
}  // namespace latticed::sim
