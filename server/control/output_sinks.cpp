// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/control/output_sinks.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <filesystem>

#include "server/publish/figures_sink.hpp"

namespace latticed {

namespace fs = std::filesystem;

namespace {

/// The path of an output. What an earlier run left there is kept under the next free number.
Result<std::string> output_path(const std::string& directory, const std::string& name) {
  const fs::path path = fs::path(directory) / name;
  std::error_code problem;
  if (!fs::exists(path, problem)) return path.string();
  int number = 1;
  const auto numbered = [&] { return fs::path(fmt::format("{}.{}", path.string(), number)); };
  while (fs::exists(numbered(), problem)) ++number;
  fs::rename(path, numbered(), problem);
  if (problem)
    return Error{ErrorCode::unavailable,
                 fmt::format("keep {} of an earlier run as {}: {}", path.string(),
                             numbered().string(), problem.message())};
  spdlog::info("{} of an earlier run is kept as {}", path.string(), numbered().string());
  return path.string();
}

}  // namespace

Result<OutputSinks> make_output_sinks(Run& run, const OutputConfig& config,
                                      const std::string& detector) {
  OutputSinks out;
  if (!config.json && !config.csv && !config.figures) return out;
  std::error_code problem;
  fs::create_directories(config.directory, problem);
  if (problem)
    return Error{ErrorCode::unavailable,
                 fmt::format("create directory {}: {}", config.directory, problem.message())};
  const auto keep = [&](std::unique_ptr<Sink> sink) {
    out.sinks.push_back(run.reported(std::move(sink), Run::OnFailure::go_on));
  };
  if (config.json) {
    auto path = output_path(config.directory, detector + ".jsonl");
    if (!path) return path.error();
    auto sink = std::make_unique<JsonLinesSink>(*path);
    out.json = sink.get();
    keep(std::move(sink));
  }
  if (config.csv) {
    auto path = output_path(config.directory, detector + ".csv");
    if (!path) return path.error();
    keep(std::make_unique<CsvSink>(*path));
  }
  if (config.figures) {
    auto path = output_path(config.directory, detector + "-figures");
    if (!path) return path.error();
    keep(std::make_unique<FiguresSink>(*path));
  }
  return out;
}

}  // namespace latticed
