// SPDX-License-Identifier: GPL-3.0-or-later
// `latticed analyze`: the live pipeline over recordings.
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include "server/app/commands.hpp"
#include "server/app/run_until_stopped.hpp"
#include "server/app/stop_signals.hpp"
#include "server/config/config.hpp"
#include "server/control/run.hpp"
#include "server/publish/figures_sink.hpp"
#include "server/publish/json_lines_sink.hpp"

namespace latticed {

namespace {

/// The first detector of a configuration says how to measure; the recording takes its place.
Result<Config> effective_config(const AnalyzeOptions& options) {
  Config config;
  if (!options.config.empty()) {
    auto read = read_config(options.config);
    if (!read) return read.error();
    config = std::move(*read);
  }
  config.detectors.resize(1);
  if (!options.rules.empty()) {
    auto rules = read_rules(options.rules);
    if (!rules) return rules.error();
    config.rules = std::move(*rules);
  }
  if (options.workers) config.pipeline.workers = *options.workers;
  DetectorConfig& detector = config.detectors.front();
  detector.name = "recording";
  detector.driver = DriverKind::replay;
  detector.replay = {};
  detector.replay.files = options.inputs;
  detector.replay.first_frame = options.frames.first;
  detector.replay.end_frame = options.frames.end;
  detector.source_policy = SourcePolicy::block;
  detector.line.detector = {};
  if (options.pixel_size_nm) detector.line.pixel_size_nm = *options.pixel_size_nm;
  if (options.frame_period_s) detector.line.frame_period_s = *options.frame_period_s;
  if (options.bin) detector.line.prepare.bin = *options.bin;
  if (options.region) detector.line.prepare.region = *options.region;
  if (!options.dark.empty()) detector.references.dark = options.dark;
  if (!options.gain.empty()) detector.references.gain = options.gain;
  return config;
}

/// Only where it disturbs nobody: stderr is a terminal and the measurements go elsewhere.
void show_progress(Screen& screen, const Line& line) {
  if (!screen.is_terminal() || isatty(STDOUT_FILENO)) return;
  const auto lost = line.source().counters().lost_total();
  screen.show("progress", fmt::format("{} of {} frames{}", line.measured() + lost,
                                      line.run().configuration.frame_count,
                                      lost ? fmt::format(", {} could not be read", lost) : ""));
}

}  // namespace

int analyze(const AnalyzeOptions& options, Console console) {
  const auto fail = [](const Error& error) {
    spdlog::error("{}", error.message);
    return 2;
  };
  const auto config = effective_config(options);
  if (!config) return fail(config.error());
  if (auto ok = console.log.configure(config->log); !ok) return fail(ok.error());

  Run run(config->pipeline);
  std::vector<std::unique_ptr<Sink>> sinks;
  sinks.push_back(run.reported(std::make_unique<JsonLinesSink>(stdout), Run::OnFailure::stop_run));
  if (!options.csv.empty())
    sinks.push_back(run.reported(std::make_unique<CsvSink>(options.csv), Run::OnFailure::go_on));
  if (!options.figures.empty())
    sinks.push_back(
        run.reported(std::make_unique<FiguresSink>(options.figures), Run::OnFailure::go_on));
  const auto line = run.add(config->detectors.front(), config->rules, std::move(sinks));
  if (!line) return fail(line.error());
  if (const int signal = stop_signal()) return exit_status_of(signal);

  const auto outcome = run_until_stopped(run, [&] { show_progress(console.screen, **line); });
  console.screen.show("progress", "");
  if (!outcome) spdlog::error("{}", outcome.error().message);
  spdlog::info("edges\n{}", run.pipeline().counters_table());
  const auto lost = (*line)->source().counters().lost_total();
  if (lost) spdlog::error("{} frames could not be read", lost);
  if (!outcome) return 1;
  if (const int signal = stop_signal()) return exit_status_of(signal);
  return lost == 0 ? 0 : 1;
}

}  // namespace latticed
