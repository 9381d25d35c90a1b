// SPDX-License-Identifier: GPL-3.0-or-later
#include <fmt/format.h>
#include <latticed/v1/alerts.grpc.pb.h>

#include <CLI/CLI.hpp>

#include "clients/latticectl/commands.hpp"
#include "clients/latticectl/rules_file.hpp"

namespace latticed::latticectl {

namespace {

using Alerts = v1::Alerts::Stub;

/// A file that `rules set` reads back; what is simulated says so in a comment.
int get_rules(Client& client, const Output& out) {
  const auto reply = client.call(&Alerts::GetRules, v1::GetRulesRequest());
  if (!reply) return out.show(reply.problem());
  if (out.is_json()) return out.document(*reply);
  const std::string rehearsal = banner(reply->stamp());
  out.write((rehearsal.empty() ? "" : "# " + rehearsal) + to_toml(*reply));
  return kDone;
}

int set_rules(const std::string& path, Client& client, const Output& out) {
  const auto request = read_rules(path);
  if (!request) return out.show_wrong_usage(request.error().message);
  const auto reply = client.call(&Alerts::SetRules, *request);
  if (!reply) return out.show(reply.problem());
  if (out.is_json()) return out.document(*reply);
  std::string from;
  for (const auto& [detector, seq] : reply->from_seq()) {
    from += fmt::format(", {} from frame {}", detector, seq);
  }
  out.write(
      fmt::format("{}{} rules in force{}\n", banner(reply->stamp()), reply->rules_size(), from));
  return kDone;
}

}  // namespace

void add_rule_commands(CLI::App& app, Desk& desk) {
  auto* rules = add_command(app, "rules", "what raises alerts; without a verb: get", "nothing",
                            "rules get > rules.toml");
  rules->require_subcommand(0, 1);
  set_run(rules, desk, get_rules);
  set_run(add_command(*rules, "get", "the rules in force, as a file `rules set` reads", "nothing",
                      "rules get > rules.toml"),
          desk, get_rules);
  auto* set = add_command(*rules, "set", "replaces all rules; a mistake in one changes nothing",
                          "nothing; in a run from the next frame on", "rules set rules.toml");
  const auto path = std::make_shared<std::string>();
  set->add_option("FILE", *path, "TOML with [[rule]] tables")->required();
  set_run(set, desk,
          [path](Client& client, const Output& out) { return set_rules(*path, client, out); });
}

}  // namespace latticed::latticectl
