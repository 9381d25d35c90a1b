// SPDX-License-Identifier: GPL-3.0-or-later
#include "sim/specimen/phase_table.hpp"

#include <fmt/format.h>

#include "drivers/toml/table_reader.hpp"

namespace latticed::sim {
namespace {

void read_reflections(TableReader& in, Phase& phase) {
  std::vector<std::vector<double>> rows;
  in.require("reflections", "[[h, k, l, amplitude], ...]");
  in.rows("reflections", 4, rows);
  for (const auto& row : rows) {
    const int h = static_cast<int>(row[0]);
    const int k = static_cast<int>(row[1]);
    const int l = static_cast<int>(row[2]);
    const double amplitude = row[3];
    if (k != 0 || (h == 0 && l == 0) || amplitude == 0.0) {
      in.mistake("reflections", fmt::format("[{}, {}, {}, {}] must have k = 0, h or l, and an "
                                            "amplitude other than 0",
                                            h, k, l, amplitude));
      continue;
    }
    phase.reflections.push_back({static_cast<double>(h), static_cast<double>(l), amplitude});
  }
}

Phase read_phase(TableReader& in) {
  Phase phase;
  std::string source;
  std::int64_t layers = 1;
  for (const char* key : {"name", "a_nm", "c_nm", "layers_per_cell", "source"}) in.require(key);
  in.text("name", phase.name);
  in.text("source", source);
  in.number("a_nm", phase.a_nm, {0.1, 5.0});
  in.number("c_nm", phase.c_nm, {0.1, 10.0});
  in.integer("layers_per_cell", layers, {1, 12});
  phase.layers_per_cell = static_cast<int>(layers);
  read_reflections(in, phase);
  return phase;
}

}  // namespace

Result<PhaseTable> parse_phases(std::string_view text, const std::string& file) {
  PhaseTable phases;
  const auto read = [&](TableReader& top) {
    for (TableReader& in : top.tables("phase")) phases.push_back(read_phase(in));
  };
  if (auto ok = read_toml(text, file, read); !ok) return ok.error();
  return phases;
}

const Phase* find_phase(const PhaseTable& table, std::string_view name) noexcept {
  for (const Phase& phase : table) {
    if (phase.name == name) return &phase;
  }
  return nullptr;
}

}  // namespace latticed::sim
