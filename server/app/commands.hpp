// SPDX-License-Identifier: GPL-3.0-or-later
// The programs inside `latticed`, one per subcommand. Each takes plain options and returns the exit
// status; main.cpp only parses arguments.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "server/base/log.hpp"
#include "server/config/short_texts.hpp"

namespace latticed {

/// What every command has; outlives it.
struct Console {
  Screen& screen;
  Log& log;
};

/// What was not given keeps the configuration's value, or the default.
struct AnalyzeOptions {
  std::vector<std::string> inputs;
  std::optional<double> pixel_size_nm, frame_period_s;
  std::optional<int> bin, workers;
  std::optional<signal::Region> region;
  FrameRange frames;
  std::string config, rules, csv, figures, dark, gain;
};
/// 0: every frame was read. 1: some were not, or an output failed. 2: nothing could be done.
/// 128 + signal: ended by it.
int analyze(const AnalyzeOptions& options, Console console);

struct AcquireOptions {
  std::string config;
  std::string directory;  // empty = the configuration's
};
/// 0: all ended well and every loss is listed. 1: not so. 2: nothing could be done. 128 + signal:
/// ended by it.
int acquire(const AcquireOptions& options, Console console);

struct ServeOptions {
  std::string config;
  std::string grpc, zmq, listen;  // empty = the configuration's
};
/// Prints "ready grpc=HOST:PORT zmq=tcp://HOST:PORT" when clients can come; ends on SIGINT or
/// SIGTERM. 0: ended, everything taken was measured. 1: the run had to be given up. 2: could not
/// start.
int serve(const ServeOptions& options, Console console);

/// 0: the effective configuration on stdout. 1: all errors on stderr.
int check_config(const std::string& path);

struct FiguresOptions {
  std::string series;     // CSV of sim-score --series
  std::string summary;    // JSON of sim-score --summary; empty: none
  std::string directory;  // rehearsal.png goes there
};
/// 0: drawn. 2: could not.
int figures(const FiguresOptions& options);

}  // namespace latticed
