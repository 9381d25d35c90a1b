// SPDX-License-Identifier: GPL-3.0-or-later
// sim-world: the simulated specimen as a process of its own. See sim/README.md.
#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <cstdio>

#include "sim/scenario/read_scenario.hpp"
#include "sim/world/link_server.hpp"
#include "sim/world/world.hpp"

namespace {

using namespace latticed;
using namespace latticed::sim;

int fail(const Error& error) {
  fmt::print(stderr, "sim-world: {}\n", error.message);
  return 2;
}

int serve(Scenario scenario, const RunOptions& options, const std::string& socket) {
  auto world = World::create(std::move(scenario), options);
  if (!world) return fail(world.error());
  auto server = LinkServer::listen(**world, socket);
  if (!server) return fail(server.error());
  fmt::print("ready socket={}\n", socket);
  std::fflush(stdout);
  (*server)->run();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"The simulated specimen and its detectors"};
  std::string scenario_path;
  std::string socket;
  RunOptions options;
  std::int64_t seed = -1;
  std::int64_t frames = -1;
  app.add_option("--scenario", scenario_path, "scenario file (TOML)")->required();
  app.add_option("--socket", socket, "Unix socket to listen at");
  app.add_option("--truth", options.truth, "write the truth of the run to this file (JSON lines)");
  app.add_option("--speed", options.speed, "times real time; 0 = as fast as frames are taken")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--threads", options.threads, "threads that render")->check(CLI::Range(1, 64));
  app.add_option("--slots", options.slots, "frames in the ring")->check(CLI::Range(1, 4096));
  app.add_option("--prefetch", options.prefetch, "render so many frames once; the driver cycles")
      ->check(CLI::Range(0, 4096));
  app.add_option("--seed", seed, "instead of the scenario's")->check(CLI::NonNegativeNumber);
  app.add_option("--frames", frames, "instead of the scenario's; 0 = endless")
      ->check(CLI::NonNegativeNumber);
  CLI11_PARSE(app, argc, argv);

  auto scenario = read_scenario(scenario_path);
  if (!scenario) return fail(scenario.error());
  if (seed >= 0) scenario->seed = static_cast<std::uint64_t>(seed);
  if (frames >= 0) scenario->frames = static_cast<std::uint64_t>(frames);
  return serve(std::move(*scenario), options, socket);
}
