// SPDX-License-Identifier: GPL-3.0-or-later
#include <latticed/v1/acquisition.grpc.pb.h>
#include <latticed/v1/recording.grpc.pb.h>

#include <CLI/CLI.hpp>

#include "clients/latticectl/commands.hpp"

namespace latticed::latticectl {

namespace {

using Acquisition = v1::Acquisition::Stub;
using Recording = v1::Recording::Stub;

constexpr double kReference_s = 300.0;  // a run of its own

const std::map<std::string, v1::ReferenceKind> kKinds = {{"dark", v1::REFERENCE_KIND_DARK},
                                                         {"gain", v1::REFERENCE_KIND_GAIN}};

void add_record(CLI::App& app, Desk& desk) {
  const auto status = [](Client& client, const Output& out) {
    return out.show(client.call(&Recording::Get, v1::GetRecordingRequest()));
  };
  auto* record = add_command(app, "record", "whether runs are written to disk; no verb: status",
                             "nothing", "record");
  record->require_subcommand(0, 1);
  set_run(record, desk, status);
  set_run(
      add_command(*record, "status", "files, frames, bytes, room left", "nothing", "record status"),
      desk, status);
  auto* on = add_command(*record, "on", "runs armed from now on are recorded",
                         "nothing; before `arm` or `start`", "record on charge-2");
  const auto name = std::make_shared<std::string>();
  on->add_option("NAME", *name, "begin of the files' names (default: the sample's name)");
  set_run(on, desk, [name](Client& client, const Output& out) {
    v1::EnableRecordingRequest request;
    request.set_name(*name);
    return out.show(client.call(&Recording::Enable, request));
  });
  set_run(add_command(*record, "off", "runs armed from now on are not recorded",
                      "nothing; a recording under way goes on to its run's end", "record off"),
          desk, [](Client& client, const Output& out) {
            return out.show(client.call(&Recording::Disable, v1::DisableRecordingRequest()));
          });
}

struct ReferenceOptions {
  std::string detector;
  std::uint32_t frame_count = 0;
  v1::ReferenceKind kind = v1::REFERENCE_KIND_DARK;
  std::string file;
};
using SharedOptions = std::shared_ptr<ReferenceOptions>;

void add_take(CLI::App& reference, Desk& desk, const SharedOptions& o, const std::string& word) {
  const bool is_dark = word == "dark";
  auto* command = add_command(
      reference, word, is_dark ? "takes one without beam" : "takes one of even illumination",
      is_dark ? "IDLE or FAULT, the beam blanked"
              : "IDLE or FAULT, an empty area in view, a dark reference in use",
      "reference " + word + " --frames 64");
  command->add_option("--frames", o->frame_count, "frames to average (default 64)");
  set_run(command, desk, [o, word](Client& client, const Output& out) {
    const auto detector = only_detector(client, o->detector);
    if (!detector) return out.show(detector.problem());
    v1::AcquireReferenceRequest request;
    request.set_detector(*detector);
    request.set_kind(kKinds.at(word));
    request.set_frame_count(o->frame_count);
    return out.show(client.call(&Acquisition::AcquireReference, request, kReference_s));
  });
}

void add_use(CLI::App& reference, Desk& desk, const SharedOptions& o) {
  auto* command = add_command(reference, "use", "uses one from the next run on, or none", "nothing",
                              "reference use dark none");
  command->add_option("KIND", o->kind, "dark or gain")
      ->required()
      ->transform(CLI::CheckedTransformer(kKinds))
      ->type_name("");
  command->add_option("FILE", o->file, "a file of `reference list`, or none")->required();
  set_run(command, desk, [o](Client& client, const Output& out) {
    const auto detector = only_detector(client, o->detector);
    if (!detector) return out.show(detector.problem());
    v1::UseReferenceRequest request;
    request.set_detector(*detector);
    request.set_kind(o->kind);
    request.set_file(o->file == "none" ? "" : o->file);
    return out.show(client.call(&Acquisition::UseReference, request));
  });
}

void add_reference(CLI::App& app, Desk& desk) {
  const auto o = std::make_shared<ReferenceOptions>();
  auto* reference = add_command(app, "reference", "dark and gain references; without a verb: list",
                                "nothing to list; see each verb's --help", "reference");
  reference->require_subcommand(0, 1);
  reference->add_option("--detector", o->detector, "needed when there are several");
  const auto list = [o](Client& client, const Output& out) {
    v1::ListReferencesRequest request;
    request.set_detector(o->detector);
    return out.show(client.call(&Acquisition::ListReferences, request));
  };
  set_run(reference, desk, list);
  set_run(add_command(*reference, "list", "those on disk; * in use", "nothing", "reference list"),
          desk, list);
  add_take(*reference, desk, o, "dark");
  add_take(*reference, desk, o, "gain");
  add_use(*reference, desk, o);
}

}  // namespace

void add_record_commands(CLI::App& app, Desk& desk) {
  add_record(app, desk);
  add_reference(app, desk);
}

}  // namespace latticed::latticectl
