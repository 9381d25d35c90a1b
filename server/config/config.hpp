// SPDX-License-Identifier: GPL-3.0-or-later
// The configuration file as plain values. Each part's struct lives with its part; here they are
// only gathered. describe.hpp names every key once, for reading, for printing and for documenting.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "drivers/kit/result.hpp"
#include "drivers/replay/replay_detector.hpp"
#include "drivers/simulator/sim_detector.hpp"
#include "server/base/log.hpp"
#include "server/process/pipeline.hpp"

namespace latticed {

enum class DriverKind : std::uint8_t { simulator, replay };

/// What happens to a frame that finds no slot. automatic: block where the detector waits for us (a
/// recording, a world at full speed), drop_newest where it does not.
enum class SourcePolicy : std::uint8_t { automatic, block, drop_newest, stop_run };

struct ReferenceFiles {
  std::string dark;  // any readable image or movie (its first frame); empty = none
  std::string gain;  // multiplied: 1 / flat field, mean about 1; empty = none
};

struct DetectorConfig {
  std::string name;  // letters, digits, _ and -; names the detector's files
  DriverKind driver = DriverKind::simulator;
  SimDetectorOptions simulator;
  ReplayOptions replay;
  SourcePolicy source_policy = SourcePolicy::automatic;
  ReferenceFiles references;
  LineConfig line;  // its rules and source_policy come from here and from Config
};

struct OutputConfig {
  std::string directory = "latticed-run";  // made if missing
  bool json = true;                        // <detector>.jsonl
  bool csv = false;                        // <detector>.csv
  bool figures = false;                    // <detector>-figures/: drawn when the run ends
  bool view = true;                        // the live table on a terminal, else a line now and then
};

struct Config {
  PipelineConfig pipeline;
  OutputConfig output;
  LogConfig log;
  std::vector<DetectorConfig> detectors;
  std::vector<AlertRule> rules = default_rules();
};

/// All mistakes at once, a line each: "FILE:LINE:COLUMN: key: what (expected ...)".
Result<Config> parse_config(std::string_view toml, const std::string& file);
Result<Config> read_config(const std::string& path);

/// A file of nothing but [[rule]] tables.
Result<std::vector<AlertRule>> parse_rules(std::string_view toml, const std::string& file);
Result<std::vector<AlertRule>> read_rules(const std::string& path);

/// Every key with its value, commented; parse_config reads it back to the same values.
std::string to_toml(const Config& config);

}  // namespace latticed
