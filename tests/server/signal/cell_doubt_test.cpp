// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/signal/cell_doubt.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <random>

namespace latticed::signal {
namespace {

TEST(StepNats, RareStepsGoAnywhere) {
  EXPECT_DOUBLE_EQ(step_nats(0.0, 0.5), 0.0);
  EXPECT_GT(step_nats(0.5, 0.5), -2.0);
  EXPECT_LT(step_nats(5.0, 0.5), step_nats(1.0, 0.5));
  EXPECT_DOUBLE_EQ(step_nats(1e4, 0.5), -14.0);
  EXPECT_DOUBLE_EQ(step_nats(1e9, 0.5), -14.0);
}

TEST(PresenceNats, IsHalfOfJWhereAllIsFound) {
  EXPECT_NEAR(presence_nats(500.0, 500.0), 250.0, 1e-9);
  EXPECT_LT(presence_nats(0.0, 500.0), -10.0);      // nothing found: rather elsewhere
  EXPECT_NEAR(presence_nats(0.0, 1.0), -0.5, 0.1);  // little expected: nothing said
}

// Focus may have changed how strong the film is: half of what was expected is still there.
TEST(PresenceNats, ForgivesAChangeOfStrength) {
  EXPECT_GT(presence_nats(500.0, 1000.0), 100.0);
  EXPECT_GT(presence_nats(300.0, 1000.0), 0.0);
}

TEST(CellDoubt, ListsNoPlaceTwice) {
  CellDoubt sut;
  sut.open();
  EXPECT_TRUE(sut.add({0.0, 0.0}, 0.0, 1.0));
  EXPECT_FALSE(sut.add({0.3, 0.2}, 0.0, 1.0));
  EXPECT_TRUE(sut.add({4.0, 0.0}, -3.0, 1.0));
  EXPECT_EQ(sut.places().size(), 2u);
}

TEST(CellDoubt, GathersEvidenceOverFrames) {
  CellDoubt sut;
  sut.open();
  sut.add({0.0, 0.0}, 0.0, 1.0);
  sut.add({8.0, 0.0}, -6.0, 1.0);
  const std::array<Vector2, 2> offsets{Vector2{0.0, 0.0}, Vector2{8.1, 0.0}};
  const std::array<double, 2> nats{0.0, 5.0};
  sut.weigh(nats, offsets, 1.0, false);
  EXPECT_EQ(sut.leader(), 0u);
  EXPECT_LT(sut.lead_nats(), CellDoubt::kSure_nats);
  for (int i = 0; i < 4; ++i) sut.weigh(nats, offsets, 1.0, false);
  EXPECT_EQ(sut.leader(), 1u);
  EXPECT_NEAR(sut.lead_nats(), 19.0, 1e-9);
  sut.go_on_from_leader();
  EXPECT_NEAR(sut.places()[1].offset_cells.x, 0.0, 1e-12);
  EXPECT_NEAR(sut.places()[0].offset_cells.x, -8.1, 1e-12);
}

// Content that is in no template is the same in every frame: it does not average out.
TEST(CellDoubt, DoesNotTakeTheSameMisfitForNewEvidence) {
  CellDoubt sut;
  sut.open();
  sut.add({0.0, 0.0}, 0.0, 1.0);
  sut.add({8.0, 0.0}, 0.0, 1.0);
  const std::array<Vector2, 2> offsets{Vector2{0.0, 0.0}, Vector2{8.0, 0.0}};
  const std::array<double, 2> nats{0.0, 4.0};
  for (int i = 0; i < 1000; ++i) sut.weigh(nats, offsets, 3.0, false);
  EXPECT_NEAR(sut.lead_nats(), 4.0 * 3.0 / 2.0, 0.05);
}

TEST(CellDoubt, MayBeElsewhere) {
  CellDoubt sut;
  sut.open();
  sut.add({0.0, 0.0}, -1.0, 1.0);
  const std::array<Vector2, 1> offsets{};
  const std::array<double, 1> nats{-21.0};
  sut.weigh(nats, offsets, 1.0, true);
  EXPECT_NEAR(sut.lead_nats(), -8.0, 1e-9);
  EXPECT_GT(sut.spread({100.0, 50.0}).x, 99.0);
}

TEST(CellDoubt, DropsWhatIsOutOfTheQuestion) {
  CellDoubt sut;
  sut.open();
  sut.add({0.0, 0.0}, 0.0, 1.0);
  sut.add({8.0, 0.0}, -5.0, 1.0);
  sut.add({0.0, 8.0}, -5.0, 1.0);
  const std::array<Vector2, 3> offsets{Vector2{0.0, 0.0}, Vector2{8.0, 0.0}, Vector2{0.0, 8.0}};
  const std::array<double, 3> nats{100.0, 98.0, 10.0};
  sut.weigh(nats, offsets, 1.0, false);
  sut.go_on_from_leader();
  ASSERT_EQ(sut.places().size(), 2u);
  const Vector2 spread = sut.spread({0.0, 0.0});
  EXPECT_DOUBLE_EQ(spread.x, 8.0);
  EXPECT_DOUBLE_EQ(spread.y, 0.0);
}

// Of true places told apart by frames that each say little, one in 22 000 may be wrong: none of
// 2000 here.
TEST(CellDoubt, IsSeldomWrong) {
  std::mt19937 random{5};
  constexpr double kPerFrame = 3.0;  // expected log-likelihood ratio; its variance is twice that
  std::normal_distribution<double> ratio{kPerFrame, std::sqrt(2.0 * kPerFrame)};
  int wrong = 0;
  double frames = 0;
  for (int run = 0; run < 2000; ++run) {
    CellDoubt sut;
    sut.open();
    sut.add({0.0, 0.0}, 0.0, 1.0);
    sut.add({8.0, 0.0}, 0.0, 1.0);
    const std::array<Vector2, 2> offsets{Vector2{0.0, 0.0}, Vector2{8.0, 0.0}};
    do {
      const std::array<double, 2> nats{0.0, ratio(random)};
      sut.weigh(nats, offsets, 1.0, false);
      ++frames;
    } while (sut.lead_nats() < CellDoubt::kSure_nats);
    wrong += sut.leader() == 0 ? 1 : 0;
  }
  EXPECT_EQ(wrong, 0);
  EXPECT_LT(frames / 2000, 6.0);
}

}  // namespace
}  // namespace latticed::signal
