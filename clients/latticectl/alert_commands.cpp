// SPDX-License-Identifier: GPL-3.0-or-later
#include <latticed/v1/alerts.grpc.pb.h>

#include <CLI/CLI.hpp>

#include "clients/latticectl/commands.hpp"

namespace latticed::latticectl {

namespace {

using Alerts = v1::Alerts::Stub;

void add_filters(CLI::App& command, v1::ListAlertsRequest& request) {
  command.add_flag_callback(
      "--active", [&request] { request.set_active_only(true); }, "only those that stand");
  command.add_flag_callback(
      "--unacknowledged", [&request] { request.set_unacknowledged_only(true); },
      "only those nobody has seen");
  command.add_option_function<std::uint32_t>(
      "--limit", [&request](std::uint32_t limit) { request.set_limit(limit); },
      "at most so many (default 1000)");
}

void add_list(CLI::App& alerts, Desk& desk) {
  const auto request = std::make_shared<v1::ListAlertsRequest>();
  const auto list = [request](Client& client, const Output& out) {
    return out.show(client.call(&Alerts::List, *request));
  };
  set_run(&alerts, desk, list);
  auto* command = add_command(alerts, "list", "alerts of this server's life, newest first",
                              "nothing", "alerts list --active");
  add_filters(*command, *request);
  set_run(command, desk, list);
}

void add_watch(CLI::App& alerts, Desk& desk) {
  auto* command = add_command(alerts, "watch", "those that stand, then news, until Ctrl-C",
                              "nothing", "alerts watch --json");
  const auto request = std::make_shared<v1::WatchAlertsRequest>();
  request->set_include_active(true);
  command->add_option_function<std::uint64_t>(
      "--after", [request](std::uint64_t id) { request->set_after_id(id); },
      "only what came after this alert's number");
  set_run(command, desk, [request](Client& client, const Output& out) {
    return out.show(client.listen<Alerts, v1::WatchAlertsRequest, v1::AlertEvent>(
        &Alerts::Watch, *request, [&](const v1::AlertEvent& event) {
          out.write(out.is_json() ? to_json(event) + "\n" : to_line(event));
          return Next::go_on;
        }));
  });
}

void add_ack(CLI::App& alerts, Desk& desk) {
  auto* command = add_command(alerts, "ack", "a named person has seen it", "nothing",
                              "alerts ack 12 --who \"M. Weber\" --comment \"beam damage\"");
  const auto request = std::make_shared<v1::AcknowledgeRequest>();
  auto* which = command->add_option_group("which");
  which
      ->add_option_function<std::uint64_t>(
          "ID", [request](std::uint64_t id) { request->set_id(id); }, "the alert's number")
      ->check(CLI::PositiveNumber);
  which->add_flag_callback(
      "--all", [request] { request->set_id(0); }, "all that stand");
  which->require_option(1);
  command
      ->add_option_function<std::string>(
          "--who", [request](const std::string& who) { request->set_who(who); }, "who has seen it")
      ->required();
  command->add_option_function<std::string>(
      "--comment", [request](const std::string& text) { request->set_comment(text); },
      "what is to be remembered with it");
  set_run(command, desk, [request](Client& client, const Output& out) {
    return out.show(client.call(&Alerts::Acknowledge, *request));
  });
}

}  // namespace

void add_alert_commands(CLI::App& app, Desk& desk) {
  auto* alerts = add_command(app, "alerts", "what the rules have raised; without a verb: list",
                             "nothing", "alerts");
  alerts->require_subcommand(0, 1);
  for (const auto add : {add_list, add_watch, add_ack}) add(*alerts, desk);
}

}  // namespace latticed::latticectl
