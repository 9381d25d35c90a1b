// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <string>

#include "server/record/record_choices.hpp"

namespace latticed {

struct RecordBenchOptions {
  std::string directory;  // on the disk that is measured
  int size = 2048;        // pixels to a side, 64 to 8192
  int bin = 2;            // 0 = automatic, 1 to 16
  int workers = 2;
  RecordingProfile profile = RecordingProfile::portable;
  int packers = 2;
  double seconds = 20.0;  // about so long
};

/// Prints one JSON object: what is recorded, with every frame analysed and until the disk has it,
/// as a ratio to what the disk itself takes, measured in turns. 0: nothing lost. 1: frames lost. 2:
/// could not run.
int bench_record(const RecordBenchOptions& options);

}  // namespace latticed
