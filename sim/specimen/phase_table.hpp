// SPDX-License-Identifier: GPL-3.0-or-later
// What is known of each phase: its cell and the reflections of the zone that shows the layers.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "drivers/kit/result.hpp"

namespace latticed::sim {

struct Reflection {
  double h = 0.0;
  double l = 0.0;  // k is 0 in this zone; fractions are a superlattice's
  double amplitude = 0.0;
};

struct Phase {
  std::string name;
  double a_nm = 0.0;
  double c_nm = 0.0;
  int layers_per_cell = 0;
  std::vector<Reflection> reflections;

  [[nodiscard]] double d_layer_nm() const noexcept { return c_nm / layers_per_cell; }
};

using PhaseTable = std::vector<Phase>;

/// The text of sim/data/phases.toml.
[[nodiscard]] std::string_view built_in_phases() noexcept;

Result<PhaseTable> parse_phases(std::string_view toml, const std::string& file);

/// null when there is none of this name.
[[nodiscard]] const Phase* find_phase(const PhaseTable& table, std::string_view name) noexcept;

}  // namespace latticed::sim
