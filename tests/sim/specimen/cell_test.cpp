// SPDX-License-Identifier: GPL-3.0-or-later
#include "sim/specimen/cell.hpp"

#include <gtest/gtest.h>

#include <filesystem>

#include "sim/scenario/read_scenario.hpp"

namespace latticed::sim {
namespace {

Scenario shipped(const std::filesystem::path& path) {
  auto scenario = read_scenario(path.string());
  if (!scenario) ADD_FAILURE() << scenario.error().message;
  return scenario ? *scenario : Scenario{};
}
Scenario charge_p2() {
  return shipped(std::filesystem::path(LATTICED_SCENARIOS) / "charge_p2.toml");
}

double ocv(const CellModel& model, double soc) { return value_at(model.voltage_v, soc, 0.0); }

/// A straight curve from 3 to 4 V and a capacity of 1 C: a frame of 1 s at 1 A is all of it.
CellModel straight() {
  CellModel model;
  model.capacity_c = 1.0;
  model.state_of_charge = 0.5;
  model.voltage_v = {{0.0, 3.0}, {1.0, 4.0}};
  return model;
}

TEST(Cell, HoldsAVoltageWhileTheCurrentDecaysToTheOpenCircuitCurve) {
  const Scenario scenario = charge_p2();
  constexpr double kCompliance_a = 5e-9;
  Cell sut(scenario.cell, scenario.frame_period_s);
  sut.set_voltage(4.2, kCompliance_a);
  EXPECT_EQ(sut.current_a(), kCompliance_a);  // 1.3 V below: at its limit,
  EXPECT_TRUE(sut.is_held_back());
  EXPECT_NEAR(sut.voltage_v(), 2.92, 1e-12);  // and only so far above the cell's own
  double charge_c = 0.0;
  double last_a = kCompliance_a;
  int decaying = 0;
  for (int frame = 0; frame < 4000; ++frame) {
    charge_c += sut.current_a() * scenario.frame_period_s;
    EXPECT_FALSE(sut.advance());
    ASSERT_LE(sut.current_a(), last_a) << frame;
    last_a = sut.current_a();
    if (sut.is_held_back()) continue;
    ++decaying;
    ASSERT_EQ(sut.voltage_v(), 4.2) << frame;
  }
  EXPECT_GT(decaying, 100);
  // Where the curve is 4.2 V: a third of the way from (0.70, 4.18) to (0.90, 4.24).
  EXPECT_NEAR(sut.state_of_charge(), 0.70 + 0.20 / 3.0, 1e-6);
  EXPECT_LT(last_a, 1e-3 * kCompliance_a);
  EXPECT_NEAR(charge_c / scenario.cell.capacity_c, sut.state_of_charge(), 1e-9);
}

TEST(Cell, DecaysWithTheTimeConstantOfItsResistance) {
  CellModel model = straight();
  model.resistance_ohm = 100.0;  // more than 20 mV / 1 A: 100 s to fall to 1/e
  Cell sut(model, 0.01);
  sut.set_voltage(3.6, 1.0);
  EXPECT_NEAR(sut.current_a(), 1e-3, 1e-12);
  for (int frame = 0; frame < 10'000; ++frame) sut.advance();
  EXPECT_NEAR(sut.current_a(), 1e-3 * std::exp(-1.0), 1e-7);  // explicit steps: dt / 2 tau off
}

TEST(Cell, LeavesItsLimitTwentyMillivoltsFromTheVoltage) {
  Cell sut(straight(), 1e-6);
  sut.set_voltage(3.5 + 0.0201, 1e-3);
  EXPECT_TRUE(sut.is_held_back());
  EXPECT_EQ(sut.current_a(), 1e-3);
  sut.set_voltage(3.5 + 0.0199, 1e-3);
  EXPECT_FALSE(sut.is_held_back());
  EXPECT_NEAR(sut.current_a(), 0.995e-3, 1e-9);
}

TEST(Cell, DischargesToALowerVoltageWithinTheSameCompliance) {
  Cell sut(straight(), 1.0);
  sut.set_voltage(3.2, 0.01);
  EXPECT_EQ(sut.current_a(), -0.01);
  EXPECT_TRUE(sut.is_held_back());
  for (int frame = 0; frame < 200; ++frame) sut.advance();
  EXPECT_NEAR(sut.state_of_charge(), 0.2, 1e-6);
}

TEST(Cell, TheScenariosVoltageLimitStillEndsTheCharge) {
  CellModel model = straight();
  model.voltage_limit_v = 3.7;
  Cell sut(model, 1.0);
  sut.set_voltage(3.7, 0.01);  // the limit itself may be held
  for (int frame = 0; frame < 200; ++frame) EXPECT_FALSE(sut.advance());
  EXPECT_NEAR(sut.state_of_charge(), 0.7, 1e-6);
  sut.set_voltage(3.8, 0.01);
  int cut_offs = 0;
  for (int frame = 0; frame < 200; ++frame) cut_offs += sut.advance() ? 1 : 0;
  EXPECT_EQ(cut_offs, 1);
  EXPECT_EQ(sut.current_a(), 0.0);
  EXPECT_TRUE(sut.is_held_back());
  EXPECT_LT(sut.state_of_charge(), 0.72);
  EXPECT_EQ(sut.voltage_v(), ocv(model, sut.state_of_charge()));
  sut.set_voltage(3.3, 0.01);  // discharging from above it is no fault
  EXPECT_EQ(sut.current_a(), -0.01);
  EXPECT_FALSE(sut.advance());
}

TEST(Cell, AFullOrEmptyOneFollowsTheVoltageWithoutACurrent) {
  Cell sut(straight(), 1.0);
  sut.set_voltage(4.3, 1.0);
  for (int frame = 0; frame < 20; ++frame) EXPECT_FALSE(sut.advance());
  EXPECT_EQ(sut.state_of_charge(), 1.0);
  EXPECT_EQ(sut.current_a(), 0.0);
  EXPECT_EQ(sut.voltage_v(), 4.3);
  EXPECT_FALSE(sut.is_held_back());
  sut.set_voltage(0.0, 1.0);
  EXPECT_LT(sut.current_a(), 0.0);
  for (int frame = 0; frame < 20; ++frame) sut.advance();
  EXPECT_EQ(sut.state_of_charge(), 0.0);
  EXPECT_EQ(sut.current_a(), 0.0);
}

TEST(Cell, ACurrentAfterAVoltageIsThatCurrent) {
  Cell sut(straight(), 1.0);
  sut.set_voltage(3.9, 0.01);
  sut.advance();
  sut.set_current(0.0);  // an output that is off
  EXPECT_EQ(sut.current_a(), 0.0);
  EXPECT_FALSE(sut.is_held_back());
  EXPECT_EQ(sut.voltage_v(), ocv(straight(), sut.state_of_charge()));
}

/// Whatever the compliance: the charge goes to where the curve is the voltage, and never beyond.
TEST(Cell, IsStableAtEveryScenariosFramePeriod) {
  int scenarios = 0;
  for (const auto& entry : std::filesystem::directory_iterator(LATTICED_SCENARIOS)) {
    const Scenario scenario = shipped(entry.path());
    ++scenarios;
    for (const double compliance_a : {1e-12, 1e-9, 1e-8, 1e-7, 1e-3, 1.0}) {
      for (const double start : {0.0, 0.5, 1.0}) {
        CellModel model = scenario.cell;
        model.state_of_charge = start;
        const double source_v = std::min(4.2, model.voltage_limit_v);
        Cell sut(model, scenario.frame_period_s);
        sut.set_voltage(source_v, compliance_a);
        const bool is_charging = source_v > ocv(model, start);
        double last_a = std::abs(sut.current_a());
        for (int frame = 0; frame < 2000; ++frame) {
          sut.advance();
          const double beyond_v = ocv(model, sut.state_of_charge()) - source_v;
          // A few units in the last place of 4 V.
          ASSERT_LE(is_charging ? beyond_v : -beyond_v, 1e-14)
              << entry.path() << ", " << compliance_a << " A, from " << start << ", " << frame;
          if (std::abs(beyond_v) < 1e-12) continue;
          ASSERT_LE(std::abs(sut.current_a()), last_a) << entry.path() << ", " << compliance_a;
          last_a = std::abs(sut.current_a());
        }
      }
    }
  }
  EXPECT_GE(scenarios, 11);
}

}  // namespace
}  // namespace latticed::sim
