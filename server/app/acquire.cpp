// SPDX-License-Identifier: GPL-3.0-or-later
// `latticed acquire`: one run of the configured detectors, measurements to files.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "server/app/commands.hpp"
#include "server/app/run_until_stopped.hpp"
#include "server/app/stop_signals.hpp"
#include "server/config/config.hpp"
#include "server/control/output_sinks.hpp"
#include "server/control/run.hpp"
#include "server/publish/view_sink.hpp"

namespace latticed {

namespace {

/// A detector of the run, and its sinks that are asked for something. The line owns the sinks.
struct Member {
  std::string name;
  Line* line = nullptr;
  const JsonLinesSink* json = nullptr;
  ViewSink* view = nullptr;
  std::shared_ptr<AlertBoard> alerts = std::make_shared<AlertBoard>();
};

Result<Member> add_detector(Run& run, const DetectorConfig& detector, const Config& config,
                            Screen& screen) {
  Member member{.name = detector.name};
  auto output = make_output_sinks(run, config.output, detector.name);
  if (!output) return output.error();
  member.json = output->json;
  std::vector<std::unique_ptr<Sink>> sinks = std::move(output->sinks);
  sinks.push_back(std::make_unique<AlertLogSink>(detector.name, member.alerts));
  if (config.output.view) {
    auto sink = std::make_unique<ViewSink>(detector.name, screen, member.alerts);
    member.view = sink.get();
    sinks.push_back(std::move(sink));
  }
  auto line = run.add(detector, config.rules, std::move(sinks));
  if (!line)
    return Error{line.error().code,
                 fmt::format("detector {}: {}", detector.name, line.error().message)};
  member.line = *line;
  if (member.view) member.view->watch(**line);
  return member;
}

/// Frames the source knows of, and that have no line in the list of measurements.
std::uint64_t unlisted(const Member& member) {
  if (!member.json) return 0;
  const EdgeCounters& source = member.line->source().counters();
  const auto stale = source.lost[static_cast<std::size_t>(LossReason::stale_epoch)].load();
  const std::uint64_t known = source.out.load() + source.lost_total() - stale;
  return known > member.json->listed() ? known - member.json->listed() : 0;
}

bool summarise(const Member& member) {
  const auto lost = member.line->source().counters().lost_total();
  spdlog::info("{}: {} frames measured, {} lost, {} alerts raised", member.name,
               member.line->measured(), lost, member.alerts->raised_so_far());
  const auto missing = unlisted(member);
  if (missing)
    spdlog::error("{}: {} frames have no line in the measurements", member.name, missing);
  return missing == 0;
}

}  // namespace

int acquire(const AcquireOptions& options, Console console) {
  const auto fail = [](const Error& error) {
    spdlog::error("{}", error.message);
    return 2;
  };
  auto config = read_config(options.config);
  if (!config) return fail(config.error());
  if (auto ok = console.log.configure(config->log); !ok) return fail(ok.error());
  if (!options.directory.empty()) config->output.directory = options.directory;
  Run run(config->pipeline);
  std::vector<Member> members;
  for (const DetectorConfig& detector : config->detectors) {
    auto member = add_detector(run, detector, *config, console.screen);
    if (!member) return fail(member.error());
    members.push_back(std::move(*member));
    if (const int signal = stop_signal()) return exit_status_of(signal);
  }
  const auto outcome = run_until_stopped(run);
  if (!outcome) spdlog::error("{}", outcome.error().message);
  bool is_complete = true;
  for (const Member& member : members) is_complete &= summarise(member);
  spdlog::info("edges\n{}", run.pipeline().counters_table());
  if (!outcome || !is_complete) return 1;
  return stop_signal() ? exit_status_of(stop_signal()) : 0;
}

}  // namespace latticed
