// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/signal/template_place.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace latticed::signal {
namespace {

constexpr double kField = 256.0;

TEST(TemplatePlace, AddsTheWayToWhereItBegan) {
  TemplatePlace sut;
  sut.begin({10.0, -3.0}, {0.3, 0.4});
  const Vector2 drift = sut.drift_of({5.0, 2.0}, {0.5, -0.25});
  EXPECT_DOUBLE_EQ(drift.x, 14.5);
  EXPECT_DOUBLE_EQ(drift.y, -0.75);
  EXPECT_DOUBLE_EQ(sut.sigma({5.0, 2.0}, kField).x, 0.3);
  sut.doubt_origin({0.4, 0.3});
  EXPECT_DOUBLE_EQ(sut.sigma({5.0, 2.0}, kField).x, 0.5);
}

TEST(TemplatePlace, GoingBackUndoesWhatAJumpHasLeft) {
  TemplatePlace sut;
  sut.begin({}, {});
  sut.rest_at({2.0, 0.0});
  sut.doubt({40.0, 0.0}, 0.75, {0.04, 0.08});
  EXPECT_DOUBLE_EQ(sut.variance().x, 0.01);
  EXPECT_DOUBLE_EQ(sut.variance().y, 0.02);
  EXPECT_DOUBLE_EQ(sut.home().x, 2.0);
  sut.rest_at({40.0, 0.0});  // the doubt is counted from where it began
  EXPECT_DOUBLE_EQ(sut.home().x, 2.0);
  sut.doubt({2.0, 0.0}, 1.0, {0.04, 0.08});
  EXPECT_DOUBLE_EQ(sut.variance().x, 0.0);
}

// A template that has learnt the new field fits it well, and lies where it was put.
TEST(TemplatePlace, KeepsWhatTheFirstFramesOfAFieldSaid) {
  TemplatePlace sut;
  sut.begin({}, {});
  sut.doubt({40.0, 0.0}, 0.75, {0.04, 0.08});
  sut.doubt({40.0, 0.0}, 0.75, {0.001, 0.001});
  EXPECT_DOUBLE_EQ(sut.variance().x, 0.01);
  EXPECT_DOUBLE_EQ(sut.variance().y, 0.02);
  sut.land({40.0, 0.0}, {});
  sut.doubt({80.0, 0.0}, 0.75, {0.004, 0.004});
  EXPECT_DOUBLE_EQ(sut.variance().x, 0.001);
}

// A small jump after a landing is no way to forget what the landing has left.
TEST(TemplatePlace, KeepsTheDoubtOfALanding) {
  TemplatePlace sut;
  sut.begin({}, {});
  sut.land({50.0, 0.0}, {0.01, 0.02});
  sut.doubt({52.0, 0.0}, 0.98, {0.04, 0.04});
  EXPECT_NEAR(sut.variance().x, 0.01 + 0.02 * 0.04, 1e-12);
  sut.doubt({50.0, 0.0}, 1.0, {0.04, 0.04});
  EXPECT_DOUBLE_EQ(sut.variance().x, 0.01);
}

TEST(TemplatePlace, AddsUpJumpsThatLeaveTheHomeBehind) {
  TemplatePlace sut;
  sut.begin({}, {});
  for (int jump = 1; jump <= 3; ++jump) sut.doubt({200.0 * jump, 0.0}, 0.0, {0.04, 0.04});
  EXPECT_NEAR(sut.variance().x, 0.12, 1e-12);
  EXPECT_DOUBLE_EQ(sut.home().x, 600.0);
}

TEST(TemplatePlace, ScaleIsAnErrorWithinAFieldAndAWalkFromFieldToField) {
  TemplatePlace sut;
  sut.begin({}, {});
  sut.set_scale_variance({1e-6, 0.0});
  EXPECT_NEAR(sut.sigma({100.0, 0.0}, kField).x, 0.1, 1e-9);
  EXPECT_NEAR(sut.sigma({4.0 * kField, 0.0}, kField).x, 1e-3 * kField * std::sqrt(4.0), 1e-9);
  EXPECT_DOUBLE_EQ(sut.sigma({100.0, 0.0}, kField).y, 0.0);
}

}  // namespace
}  // namespace latticed::signal
