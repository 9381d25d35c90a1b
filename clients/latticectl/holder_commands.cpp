// SPDX-License-Identifier: GPL-3.0-or-later
#include <latticed/v1/holder.grpc.pb.h>

#include <CLI/CLI.hpp>
#include <optional>

#include "clients/latticectl/commands.hpp"

namespace latticed::latticectl {

namespace {

using Holder = v1::Holder::Stub;

struct Options {
  std::string holder;
  std::string who;
  std::optional<double> voltage_v;
  std::optional<double> current_a;
  double compliance = 0.0;
  double rate_per_s = 0.0;
  double temperature_k = 0.0;
  std::string on_or_off;
  double max_rate_hz = 0.0;
};
using SharedOptions = std::shared_ptr<Options>;

void add_holder(CLI::App* command, const SharedOptions& o, const char* if_none) {
  command->add_option("--holder", o->holder, std::string("which one; none named: ") + if_none);
}

void add_who(CLI::App* command, const SharedOptions& o, const Desk& desk) {
  o->who = desk.user;
  command->add_option("--who", o->who, "who asks (default: the user name)");
}

void add_list(CLI::App& holders, Desk& desk) {
  const auto list = [](Client& client, const Output& out) {
    return out.show(client.call(&Holder::List, v1::ListHoldersRequest()));
  };
  set_run(&holders, desk, list);
  set_run(add_command(holders, "list", "the holders, their limits and what they do now", "nothing",
                      "holders list"),
          desk, list);
}

void add_watch(CLI::App& holders, Desk& desk) {
  auto* command = add_command(holders, "watch", "samples and changes of state, until Ctrl-C",
                              "nothing", "holders watch --rate 2");
  const auto o = std::make_shared<Options>();
  add_holder(command, o, "all");
  command->add_option("--rate", o->max_rate_hz, "at most so many samples per s; 0: all")
      ->check(CLI::NonNegativeNumber)
      ->type_name("HZ");
  set_run(command, desk, [o](Client& client, const Output& out) {
    v1::WatchHolderRequest request;
    request.set_holder(o->holder);
    request.set_max_rate_hz(o->max_rate_hz);
    return out.show(client.listen<Holder, v1::WatchHolderRequest, v1::HolderEvent>(
        &Holder::Watch, request, [&](const v1::HolderEvent& event) {
          out.write(out.is_json() ? to_json(event) + "\n" : to_line(event));
          return Next::go_on;
        }));
  });
}

void add_arm(CLI::App& holders, Desk& desk) {
  auto* command = add_command(holders, "arm", "a named person allows outputs to be switched on",
                              "DISARMED or TRIPPED", "holders arm --who \"M. Weber\"");
  const auto o = std::make_shared<Options>();
  add_holder(command, o, "the only one");
  command->add_option("--who", o->who, "who allows it")->required();
  set_run(command, desk, [o](Client& client, const Output& out) {
    v1::ArmHolderRequest request;
    request.set_holder(o->holder);
    request.set_who(o->who);
    return out.show(client.call(&Holder::Arm, request));
  });
}

void add_source(CLI::App& holders, Desk& desk) {
  auto* command = add_command(holders, "source", "what the source holds; the guard ramps there",
                              "ARMED", "holders source --current 1e-9 --compliance 4.5");
  const auto o = std::make_shared<Options>();
  add_holder(command, o, "the only one");
  add_who(command, o, desk);
  auto* level = command->add_option_group("level", "what is held");
  level->add_option("--voltage", o->voltage_v, "hold a voltage")->type_name("V");
  level->add_option("--current", o->current_a, "hold a current; positive charges")->type_name("A");
  level->require_option(1);
  command
      ->add_option("--compliance", o->compliance,
                   "limit of the other quantity, A or V; 0: the guard's")
      ->check(CLI::NonNegativeNumber);
  command->add_option("--rate", o->rate_per_s, "V/s or A/s; 0: the guard's fastest")
      ->check(CLI::NonNegativeNumber);
  set_run(command, desk, [o](Client& client, const Output& out) {
    v1::SetSourceRequest request;
    request.set_holder(o->holder);
    request.set_who(o->who);
    request.set_mode(o->voltage_v ? v1::SOURCE_MODE_VOLTAGE : v1::SOURCE_MODE_CURRENT);
    request.set_level(o->voltage_v ? *o->voltage_v : o->current_a.value_or(0.0));
    request.set_compliance(o->compliance);
    request.set_rate_per_s(o->rate_per_s);
    return out.show(client.call(&Holder::SetSource, request));
  });
}

void add_output(CLI::App& holders, Desk& desk) {
  auto* command = add_command(holders, "output", "switches the source's output",
                              "ARMED (off: any state)", "holders output on");
  const auto o = std::make_shared<Options>();
  add_holder(command, o, "the only one");
  add_who(command, o, desk);
  command->add_option("STATE", o->on_or_off, "on or off")
      ->required()
      ->check(CLI::IsMember({"on", "off"}));
  set_run(command, desk, [o](Client& client, const Output& out) {
    v1::SetOutputRequest request;
    request.set_holder(o->holder);
    request.set_who(o->who);
    request.set_on(o->on_or_off == "on");
    return out.show(client.call(&Holder::SetOutput, request));
  });
}

void add_temperature(CLI::App& holders, Desk& desk) {
  auto* command = add_command(holders, "temperature", "heats to K, the guard ramps there; 0: off",
                              "ARMED", "holders temperature 573.15 --rate 5");
  const auto o = std::make_shared<Options>();
  add_holder(command, o, "the only one");
  add_who(command, o, desk);
  command->add_option("K", o->temperature_k, "kelvin; 0: heater off")
      ->required()
      ->check(CLI::NonNegativeNumber);
  command->add_option("--rate", o->rate_per_s, "K/s; 0: the guard's fastest")
      ->check(CLI::NonNegativeNumber);
  set_run(command, desk, [o](Client& client, const Output& out) {
    v1::SetTemperatureRequest request;
    request.set_holder(o->holder);
    request.set_who(o->who);
    request.set_temperature_k(o->temperature_k);
    request.set_rate_k_per_s(o->rate_per_s);
    return out.show(client.call(&Holder::SetTemperature, request));
  });
}

void add_hold(CLI::App& holders, Desk& desk) {
  auto* command =
      add_command(holders, "hold", "ramps stop where they are", "any state", "holders hold");
  const auto o = std::make_shared<Options>();
  add_holder(command, o, "all");
  add_who(command, o, desk);
  set_run(command, desk, [o](Client& client, const Output& out) {
    v1::HoldRequest request;
    request.set_holder(o->holder);
    request.set_who(o->who);
    return out.show(client.call(&Holder::Hold, request));
  });
}

}  // namespace

void add_holder_commands(CLI::App& app, Desk& desk) {
  auto* holders = add_command(app, "holders", "biasing and heating; without a verb: list",
                              "nothing to list; see each verb's --help", "holders");
  holders->require_subcommand(0, 1);
  for (const auto add :
       {add_list, add_watch, add_arm, add_source, add_output, add_temperature, add_hold}) {
    add(*holders, desk);
  }
}

}  // namespace latticed::latticectl
