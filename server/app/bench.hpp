// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

namespace latticed {

struct BenchOptions {
  int size = 2048;        // pixels to a side, 64 to 8192
  int bin = 2;            // 0 = automatic, 1 to 16
  int workers = 2;        // prepare workers, and threads of the floor
  double rate_hz = 0.0;   // 0 = full speed: the source waits for free slots
  double seconds = 5.0;   // about so long, 0.1 to 3600
  bool has_maps = false;  // a dark, a gain and hot pixels to correct by
};

/// Prints one JSON object (README, "bench"). 0: nothing lost. 1: frames lost. 2: could not run.
int bench(const BenchOptions& options);

}  // namespace latticed
