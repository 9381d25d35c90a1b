// SPDX-License-Identifier: GPL-3.0-or-later
// sim-world: the simulated specimen as a process of its own. See sim/README.md.
#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "sim/export/export.hpp"
#include "sim/scenario/read_scenario.hpp"
#include "sim/world/link_server.hpp"
#include "sim/world/world.hpp"

namespace {

using namespace latticed;
using namespace latticed::sim;

struct Options {
  std::string scenario;
  std::string socket;
  std::string references;
  std::string movie;
  int reference_frames = 64;
  std::int64_t seed = -1;
  std::int64_t frames = -1;
  bool check_only = false;
  bool print_steps = false;
  RunOptions run;
};

int fail(const Error& error) {
  fmt::print(stderr, "sim-world: {}\n", error.message);
  return 2;
}

int serve(const Scenario& scenario, const RunOptions& options, const std::string& socket) {
  auto world = World::create(scenario, options);
  if (!world) return fail(world.error());
  auto server = LinkServer::listen(**world, socket);
  if (!server) return fail(server.error());
  fmt::print("ready socket={}\n", socket);
  std::fflush(stdout);
  (*server)->run();
  return 0;
}

/// What can be done without a client; nullopt when nothing of it is asked for.
std::optional<Result<void>> write_files(const Scenario& scenario, const Options& options) {
  if (!options.references.empty()) {
    return write_references(scenario, options.references, options.reference_frames);
  }
  if (options.movie.empty()) return std::nullopt;
  auto phases = parse_phases(built_in_phases(), "phases.toml");
  if (!phases) return Result<void>(phases.error());
  if (auto checked = check_phases(scenario, *phases); !checked) return checked;
  return write_movie(
      scenario, *phases,
      {options.movie, options.run.truth, options.run.bounds_every, options.run.threads});
}

void declare(CLI::App& app, Options& options) {
  RunOptions& run = options.run;
  app.add_option("--scenario", options.scenario, "scenario file (TOML)")->required();
  app.add_option("--socket", options.socket, "Unix socket to listen at");
  app.add_option("--truth", run.truth, "write the truth of the run to this file (JSON lines)");
  app.add_option("--bounds", run.bounds_every,
                 "with --truth: the Cramér-Rao bounds of every so many frames, too")
      ->check(CLI::PositiveNumber);
  app.add_option("--speed", run.speed, "times real time; 0 = as fast as frames are taken")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--threads", run.threads, "threads that render")->check(CLI::Range(1, 64));
  app.add_option("--slots", run.slots, "frames in the ring")->check(CLI::Range(1, 4096));
  app.add_option("--prefetch", run.prefetch, "render so many frames once; the driver cycles")
      ->check(CLI::Range(0, 4096));
  app.add_option("--stimulus", run.holder.stimulus,
                 "who plays the scenario's current and temperature: scenario, client (the world "
                 "waits for it), free (nobody)")
      ->transform(
          CLI::CheckedTransformer(std::map<std::string, Stimulus>{{"scenario", Stimulus::scenario},
                                                                  {"client", Stimulus::client},
                                                                  {"free", Stimulus::free}}));
  app.add_option("--seed", options.seed, "instead of the scenario's")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--frames", options.frames, "instead of the scenario's; 0 = endless")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--references", options.references, "write dark.mrc and gain.mrc here, then exit");
  app.add_option("--reference-frames", options.reference_frames, "frames each is the mean of")
      ->check(CLI::Range(1, 100000));
  app.add_option("--movie", options.movie, "write the frames to this MRC file, then exit");
  app.add_flag("--steps", options.print_steps,
               "print the steps a client would play (JSON), then exit");
  app.add_flag("--check", options.check_only, "only check the scenario");
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"The simulated specimen and its detectors"};
  Options options;
  declare(app, options);
  CLI11_PARSE(app, argc, argv);

  auto scenario = read_scenario(options.scenario);
  if (!scenario) return fail(scenario.error());
  if (options.seed >= 0) scenario->seed = static_cast<std::uint64_t>(options.seed);
  if (options.frames >= 0) scenario->frames = static_cast<std::uint64_t>(options.frames);
  if (options.check_only) return 0;
  if (options.print_steps) {
    fmt::print("{}\n", to_json(stimulus_of(*scenario)).dump());
    return 0;
  }
  if (const auto written = write_files(*scenario, options)) {
    return *written ? 0 : fail(written->error());
  }
  if (options.socket.empty()) {
    return fail({ErrorCode::invalid_argument,
                 "nothing to do: give --socket, --movie, --references, --steps or --check"});
  }
  return serve(*scenario, options.run, options.socket);
}
