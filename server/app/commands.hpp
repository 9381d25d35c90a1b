// SPDX-License-Identifier: GPL-3.0-or-later
// The programs inside `latticed`, one per subcommand. Each takes plain options and returns the exit
// status; main.cpp only parses arguments.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "server/signal/analysis_grid.hpp"

namespace latticed {

struct AnalyzeOptions {
  std::vector<std::string> inputs;
  double pixel_size_nm = 0.0;
  double frame_period_s = 0.0;
  int bin = 0;
  signal::Region region;
  std::uint64_t first_frame = 0;
  std::optional<std::uint64_t> end_frame;
  std::string config, rules, csv, figures, dark, gain;
  int workers = 2;
};
/// 0: every frame was read. 1: some were not, or an output failed. 2: nothing could be done.
int analyze(const AnalyzeOptions& options);

struct FiguresOptions {
  std::string series;     // CSV of sim-score --series
  std::string summary;    // JSON of sim-score --summary; empty: none
  std::string directory;  // rehearsal.png goes there
};
/// 0: drawn. 2: could not.
int figures(const FiguresOptions& options);

}  // namespace latticed
