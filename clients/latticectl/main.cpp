// SPDX-License-Identifier: GPL-3.0-or-later
// Arguments to a command, the command to an exit status.
#include <CLI/CLI.hpp>
#include <cstdlib>
#include <exception>
#include <iostream>

#include "clients/latticectl/commands.hpp"
#include "clients/latticectl/stop_signals.hpp"

namespace {

using namespace latticed::latticectl;

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::string user_name() {
  for (const char* name : {"LOGNAME", "USER"}) {
    if (std::string user = environment(name); !user.empty()) return user;
  }
  return "latticectl";
}

int run(const Desk& desk) {
  const Output out(desk.format);
  if (desk.run_unconnected) return desk.run_unconnected(out);
  auto connection = connect(desk.connection);
  if (!connection) return out.show_wrong_usage(connection.error().message);
  Client client(*std::move(connection), desk.connection, desk.stop);
  return desk.run(client, out);
}

int parse_and_run(int argc, char** argv, const StopSignals& signals) {
  Desk desk;
  desk.stop = signals.token();
  desk.user = user_name();
  desk.connection.token = environment("LATTICED_TOKEN");
  CLI::App app{"latticectl: the command line of latticed"};
  add_everything(app, desk);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& problem) {
    return app.exit(problem) == 0 ? kDone : kWrongUsage;
  }
  const int status = run(desk);
  return signals.signal() != 0 ? 128 + signals.signal() : status;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const StopSignals signals;
    return parse_and_run(argc, argv, signals);
  } catch (const std::exception& problem) {
    std::cerr << "latticectl: " << problem.what() << "\n";
    return kWrongUsage;
  }
}
