// SPDX-License-Identifier: GPL-3.0-or-later
#include "sim/specimen/phase_table.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "sim/specimen/domain.hpp"
#include "tests/sim/support/build_scenario.hpp"

namespace latticed::sim {
namespace {

std::map<std::pair<int, int>, double> spacings_of(const char* name) {
  const Phase* phase = find_phase(test::phases(), name);
  EXPECT_NE(phase, nullptr) << name;
  std::map<std::pair<int, int>, double> spacings;
  for (const PlaneWave& wave :
       waves_of(*phase, phase->a_nm, phase->d_layer_nm(), orientation(33.0), {})) {
    spacings[{wave.h, std::abs(wave.l)}] = 1.0 / length(wave.g_per_nm);
  }
  return spacings;
}

// Spacings computed with an independent tool from the cells (notes, section A.3), in nm.
TEST(PhaseTable, GivesTheKnownSpacings) {
  const auto p2 = spacings_of("P2");
  EXPECT_NEAR(p2.at({0, 2}), 0.5555, 1e-4);
  EXPECT_NEAR(p2.at({0, 4}), 0.2778, 1e-4);
  EXPECT_NEAR(p2.at({1, 0}), 0.2487, 1e-4);
  EXPECT_NEAR(p2.at({1, 1}), 0.2427, 1e-4);
  EXPECT_NEAR(p2.at({1, 2}), 0.2270, 1e-4);
  EXPECT_NEAR(p2.at({1, 3}), 0.2064, 1e-4);
  const auto o2 = spacings_of("O2");
  EXPECT_NEAR(o2.at({0, 2}), 0.4439, 1e-4);
  EXPECT_NEAR(o2.at({1, 0}), 0.2464, 1e-4);
  EXPECT_NEAR(o2.at({1, 3}), 0.1893, 1e-4);
  const auto o3 = spacings_of("O3");
  EXPECT_NEAR(o3.at({0, 3}), 0.5335, 1e-4);
  EXPECT_NEAR(o3.at({1, 1}), 0.2544, 1e-4);
  EXPECT_NEAR(o3.at({1, 2}), 0.2452, 1e-4);
  EXPECT_NEAR(o3.at({1, 4}), 0.2166, 1e-4);
  const auto p3 = spacings_of("P3");
  EXPECT_NEAR(p3.at({0, 3}), 0.5625, 1e-4);
  EXPECT_NEAR(p3.at({1, 1}), 0.2422, 1e-4);
  EXPECT_NEAR(p3.at({1, 5}), 0.1981, 1e-4);
}

TEST(PhaseTable, KeepsTheStackingRuleInTheFirstRow) {
  for (const Phase& phase : test::phases()) {
    const Orientation axes = orientation(20.0);
    for (const PlaneWave& wave : waves_of(phase, phase.a_nm, phase.d_layer_nm(), axes, {})) {
      const double along = dot(wave.g_per_nm, axes.layer_normal) * phase.d_layer_nm();
      const double f = along - std::floor(along + 1e-9);
      if (wave.h == 0) {
        EXPECT_NEAR(f, 0.0, 1e-9) << phase.name << " 00" << wave.l;
      } else if (phase.layers_per_cell == 2) {
        EXPECT_TRUE(std::abs(f) < 1e-9 || std::abs(f - 0.5) < 1e-9)
            << phase.name << " 10" << wave.l;
      } else {
        EXPECT_NEAR(f, 1.0 / 3.0, 1e-9) << phase.name << " 10" << wave.l;
      }
    }
  }
}

// The 6_3 axis carries one layer of a two-layer cell into the next.
TEST(PhaseTable, MakesTheLayersOfATwoLayerCellAlike) {
  for (const Phase& phase : test::phases()) {
    if (phase.layers_per_cell != 2) continue;
    std::map<std::pair<int, int>, double> amplitudes;
    for (const Reflection& r : phase.reflections) amplitudes[{r.h, r.l}] = r.amplitude;
    for (const auto& [hl, amplitude] : amplitudes) {
      if (hl.first == 0 || hl.second == 0) continue;
      const double sign = hl.second % 2 == 0 ? 1.0 : -1.0;
      EXPECT_EQ((amplitudes.at({hl.first, -hl.second})), sign * amplitude) << phase.name;
    }
  }
}

TEST(PhaseTable, RefusesReflectionsOfAnotherZone) {
  const auto parsed = parse_phases(
      "[[phase]]\nname = \"X\"\na_nm = 0.3\nc_nm = 1.1\nlayers_per_cell = 2\nsource = \"here\"\n"
      "reflections = [[1, 1, 0, 0.1]]\n",
      "p.toml");
  ASSERT_FALSE(parsed);
  EXPECT_NE(parsed.error().message.find("p.toml:7"), std::string::npos) << parsed.error().message;
}

}  // namespace
}  // namespace latticed::sim
