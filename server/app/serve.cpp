// SPDX-License-Identifier: GPL-3.0-or-later
// `latticed serve`: the daemon in the foreground of a program.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <chrono>
#include <cstdio>
#include <thread>

#include "server/app/commands.hpp"
#include "server/app/stop_signals.hpp"
#include "server/control/daemon.hpp"

namespace latticed {

using namespace std::chrono_literals;

int serve(const ServeOptions& options, Console console) {
  const auto fail = [](const Error& error) {
    spdlog::error("{}", error.message);
    return 2;
  };
  auto config = read_config(options.config);
  if (!config) return fail(config.error());
  if (auto ok = console.log.configure(config->log); !ok) return fail(ok.error());
  if (!options.grpc.empty()) config->serve.grpc = options.grpc;
  if (!options.zmq.empty()) config->serve.zmq = options.zmq;
  if (!options.listen.empty()) config->serve.listen = options.listen;

  auto daemon = Daemon::start(*config, LATTICED_VERSION);
  if (!daemon) return fail(daemon.error());
  const Daemon::Endpoints at = (*daemon)->endpoints();
  spdlog::info("serving{}: gRPC {}, ZeroMQ {}{}", (*daemon)->is_rehearsal() ? " a rehearsal" : "",
               at.grpc, at.zmq, at.network.empty() ? "" : ", network " + at.network);
  fmt::print("ready grpc={} zmq={}{}\n", at.grpc, at.zmq,
             at.network.empty() ? "" : " network=" + at.network);
  std::fflush(stdout);
  while (stop_signal() == 0) std::this_thread::sleep_for(20ms);
  spdlog::info("ending: the run is drained, clients are told");
  // stop_signals ends a program that has not ended 4 s after the signal.
  const bool is_drained = (*daemon)->stop(3200ms);
  daemon->reset();
  spdlog::info("ended");
  return is_drained ? 0 : 1;
}

}  // namespace latticed
