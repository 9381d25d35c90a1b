// SPDX-License-Identifier: GPL-3.0-or-later
#include "clients/latticectl/commands.hpp"

#include <fmt/format.h>
#include <latticed/v1/acquisition.grpc.pb.h>

#include <CLI/CLI.hpp>

namespace latticed::latticectl {

namespace {

constexpr const char* kFirstSession =
    "A first session:\n"
    "  latticectl status                          does the server answer, what is it doing\n"
    "  latticectl session set sample=NMO-7        what the recordings shall say\n"
    "  latticectl record on                       the next run is written to disk\n"
    "  latticectl start --frames 6000             configure, arm and start all detectors\n"
    "  latticectl watch                           drift, spacings, alerts, holder, live\n"
    "  latticectl safe-off; latticectl stop       outputs to zero and off; end the run\n"
    "\n"
    "Environment: LATTICED_SERVER (HOST:PORT), LATTICED_TOKEN, LATTICED_GUARD_SAFE_OFF (socket).\n"
    "Exit: 0 done; 1 the server said no; 2 wrong usage; 3 not reachable, or not in time;\n"
    "129, 130, 143 ended by SIGHUP, SIGINT, SIGTERM.";

void add_options(CLI::App& app, Desk& desk) {
  ConnectionOptions& c = desk.connection;
  app.add_option("--server", c.server, "where the server is (default " + c.server + ")")
      ->envname("LATTICED_SERVER")
      ->type_name("HOST:PORT");
  app.add_option("--tls-ca", c.tls_ca_file, "speak TLS; the authority that signed the server (PEM)")
      ->type_name("FILE");
  app.add_option("--token-file", c.token_file, "file with the token, instead of LATTICED_TOKEN")
      ->type_name("FILE");
  app.add_option_function<double>(
         "--timeout",
         [&c](double timeout_s) {
           c.timeout_s = timeout_s;
           c.has_timeout = true;
         },
         fmt::format("longest a call may take (default {:g}; some take longer by nature)",
                     c.timeout_s))
      ->check(CLI::Range(0.01, 86400.0))
      ->type_name("S");
  app.add_flag_callback(
      "--json", [&desk] { desk.format = Format::json; },
      "JSON instead of text: one document, or one a line for streams");
}

}  // namespace

CLI::App* add_command(CLI::App& parent, const std::string& name, const std::string& what,
                      const std::string& needs, const std::string& example) {
  CLI::App* command = parent.add_subcommand(name, what);
  command->footer("Needs: " + needs + "\nExample: latticectl " + example);
  return command;
}

void set_run(CLI::App* command, Desk& desk, std::function<int(Client&, const Output&)> run) {
  command->callback([command, &desk, run = std::move(run)] {
    if (command->get_subcommands().empty()) desk.run = run;  // callbacks go from the inside out
  });
}

Answer<std::string> only_detector(Client& client, const std::string& named) {
  if (!named.empty()) return named;
  const auto list = client.call(&v1::Acquisition::Stub::ListDetectors, v1::ListDetectorsRequest());
  if (!list) return list.problem();
  if (list->detectors_size() == 1) return list->detectors(0).name();
  std::string names;
  for (const auto& d : list->detectors()) names += (names.empty() ? "" : ", ") + d.name();
  return refusal("DETECTOR_AMBIGUOUS",
                 fmt::format("there are {} detectors ({}): name one with --detector",
                             list->detectors_size(), names));
}

void add_everything(CLI::App& app, Desk& desk) {
  app.require_subcommand(1);
  app.fallthrough();  // options of all commands may stand behind the command
  add_options(app, desk);
  for (const auto add :
       {add_run_commands, add_start_command, add_watch_command, add_snapshot_command,
        add_holder_commands, add_safe_off_command, add_alert_commands, add_rule_commands,
        add_session_commands, add_track_commands, add_record_commands, add_file_commands,
        add_calibrate_command, add_rehearse_command, add_completion_command}) {
    add(app, desk);
  }
  app.footer(kFirstSession);
}

}  // namespace latticed::latticectl
