// SPDX-License-Identifier: GPL-3.0-or-later
// latticed-guard: the small process that owns the holders' outputs. See server/guard/README.md.
#include <fmt/format.h>
#include <signal.h>
#include <CLI/CLI.hpp>

#include <cstdio>

#include "server/guard/guard.hpp"
#include "server/guard/safe_off_client.hpp"

namespace {

using namespace latticed;

constexpr std::chrono::milliseconds kPatienceAtTheEnd{3500};

int fail(const Error& error) {
  fmt::print(stderr, "latticed-guard: {}\n", error.message);
  return 2;
}

int call_safe_off(const std::string& socket, SafeOff how) {
  auto answer = safe_off(socket, how);
  if (!answer) return fail(answer.error());
  fmt::print("{}\n", *answer);
  return 0;
}

/// Signals come to this thread alone, as values.
int guard_until_signalled(const GuardConfig& config) {
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGINT);
  sigaddset(&ends, SIGTERM);
  sigaddset(&ends, SIGHUP);
  sigprocmask(SIG_BLOCK, &ends, nullptr);
  signal(SIGPIPE, SIG_IGN);
  auto guard = Guard::start(config);
  if (!guard) return fail(guard.error());
  fmt::print("ready socket={} safe_off={}\n", config.socket, config.safe_off_socket);
  std::fflush(stdout);
  int which = 0;
  sigwait(&ends, &which);
  (*guard)->shut_down(kPatienceAtTheEnd);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Owns the holders' outputs: limits, ramps, watchdog, safe-off"};
  std::string config_path, safe_off_socket, off_socket;
  bool check_only = false;
  app.add_option("--config", config_path, "the guard's file (TOML)");
  app.add_flag("--check", check_only, "only check the file");
  app.add_option("--safe-off", safe_off_socket, "ask the guard at this socket to ramp to safe");
  app.add_option("--off", off_socket, "ask the guard at this socket to turn all off at once");
  CLI11_PARSE(app, argc, argv);

  if (!safe_off_socket.empty()) return call_safe_off(safe_off_socket, SafeOff::ramp);
  if (!off_socket.empty()) return call_safe_off(off_socket, SafeOff::at_once);
  if (config_path.empty())
    return fail({ErrorCode::invalid_argument, "nothing to do: give --config, --safe-off or --off"});
  auto config = read_guard_config(config_path);
  if (!config) return fail(config.error());
  return check_only ? 0 : guard_until_signalled(*config);
}
