// SPDX-License-Identifier: GPL-3.0-or-later
// The groups of commands. Each function adds its group to the command line: arguments, a help that
// names the state the command needs and an example, and what is run when it was chosen.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "clients/latticectl/client.hpp"
#include "clients/latticectl/output.hpp"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace latticed::latticectl {

/// What all commands have at hand, and where the chosen one is left. Lives as long as the program.
struct Desk {
  ConnectionOptions connection;
  Format format = Format::text;
  std::stop_token stop;
  std::string user;  // who asks, unless --who says otherwise

  std::function<int(Client&, const Output&)> run;     // the exit status
  std::function<int(const Output&)> run_unconnected;  // needs no server; goes before `run`
};

/// A command with its help. `needs`: the state it works in. `example`: without "latticectl".
CLI::App* add_command(CLI::App& parent, const std::string& name, const std::string& what,
                      const std::string& needs, const std::string& example);
/// What is run when `command` is the last one named on the line.
void set_run(CLI::App* command, Desk& desk, std::function<int(Client&, const Output&)> run);

/// The one detector, when none was named and there is but one; a problem otherwise.
Answer<std::string> only_detector(Client& client, const std::string& named);

void add_run_commands(CLI::App& app, Desk& desk);  // status detectors configure arm ... counters
void add_start_command(CLI::App& app, Desk& desk);
void add_holder_commands(CLI::App& app, Desk& desk);
void add_safe_off_command(CLI::App& app, Desk& desk);
void add_watch_command(CLI::App& app, Desk& desk);
void add_snapshot_command(CLI::App& app, Desk& desk);
void add_alert_commands(CLI::App& app, Desk& desk);
void add_rule_commands(CLI::App& app, Desk& desk);
void add_session_commands(CLI::App& app, Desk& desk);  // session tag
void add_track_commands(CLI::App& app, Desk& desk);
void add_record_commands(CLI::App& app, Desk& desk);  // record reference
void add_file_commands(CLI::App& app, Desk& desk);    // verify recover repack
void add_calibrate_command(CLI::App& app, Desk& desk);
void add_rehearse_command(CLI::App& app, Desk& desk);
void add_completion_command(CLI::App& app, Desk& desk);

/// All of them, and the options that hold for all: the whole command line.
void add_everything(CLI::App& app, Desk& desk);

}  // namespace latticed::latticectl
