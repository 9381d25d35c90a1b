// SPDX-License-Identifier: GPL-3.0-or-later
#include "sim/specimen/motion.hpp"

#include <gtest/gtest.h>

#include "sim/specimen/specimen.hpp"
#include "tests/sim/support/build_scenario.hpp"

namespace latticed::sim {
namespace {

/// Everything that moves: rate, walk, vibration, and a jump at frame 4.
Scenario restless() {
  Scenario scenario = test::still_scenario();
  scenario.drift.rate_nm_per_s = {0.05, -0.03};
  scenario.drift.walk_nm_per_sqrt_s = 0.02;
  scenario.drift.vibration_nm = {0.01, 0.02};
  scenario.drift.vibration_hz = 1.3;
  Step jump;
  jump.t_s = 4.0;
  jump.jump_nm = Pair{0.5, 0.25};
  scenario.steps = {jump};
  return scenario;
}

Vector place(const SpecimenState& state, double t_s) {
  return state.shift_nm + state.motion.since_middle_nm(t_s);
}

TEST(Motion, GoesOnWhereTheLastFrameEndedExceptForAJump) {
  const Scenario scenario = restless();
  Specimen specimen(scenario, test::phases(), 1.0);
  SpecimenState last = specimen.advance({});
  for (int n = 1; n < 8; ++n) {
    const SpecimenState next = specimen.advance({});
    const double between_s = 0.5 * (last.motion.middle_s + next.motion.middle_s);
    const Vector gap = place(next, between_s) - place(last, between_s);
    EXPECT_NEAR(gap.x, n == 4 ? 0.5 : 0.0, 1e-12) << n;
    EXPECT_NEAR(gap.y, n == 4 ? 0.25 : 0.0, 1e-12) << n;
    last = next;
  }
}

TEST(Motion, IsTheDriftItselfAtMidExposure) {
  const Scenario scenario = restless();
  Specimen specimen(scenario, test::phases(), 1.0);
  const SpecimenState& state = specimen.advance({});
  EXPECT_EQ(state.motion.middle_s, 0.5);
  EXPECT_EQ(length(state.motion.since_middle_nm(0.5)), 0.0);
}

TEST(Motion, OfAConstantRateHasItAsVelocity) {
  Scenario scenario = test::still_scenario();
  scenario.drift.rate_nm_per_s = {0.05, -0.03};
  Specimen specimen(scenario, test::phases(), 1.0);
  for (int n = 0; n < 3; ++n) {
    const Vector velocity = specimen.advance({}).motion.velocity_nm_per_s(1.0);
    EXPECT_NEAR(velocity.x, 0.05, 1e-12) << n;
    EXPECT_NEAR(velocity.y, -0.03, 1e-12) << n;
  }
}

TEST(Motion, FollowsTheSupportOfAHeatedSpecimen) {
  Scenario scenario = test::still_scenario();
  scenario.heat.drift_nm_per_k = {0.1, 0.0};
  scenario.heat.drift_tau_s = 50.0;
  Step heat;
  heat.t_s = 0.0;
  heat.temperature_k = 393.0;
  scenario.steps = {heat};
  Specimen specimen(scenario, test::phases(), 1.0);
  Vector last;
  for (int n = 0; n < 20; ++n) {
    const SpecimenState& state = specimen.advance({});
    const Vector velocity = state.motion.velocity_nm_per_s(1.0);
    // Of the step before; the next one differs by a fiftieth, dt / tau.
    if (n > 10) {
      EXPECT_NEAR(velocity.x, state.shift_nm.x - last.x, 1e-9);
    }
    last = state.shift_nm;
  }
}

TEST(ScanMatrix, TakesAPointToTheRowThatMeetsIt) {
  const Vector per_row{0.03, -0.02};
  const Vector r{11.0, -7.0};
  const Vector shown = scan_matrix(per_row) * r;
  EXPECT_NEAR(shown.x, r.x + per_row.x * shown.y, 1e-12);
  EXPECT_NEAR(shown.y, r.y + per_row.y * shown.y, 1e-12);
}

}  // namespace
}  // namespace latticed::sim
