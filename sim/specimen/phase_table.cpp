// SPDX-License-Identifier: GPL-3.0-or-later
#include "sim/specimen/phase_table.hpp"

#include <fmt/format.h>

#include "sim/scenario/joined.hpp"
#include "sim/scenario/table_reader.hpp"

namespace latticed::sim {
namespace {

void read_reflections(TableReader& in, const toml::table& table, Phase& phase) {
  in.require("reflections");
  const toml::array* list = table["reflections"].as_array();
  if (list == nullptr) return;
  for (const toml::node& node : *list) {
    const toml::array* numbers = node.as_array();
    if (numbers == nullptr || numbers->size() != 4) {
      in.mistake("reflections", "each must be [h, k, l, amplitude]");
      continue;
    }
    const int h = static_cast<int>((*numbers)[0].value_or(0));
    const int k = static_cast<int>((*numbers)[1].value_or(0));
    const int l = static_cast<int>((*numbers)[2].value_or(0));
    const double amplitude = (*numbers)[3].value_or(0.0);
    if (k != 0 || (h == 0 && l == 0) || amplitude == 0.0) {
      in.mistake("reflections", fmt::format("[{}, {}, {}, {}] must have k = 0, h or l, and an "
                                            "amplitude other than 0",
                                            h, k, l, amplitude));
      continue;
    }
    phase.reflections.push_back({h, l, amplitude});
  }
}

}  // namespace

Result<PhaseTable> parse_phases(std::string_view text, const std::string& file) {
  std::vector<std::string> mistakes;
  PhaseTable phases;
  try {
    const toml::table root = toml::parse(text, file);
    TableReader top(root, file, "", mistakes);
    for (const toml::table* table : top.tables("phase")) {
      TableReader in(*table, file, fmt::format("phase[{}].", phases.size()), mistakes);
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
      read_reflections(in, *table, phase);
      phases.push_back(std::move(phase));
    }
  } catch (const toml::parse_error& error) {
    mistakes.push_back(
        fmt::format("{}:{}: {}", file, error.source().begin.line, error.description()));
  }
  if (mistakes.empty()) return phases;
  return Error{ErrorCode::invalid_argument, joined(mistakes, "\n")};
}

const Phase* find_phase(const PhaseTable& table, std::string_view name) noexcept {
  for (const Phase& phase : table) {
    if (phase.name == name) return &phase;
  }
  return nullptr;
}

}  // namespace latticed::sim
