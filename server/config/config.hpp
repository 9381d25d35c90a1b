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
#include "server/record/record_choices.hpp"

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

/// `latticed serve`: where clients find it, and who may do what.
struct ServeConfig {
  std::string grpc = "127.0.0.1:7440";       // HOST:PORT on this machine; port 0 = any
  std::string zmq = "tcp://127.0.0.1:7441";  // the same for ZeroMQ; port 0 = any
  std::string listen;                        // HOST[:PORT] on the lab network; empty = not there
  bool open_reading = false;                 // whoever reaches `listen` may read
  std::string tls_certificate;               // PEM files; empty = no TLS
  std::string tls_key;
  std::string token_file;                 // one line; who has it may control over TLS
  std::string state_directory = "state";  // references, session; made if missing
  int history_frames = 4096;              // measurements a client can go back to
  int zmq_high_water_mark = 64;           // messages a slow subscriber may lag behind
  int frame_lease_quota = 4;              // raw frames ZeroMQ may hold at a time
};

/// The link to latticed-guard, which owns the holders' outputs.
struct HolderConfig {
  std::string guard_socket;    // empty = no holder
  double longest_gap_s = 5.0;  // samples further apart are not interpolated between
};

/// What becomes of a run whose recording fails: the disk is full, or gone.
enum class RecordFailure : std::uint8_t { go_on, stop_run };

struct RecordConfig {
  bool enabled = true;
  std::string directory = "recordings";  // made if missing
  std::string second_directory;          // where a recording goes on; made if missing; empty = none
  RecordingProfile profile = RecordingProfile::portable;
  int packers = 2;  // threads that pack, of profile compact
  WhenBehind when_behind = WhenBehind::drop;
  RecordFailure on_failure = RecordFailure::go_on;
  int quota_frames = 16;       // frames that may wait for the disk
  double least_free_gb = 1.0;  // a run is refused below this
  double warn_minutes = 10.0;  // an alert when the disk will do for less
};

struct Config {
  PipelineConfig pipeline;
  ServeConfig serve;
  HolderConfig holder;
  RecordConfig record;
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
