// SPDX-License-Identifier: GPL-3.0-or-later
#include <latticed/v1/recording.grpc.pb.h>

#include <CLI/CLI.hpp>

#include "clients/latticectl/commands.hpp"
#include "clients/latticectl/rehearsal.hpp"

namespace latticed::latticectl {

namespace {

struct Options {
  RehearsalOptions rehearsal;
  std::string steps_file;
  std::string recording_name;
};

int rehearse(Options& o, Client& client, const Output& out) {
  auto steps = read_steps(o.steps_file);
  if (!steps) return out.show_wrong_usage(steps.error().message);
  o.rehearsal.steps = *std::move(steps);
  if (!o.recording_name.empty()) {
    v1::EnableRecordingRequest request;
    request.set_name(o.recording_name);
    const auto enabled = client.call(&v1::Recording::Stub::Enable, request);
    if (!enabled) return out.show(enabled.problem());
  }
  return Rehearsal(o.rehearsal, client, out).play();
}

}  // namespace

void add_rehearse_command(CLI::App& app, Desk& desk) {
  auto* command = add_command(
      app, "rehearse", "plays a scenario's holder steps while a run goes on, then safe-off",
      "IDLE, CONFIGURED, ARMED or FAULT; a server whose frames and holder are simulated",
      "rehearse --steps charge.json --frames 6000");
  const auto o = std::make_shared<Options>();
  RehearsalOptions& r = o->rehearsal;
  r.step_timeout_s = 900.0;
  command
      ->add_option("--steps", o->steps_file,
                   "JSON: [{\"frame\":N,\"current_a\":..,\"bias_v\":..,\"temperature_k\":..}, ...]")
      ->required()
      ->type_name("FILE");
  add_settings(*command, r.settings);
  command->add_option("--holder", r.holder, "which one; none named: the only one");
  command->add_option("--who", r.who, "who arms it (default: rehearsal)");
  command->add_option("--compliance", r.compliance, "of the source, A or V; 0: the guard's")
      ->check(CLI::NonNegativeNumber);
  command->add_option("--record", o->recording_name, "record it under this name")
      ->type_name("NAME");
  command
      ->add_option("--step-timeout", r.step_timeout_s,
                   "longest wait for a step's frame, and for the run's end (default 900)")
      ->check(CLI::Range(0.1, 86400.0))
      ->type_name("S");
  set_run(command, desk,
          [o](Client& client, const Output& out) { return rehearse(*o, client, out); });
}

}  // namespace latticed::latticectl
