// SPDX-License-Identifier: GPL-3.0-or-later
#include "clients/latticectl/run_commands.hpp"

#include <fmt/format.h>
#include <latticed/v1/acquisition.grpc.pb.h>

#include <CLI/CLI.hpp>

#include "clients/latticectl/commands.hpp"

namespace latticed::latticectl {

namespace {

using Acquisition = v1::Acquisition::Stub;

constexpr double kDrain_s = 60.0;  // Stop and Cancel return when the last frames are through
constexpr double kArm_s = 60.0;    // Arm allocates all memory

template <class Request>
void add_step(CLI::App* command, Desk& desk,
              Client::Method<Acquisition, Request, v1::StatusReply> method, double usual_s) {
  set_run(command, desk, [method, usual_s](Client& client, const Output& out) {
    return out.show(client.call(method, Request(), usual_s));
  });
}

int watch_status(Client& client, const Output& out) {
  return out.show(client.listen<Acquisition, v1::GetStatusRequest, v1::StatusReply>(
      &Acquisition::WatchStatus, v1::GetStatusRequest(), [&](const v1::StatusReply& status) {
        out.write(out.is_json() ? to_json(status) + "\n"
                                : banner(status.stamp()) + to_text(status) + "\n");
        return Next::go_on;
      }));
}

void add_status(CLI::App& app, Desk& desk) {
  auto* command =
      add_command(app, "status", "the run, the recording, the guard", "nothing", "status --watch");
  const auto is_watch = std::make_shared<bool>(false);
  command->add_flag("--watch", *is_watch, "again at every change, until Ctrl-C");
  set_run(command, desk, [is_watch](Client& client, const Output& out) {
    if (*is_watch) return watch_status(client, out);
    return out.show(client.call(&Acquisition::GetStatus, v1::GetStatusRequest()));
  });
}

CallProblem wrong_state(const v1::StatusReply& status, const char* what) {
  return refusal("WRONG_STATE",
                 fmt::format("start: the state is {}: {}", word(status.state()), what));
}

/// What is in the way of starting with these settings; nothing = go on.
std::optional<CallProblem> obstacle(const v1::StatusReply& status, const RunSettings& settings) {
  const bool is_on =
      status.state() == v1::RUN_STATE_RUNNING || status.state() == v1::RUN_STATE_STOPPING;
  if (is_on) return wrong_state(status, "a run is on; `latticectl stop` ends it");
  if (status.state() == v1::RUN_STATE_ARMED && settings.is_given()) {
    return wrong_state(status, "settings are fixed; `latticectl cancel` first");
  }
  return std::nullopt;
}

}  // namespace

void add_settings(CLI::App& command, RunSettings& settings) {
  command.add_option("--frames", settings.frame_count, "frames to take; 0: until stopped");
  command.add_option("--exposure", settings.exposure_s, "exposure of a frame; 0: as it is")
      ->check(CLI::NonNegativeNumber)
      ->type_name("S");
  command.add_option("--period", settings.frame_period_s, "from frame to frame; 0: as it is")
      ->check(CLI::NonNegativeNumber)
      ->type_name("S");
  command.add_option("--detector", settings.detector, "only of this detector; else of all");
}

Answer<v1::ConfigureReply> configure(Client& client, const RunSettings& settings) {
  v1::ConfigureRequest request;
  const auto add = [&](const std::string& detector) {
    auto* wanted = request.add_settings();
    wanted->set_detector(detector);
    wanted->set_frame_count(settings.frame_count);
    wanted->set_exposure_s(settings.exposure_s);
    wanted->set_frame_period_s(settings.frame_period_s);
  };
  if (!settings.detector.empty()) {
    add(settings.detector);
  } else if (settings.is_given()) {
    const auto list = client.call(&Acquisition::ListDetectors, v1::ListDetectorsRequest());
    if (!list) return list.problem();
    for (const auto& detector : list->detectors()) add(detector.name());
  }
  return client.call(&Acquisition::Configure, request);
}

Answer<v1::StatusReply> start(Client& client, const RunSettings& settings) {
  const auto status = client.call(&Acquisition::GetStatus, v1::GetStatusRequest());
  if (!status) return status.problem();
  if (const auto problem = obstacle(*status, settings)) return *problem;
  const bool is_armed = status->state() == v1::RUN_STATE_ARMED;
  const bool is_configured = is_armed || status->state() == v1::RUN_STATE_CONFIGURED;
  if (!is_configured || settings.is_given()) {
    if (const auto done = configure(client, settings); !done) return done.problem();
  }
  if (!is_armed) {
    if (const auto done = client.call(&Acquisition::Arm, v1::ArmRequest(), kArm_s); !done) {
      return done.problem();
    }
  }
  return client.call(&Acquisition::Start, v1::StartRequest());
}

Answer<v1::StatusReply> wait_for_end(Client& client, std::uint32_t epoch) {
  v1::StatusReply last;
  const auto problem = client.listen<Acquisition, v1::GetStatusRequest, v1::StatusReply>(
      &Acquisition::WatchStatus, v1::GetStatusRequest(), [&](const v1::StatusReply& status) {
        last = status;
        const bool is_on =
            status.state() == v1::RUN_STATE_RUNNING || status.state() == v1::RUN_STATE_STOPPING;
        return is_on && status.stamp().epoch() <= epoch ? Next::go_on : Next::enough;
      });
  if (problem) return *problem;
  return last;
}

bool ended_well(const v1::StatusReply& status) {
  const bool is_well = status.ended() == "completed" || status.ended() == "stopped";
  return is_well && status.state() != v1::RUN_STATE_FAULT;
}

void add_run_commands(CLI::App& app, Desk& desk) {
  add_status(app, desk);
  set_run(add_command(app, "detectors", "the detectors and what they are set to", "nothing",
                      "detectors"),
          desk, [](Client& client, const Output& out) {
            return out.show(client.call(&Acquisition::ListDetectors, v1::ListDetectorsRequest()));
          });
  auto* set_up = add_command(app, "configure", "what is wanted; says what will really happen",
                             "IDLE, CONFIGURED or FAULT",
                             "configure --frames 6000 --exposure 0.03 --detector haadf");
  const auto settings = std::make_shared<RunSettings>();
  add_settings(*set_up, *settings);
  set_run(set_up, desk, [settings](Client& client, const Output& out) {
    return out.show(configure(client, *settings));
  });
  add_step<v1::ArmRequest>(
      add_command(app, "arm", "memory, recording and detectors made ready", "CONFIGURED", "arm"),
      desk, &Acquisition::Arm, kArm_s);
  add_step<v1::StopRequest>(
      add_command(app, "stop", "end the run; every frame taken is still measured and recorded",
                  "RUNNING (else nothing happens)", "stop"),
      desk, &Acquisition::Stop, kDrain_s);
  add_step<v1::CancelRequest>(
      add_command(app, "cancel", "as stop, and the run is marked cancelled; lets detectors go",
                  "CONFIGURED, ARMED or RUNNING", "cancel"),
      desk, &Acquisition::Cancel, kDrain_s);
  add_step<v1::AbortRequest>(
      add_command(app, "abort", "at once: what waits in queues is given up and counted",
                  "any state", "abort"),
      desk, &Acquisition::Abort, 0.0);
  set_run(add_command(app, "counters", "every edge of the pipeline: in, out, missing and why",
                      "nothing (of the present run, or the last one)", "counters --json"),
          desk, [](Client& client, const Output& out) {
            return out.show(client.call(&Acquisition::GetCounters, v1::GetCountersRequest()));
          });
}

void add_start_command(CLI::App& app, Desk& desk) {
  auto* command =
      add_command(app, "start", "frames flow: configures and arms first if needed",
                  "IDLE, CONFIGURED, ARMED or FAULT", "start --frames 6000 --exposure 0.03 --wait");
  struct Options {
    RunSettings settings;
    bool is_waiting = false;
  };
  const auto o = std::make_shared<Options>();
  add_settings(*command, o->settings);
  command->add_flag("--wait", o->is_waiting, "until the run has ended; exit 1 if it failed");
  set_run(command, desk, [o](Client& client, const Output& out) {
    auto status = start(client, o->settings);
    if (!status || !o->is_waiting) return out.show(status);
    if (!out.is_json()) out.show(status);
    const auto ended = wait_for_end(client, status->stamp().epoch());
    if (client.is_stopped()) return kDone;
    const int shown = out.show(ended);
    if (shown != kDone || ended_well(*ended)) return shown;
    return kRefused;
  });
}

}  // namespace latticed::latticectl
