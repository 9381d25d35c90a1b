// SPDX-License-Identifier: GPL-3.0-or-later
#include "sim/specimen/specimen.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/sim/support/build_scenario.hpp"

namespace latticed::sim {
namespace {

using test::phases;
using test::still_scenario;

const Event* find_event(const SpecimenState& state, const std::string& kind) {
  for (const Event& event : state.events) {
    if (event.kind == kind) return &event;
  }
  return nullptr;
}

double wave_turns(const PlaneWave& wave, Vector at) { return dot(wave.g_per_nm, at) + wave.turns; }

TEST(Specimen, CountsChargeOverItsCapacity) {
  Scenario scenario = still_scenario();
  scenario.cell.capacity_c = 10.0;
  scenario.cell.voltage_v = {{0.0, 3.0}, {1.0, 4.0}};
  scenario.steps = {
      {.t_s = 2.0, .current_a = 0.5, .temperature_k = {}, .beam_on = {}, .jump_nm = {}}};
  Specimen sut(scenario, phases(), 1.0);
  for (int frame = 0; frame <= 6; ++frame) sut.advance({});
  EXPECT_NEAR(sut.state().state_of_charge, 0.5 * 4.0 / 10.0, 1e-12);  // on since frame 2
  EXPECT_NEAR(sut.state().bias_v, 3.2, 1e-12);
}

TEST(Specimen, CutsTheCurrentOffAtTheVoltageLimit) {
  Scenario scenario = still_scenario();
  scenario.cell.capacity_c = 4.0;
  scenario.cell.voltage_limit_v = 3.45;
  scenario.cell.voltage_v = {{0.0, 3.0}, {1.0, 4.0}};
  Specimen sut(scenario, phases(), 1.0);
  const Step on{.t_s = 0.0, .current_a = 1.0, .temperature_k = {}, .beam_on = {}, .jump_nm = {}};
  sut.advance(std::span(&on, 1));
  EXPECT_EQ(sut.advance({}).current_a, 1.0);
  const SpecimenState& state = sut.advance({});
  EXPECT_EQ(state.current_a, 0.0);
  EXPECT_NE(find_event(state, "voltage_limit"), nullptr);
  EXPECT_EQ(sut.advance({}).state_of_charge, 0.5);
}

TEST(Specimen, HoldsAVoltageUntilTheOutputGoesOff) {
  Scenario scenario = still_scenario();
  scenario.cell.capacity_c = 10.0;
  scenario.cell.voltage_v = {{0.0, 3.0}, {1.0, 4.0}};
  Specimen sut(scenario, phases(), 1.0);
  Step on;
  on.source_v = 3.5;
  on.compliance_a = 0.1;
  const SpecimenState& state = sut.advance(std::span(&on, 1));
  EXPECT_EQ(state.current_a, 0.1);
  EXPECT_TRUE(state.is_held_back);
  ASSERT_EQ(state.events.size(), 2u);
  EXPECT_EQ(state.events[0].kind, "command");
  EXPECT_EQ(state.events[0].detail, "source_v 3.5");
  EXPECT_EQ(state.events[1].detail, "compliance_a 0.1");
  for (int frame = 0; frame < 60; ++frame) sut.advance({});
  EXPECT_EQ(state.bias_v, 3.5);
  EXPECT_FALSE(state.is_held_back);
  EXPECT_NEAR(state.state_of_charge, 0.5, 1e-3);
  EXPECT_GT(state.current_a, 0.0);
  Step off;
  off.current_a = 0.0;
  sut.advance(std::span(&off, 1));
  EXPECT_EQ(state.current_a, 0.0);
}

TEST(Specimen, ACommandIsTheSameAsAStepAtItsFrame) {
  Scenario with_step = still_scenario();
  with_step.drift.walk_nm_per_sqrt_s = 0.1;
  Scenario without = with_step;
  with_step.heat.drift_nm_per_k = without.heat.drift_nm_per_k = {0.01, 0.02};
  const Step hot{.t_s = 3.0, .current_a = {}, .temperature_k = 400.0, .beam_on = {}, .jump_nm = {}};
  with_step.steps = {hot};
  Specimen by_step(with_step, phases(), 1.0);
  Specimen by_command(without, phases(), 1.0);
  for (int frame = 0; frame < 8; ++frame) {
    const SpecimenState& a = by_step.advance({});
    const SpecimenState& b =
        by_command.advance(frame == 3 ? std::span(&hot, 1) : std::span<const Step>{});
    ASSERT_EQ(a.shift_nm.x, b.shift_nm.x) << frame;
    ASSERT_EQ(a.temperature_k, b.temperature_k) << frame;
  }
}

TEST(Specimen, HeatExpandsTheLatticeAndMovesTheSupportLater) {
  Scenario scenario = still_scenario();
  scenario.heat.tau_s = 0.01;
  scenario.heat.expansion_c_per_k = 1e-4;
  scenario.heat.drift_nm_per_k = {0.02, 0.0};
  scenario.heat.drift_tau_s = 10.0;
  scenario.steps = {
      {.t_s = 1.0, .current_a = {}, .temperature_k = 393.0, .beam_on = {}, .jump_nm = {}}};
  Specimen sut(scenario, phases(), 1.0);
  const double d0 = sut.advance({}).domains.front().d_layer_nm;
  sut.advance({});
  const SpecimenState& hot = sut.advance({});
  EXPECT_NEAR(hot.domains.front().d_layer_nm / d0, 1.01, 1e-9);
  EXPECT_NEAR(hot.shift_nm.x, 2.0 * (1.0 - std::exp(-0.1)), 1e-9);
  for (int i = 0; i < 200; ++i) sut.advance({});
  EXPECT_NEAR(sut.state().shift_nm.x, 2.0, 1e-6);
}

TEST(Specimen, ExpandsAboutItsFixedPoint) {
  Scenario scenario = still_scenario();
  scenario.specimen.fixed_point_nm = Pair{-1.3, 0.8};
  scenario.heat.expansion_c_per_k = 1e-4;
  scenario.heat.expansion_a_per_k = 3e-5;
  scenario.steps = {
      {.t_s = 1.0, .current_a = {}, .temperature_k = 393.0, .beam_on = {}, .jump_nm = {}}};
  Specimen sut(scenario, phases(), 1.0);
  const std::vector<PlaneWave> cold = sut.advance({}).domains.front().waves;
  sut.advance({});
  const std::vector<PlaneWave> hot = sut.advance({}).domains.front().waves;
  for (std::size_t i = 0; i < cold.size(); ++i) {
    EXPECT_NE(cold[i].g_per_nm.x, hot[i].g_per_nm.x);
    EXPECT_NEAR(wave_turns(cold[i], {-1.3, 0.8}), wave_turns(hot[i], {-1.3, 0.8}), 1e-9);
  }
}

TEST(Specimen, BlankedBeamAddsNoDose) {
  Scenario scenario = still_scenario();
  scenario.steps = {
      {.t_s = 2.0, .current_a = {}, .temperature_k = {}, .beam_on = false, .jump_nm = {}},
      {.t_s = 4.0, .current_a = {}, .temperature_k = {}, .beam_on = true, .jump_nm = {}}};
  Specimen sut(scenario, phases(), 100.0);
  for (int frame = 0; frame < 6; ++frame) sut.advance({});
  EXPECT_EQ(sut.state().fluence_e_per_nm2, 300.0);  // frames 0, 1 and 4
}

TEST(Specimen, OutOfTheBeamItTakesNoDoseButDriftsOn) {
  Scenario scenario = still_scenario();
  scenario.drift.rate_nm_per_s = {0.1, 0.0};
  Step out;
  out.t_s = 2.0;
  out.specimen_in = false;
  Step back = out;
  back.t_s = 4.0;
  back.specimen_in = true;
  scenario.steps = {out, back};
  Specimen sut(scenario, phases(), 100.0);
  for (int frame = 0; frame < 6; ++frame) {
    const SpecimenState& state = sut.advance({});
    EXPECT_EQ(state.specimen_in, frame < 2 || frame >= 4) << frame;
    if (frame == 2) {
      ASSERT_EQ(state.events.size(), 1u);
      EXPECT_EQ(state.events[0].detail, "specimen out");
    }
  }
  EXPECT_EQ(sut.state().fluence_e_per_nm2, 300.0);  // frames 0, 1 and 4
  EXPECT_NEAR(sut.state().shift_nm.x, 0.5, 1e-12);
}

TEST(Specimen, DoseEatsTheRimAndFadesTheLattice) {
  Scenario scenario = still_scenario();
  scenario.dose = {
      .threshold_e_per_nm2 = 100.0, .rim_nm_per_e_per_nm2 = 1e-3, .critical_e_per_nm2 = 1000.0};
  Specimen sut(scenario, phases(), 100.0);
  const double first = sut.advance({}).domains.front().waves.front().amplitude;
  bool was_told = false;
  for (int frame = 1; frame <= 6; ++frame)
    was_told |= find_event(sut.advance({}), "amorphisation_onset") != nullptr;
  EXPECT_NEAR(sut.state().rim_nm - scenario.specimen.rim_nm, 0.5, 1e-12);
  EXPECT_NEAR(sut.state().domains.front().waves.front().amplitude / first, std::exp(-0.5), 1e-12);
  EXPECT_TRUE(was_told);
}

TEST(Specimen, AirSwellsTheLayers) {
  Scenario scenario = still_scenario();
  scenario.specimen.phase = "O3";
  scenario.air = {.onset_s = 0.0, .tau_s = 1.0, .layer_change_percent = 1.31, .rim_nm_per_s = 0.0};
  Specimen sut(scenario, phases(), 1.0);
  for (int frame = 0; frame < 40; ++frame) sut.advance({});
  EXPECT_NEAR(sut.state().domains.front().d_layer_nm, 0.5335333 * 1.0131, 1e-6);
}

TEST(Specimen, AJumpMovesItAndIsMarked) {
  Scenario scenario = still_scenario();
  scenario.steps = {{.t_s = 1.0,
                     .current_a = {},
                     .temperature_k = {},
                     .beam_on = {},
                     .jump_nm = Pair{0.4, -0.2}}};
  Specimen sut(scenario, phases(), 1.0);
  EXPECT_FALSE(sut.advance({}).jumped);
  const SpecimenState& state = sut.advance({});
  EXPECT_TRUE(state.jumped);
  EXPECT_NE(find_event(state, "jump"), nullptr);
  EXPECT_DOUBLE_EQ(state.shift_nm.x, 0.4);
  EXPECT_DOUBLE_EQ(state.shift_nm.y, -0.2);
  EXPECT_FALSE(sut.advance({}).jumped);
}

TEST(Specimen, StrainStepIsContinuousOnItsLine) {
  Scenario scenario = still_scenario();
  scenario.specimen.strain_step =
      StrainStep{.normal_deg = 0.0, .position_nm = 0.7, .strain_percent = 2.0, .softness_nm = 0.3};
  Specimen sut(scenario, phases(), 1.0);
  const SpecimenState& state = sut.advance({});
  ASSERT_EQ(state.domains.size(), 2u);
  for (std::size_t i = 0; i < state.domains[0].waves.size(); ++i) {
    for (const double y : {-3.0, 0.0, 5.0}) {
      EXPECT_NEAR(wave_turns(state.domains[0].waves[i], {0.7, y}),
                  wave_turns(state.domains[1].waves[i], {0.7, y}), 1e-9);
    }
  }
  const Strain strain = strain_of(state.domains[1].deformation);
  EXPECT_NEAR(strain.xx, 0.02, 1e-12);
  EXPECT_NEAR(strain.yy, 0.0, 1e-12);
  EXPECT_NEAR(strain.xy, 0.0, 1e-12);
  EXPECT_NEAR(strain.rotation_rad, 0.0, 1e-12);
}

TEST(Specimen, StretchedLatticeHasSpacingsLongerByTheStrain) {
  Scenario scenario = still_scenario();
  scenario.specimen.layer_normal_deg = 0.0;
  scenario.specimen.strain_step =
      StrainStep{.normal_deg = 0.0, .position_nm = 0.0, .strain_percent = 1.0, .softness_nm = 0.3};
  Specimen sut(scenario, phases(), 1.0);
  const SpecimenState& state = sut.advance({});
  const double before = 1.0 / length(state.domains[0].waves.front().g_per_nm);
  const double beyond = 1.0 / length(state.domains[1].waves.front().g_per_nm);
  EXPECT_NEAR(beyond / before, 1.01, 1e-12);
}

TEST(Specimen, ShellHasItsOwnSpacing) {
  Scenario scenario = still_scenario();
  scenario.specimen.shell = Shell{.thickness_nm = 1.0, .d_layer_nm = 0.552};
  Specimen sut(scenario, phases(), 1.0);
  const SpecimenState& state = sut.advance({});
  ASSERT_EQ(state.domains.size(), 2u);
  EXPECT_NEAR(state.domains[0].d_layer_nm, 0.555545, 1e-9);
  EXPECT_NEAR(state.domains[1].d_layer_nm, 0.552, 1e-9);
  EXPECT_NEAR(1.0 / length(state.domains[1].waves.front().g_per_nm), 0.552, 1e-9);
}

TEST(Specimen, TransitionBringsASecondDomainThatGrows) {
  Scenario scenario = still_scenario();
  scenario.cell.capacity_c = 10.0;
  scenario.cell.state_of_charge = 0.5;
  scenario.specimen.transition = Transition{};
  scenario.specimen.transition->to = "O2";
  scenario.specimen.transition->onset_soc = 0.55;
  scenario.specimen.transition->complete_soc = 1.0;
  const Step on{.t_s = 0.0, .current_a = 1.0, .temperature_k = {}, .beam_on = {}, .jump_nm = {}};
  Specimen sut(scenario, phases(), 1.0);
  EXPECT_EQ(sut.advance(std::span(&on, 1)).domains.size(), 1u);
  const SpecimenState& state = sut.advance({});
  ASSERT_EQ(state.domains.size(), 2u);
  EXPECT_EQ(state.domains[1].phase, "O2");
  EXPECT_NEAR(state.domains[1].d_layer_nm, 0.44385, 1e-9);
  const double early = state.domains[1].limits.front().position_nm;
  EXPECT_LT(sut.advance({}).domains[1].limits.front().position_nm,
            early);  // the front moves inward
}

TEST(StrainOf, SeparatesStretchAndRotation) {
  const SinCos turn = sin_cos_turns(0.01);  // from +x to +y, y down
  const Matrix rotation{turn.cosine, -turn.sine, turn.sine, turn.cosine};
  const Matrix v{1.02, 0.004, 0.004, 0.99};
  const Strain strain = strain_of(v * rotation);
  EXPECT_NEAR(strain.xx, 0.02, 1e-12);
  EXPECT_NEAR(strain.yy, -0.01, 1e-12);
  EXPECT_NEAR(strain.xy, 0.004, 1e-12);
  EXPECT_NEAR(strain.rotation_rad, 0.02 * M_PI, 1e-12);
}

TEST(Specimen, HasTheAmplitudesItsScenarioGivesAndTheirCourse) {
  Scenario scenario = test::still_scenario();
  scenario.cell.capacity_c = 1.0;
  scenario.cell.voltage_limit_v = 9.0;
  Step charge;
  charge.current_a = 0.1;  // a tenth a frame
  scenario.steps = {charge};
  scenario.specimen.reflections = {{0.0, 2.0, {{0.0, 0.08}, {1.0, 0.04}}},
                                   {1.0 / 3.0, 0.0, {{0.0, 0.02}, {0.2, 0.0}}}};
  Specimen sut(scenario, test::phases(), 1.0);
  const std::size_t in_table = test::phases().front().reflections.size();
  for (int n = 0; n < 5; ++n) {
    const Domain& domain = sut.advance({}).domains.front();
    ASSERT_EQ(domain.waves.size(), in_table + 1) << "one is the table's own, one is new";
    EXPECT_NEAR(domain.waves.front().amplitude, 0.08 - 0.004 * n, 1e-9) << "002, frame " << n;
    const PlaneWave& third = domain.waves.back();
    EXPECT_NEAR(third.amplitude, std::max(0.0, 0.02 - 0.01 * n), 1e-9) << "frame " << n;
    const auto whole =
        std::find_if(domain.waves.begin(), domain.waves.end(),
                     [](const PlaneWave& wave) { return wave.h == 1.0 && wave.l == 0.0; });
    ASSERT_NE(whole, domain.waves.end());
    EXPECT_NEAR(length(third.g_per_nm) / length(whole->g_per_nm), 1.0 / 3.0, 1e-12);
  }
}

}  // namespace
}  // namespace latticed::sim
