// SPDX-License-Identifier: GPL-3.0-or-later
// The files a run writes besides its recording: JSON lines, a table, figures.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "server/control/run.hpp"
#include "server/publish/json_lines_sink.hpp"

namespace latticed {

struct OutputSinks {
  std::vector<std::unique_ptr<Sink>> sinks;
  const JsonLinesSink* json = nullptr;  // one of them, if asked for
};

/// As configured, for one detector; the run goes on without one that fails. What an earlier run
/// left under a name is kept under the next free number. The folder is made if missing.
Result<OutputSinks> make_output_sinks(Run& run, const OutputConfig& config,
                                      const std::string& detector);

}  // namespace latticed
