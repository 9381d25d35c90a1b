// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/control/acquisition_service.hpp"

#include <fmt/format.h>

#include "server/control/describe_run.hpp"
#include "server/control/mean_sink.hpp"

namespace latticed {

namespace {

constexpr std::uint32_t kReferenceFrames = 64;
constexpr std::uint32_t kMostReferenceFrames = 100000;

grpc::Status status_of(const Result<void>& result) {
  return result ? grpc::Status() : rpc::to_status(result.error());
}

grpc::Status no_detector(const std::string& name) {
  return rpc::to_status(
      Error{ErrorCode::not_found, fmt::format("there is no detector \"{}\"", name)});
}

/// What a client's enum says may be any number.
bool is_kind(v1::ReferenceKind kind) {
  return kind == v1::REFERENCE_KIND_DARK || kind == v1::REFERENCE_KIND_GAIN;
}

/// A number a client sent that is out of its limits.
grpc::Status out_of_limits(const std::string& what, double value, double limit,
                           const std::string& unit) {
  return rpc::to_status(rpc::Refusal{
      {ErrorCode::invalid_argument,
       fmt::format("{} {} {}: expected at most {} {}", what, value, unit, limit, unit)},
      "ABOVE_LIMIT",
      {{"limit", fmt::format("{}", limit)}, {"value", fmt::format("{}", value)}, {"unit", unit}}});
}

}  // namespace

void AcquisitionService::fill(v1::StatusReply& out) const {
  to_proto(parts_.acquisition.status(), out);
  parts_.add_status(out);
}

void AcquisitionService::state_changed() {
  v1::StatusReply reply;
  parts_.context.stamper.stamp(*reply.mutable_stamp());
  fill(reply);
  watchers_.publish(reply);
}

DetectorConfig* AcquisitionService::find(const std::string& name) {
  auto& all = parts_.acquisition.detectors();
  if (name.empty() && all.size() == 1) return &all.front();
  for (DetectorConfig& detector : all)
    if (detector.name == name) return &detector;
  return nullptr;
}

// --- reading -----------------------------------------------------------------------------------

grpc::ServerUnaryReactor* AcquisitionService::ListDetectors(Call* call,
                                                            const v1::ListDetectorsRequest*,
                                                            v1::ListDetectorsReply* reply) {
  return read_call(parts_.context, call, reply, [&] {
    for (const KnownDetector& detector : parts_.acquisition.known_detectors())
      *reply->add_detectors() = to_proto(detector);
    return grpc::Status();
  });
}

grpc::ServerUnaryReactor* AcquisitionService::GetStatus(Call* call, const v1::GetStatusRequest*,
                                                        v1::StatusReply* reply) {
  return read_call(parts_.context, call, reply, [&] {
    fill(*reply);
    return grpc::Status();
  });
}

grpc::ServerWriteReactor<v1::StatusReply>* AcquisitionService::WatchStatus(
    Call* call, const v1::GetStatusRequest*) {
  if (auto denied = parts_.context.gate.reading(*call); !denied.ok())
    return rpc::refused_stream<v1::StatusReply>(denied);
  v1::StatusReply now;
  parts_.context.stamper.stamp(*now.mutable_stamp());
  fill(now);
  return watchers_.open({now});
}

grpc::ServerUnaryReactor* AcquisitionService::GetCounters(Call* call, const v1::GetCountersRequest*,
                                                          v1::CountersReply* reply) {
  return read_call(parts_.context, call, reply, [&] {
    if (const auto run = parts_.acquisition.run()) add_edges(*run, *reply);
    parts_.add_edges(*reply);
    return grpc::Status();
  });
}

// --- commands ----------------------------------------------------------------------------------

grpc::ServerUnaryReactor* AcquisitionService::Configure(Call* call,
                                                        const v1::ConfigureRequest* request,
                                                        v1::ConfigureReply* reply) {
  return control_call(
      parts_.context, call, "Configure", request->request_id(), reply,
      [this, request, reply](const Answer& answer) {
        std::vector<WantedSettings> wanted;
        for (const v1::DetectorSettings& one : request->settings()) {
          const DetectorConfig* detector = find(one.detector());
          if (!detector) return answer(no_detector(one.detector()));
          for (const auto& [what, value] :
               {std::pair{"exposure", one.exposure_s()}, {"frame period", one.frame_period_s()}})
            if (value > 3600.0)
              return answer(out_of_limits(fmt::format("configure {}: {}", detector->name, what),
                                          value, 3600.0, "s"));
          wanted.push_back(
              {detector->name, {one.exposure_s(), one.frame_period_s(), one.frame_count()}});
        }
        const auto configured = parts_.acquisition.configure(wanted);
        if (!configured) return answer(rpc::to_status(configured.error()));
        parts_.note("configure");
        for (const ConfiguredDetector& detector : **configured)
          *reply->add_detectors() = to_proto(detector);
        answer({});
      });
}

grpc::ServerUnaryReactor* AcquisitionService::Arm(Call* call, const v1::ArmRequest* request,
                                                  v1::StatusReply* reply) {
  return control_call(parts_.context, call, "Arm", request->request_id(), reply,
                      [this, reply](const Answer& answer) {
                        const auto done = parts_.acquisition.arm();
                        if (done) parts_.note("arm");
                        fill(*reply);
                        answer(status_of(done));
                      });
}

grpc::ServerUnaryReactor* AcquisitionService::Start(Call* call, const v1::StartRequest* request,
                                                    v1::StatusReply* reply) {
  return control_call(parts_.context, call, "Start", request->request_id(), reply,
                      [this, reply](const Answer& answer) {
                        const auto done = parts_.acquisition.start();
                        if (done) parts_.note("start");
                        fill(*reply);
                        answer(status_of(done));
                      });
}

grpc::ServerUnaryReactor* AcquisitionService::Stop(Call* call, const v1::StopRequest* request,
                                                   v1::StatusReply* reply) {
  return control_call(parts_.context, call, "Stop", request->request_id(), reply,
                      [this, reply](const Answer& answer) {
                        parts_.note("stop");
                        parts_.acquisition.stop(RunEnd::stopped, [this, reply, answer] {
                          fill(*reply);
                          answer({});
                        });
                      });
}

grpc::ServerUnaryReactor* AcquisitionService::Cancel(Call* call, const v1::CancelRequest* request,
                                                     v1::StatusReply* reply) {
  return control_call(parts_.context, call, "Cancel", request->request_id(), reply,
                      [this, reply](const Answer& answer) {
                        parts_.note("cancel");
                        parts_.acquisition.stop(RunEnd::cancelled, [this, reply, answer] {
                          fill(*reply);
                          answer({});
                        });
                      });
}

grpc::ServerUnaryReactor* AcquisitionService::Abort(Call* call, const v1::AbortRequest* request,
                                                    v1::StatusReply* reply) {
  return control_call(parts_.context, call, "Abort", request->request_id(), reply,
                      [this, reply](const Answer& answer) {
                        parts_.note("abort");
                        parts_.acquisition.abort([this, reply, answer] {
                          fill(*reply);
                          answer({});
                        });
                      });
}

// --- references --------------------------------------------------------------------------------

grpc::ServerUnaryReactor* AcquisitionService::AcquireReference(
    Call* call, const v1::AcquireReferenceRequest* request, v1::ReferenceReply* reply) {
  return control_call(
      parts_.context, call, "AcquireReference", request->request_id(), reply,
      [this, request, reply](const Answer& answer) {
        DetectorConfig* detector = find(request->detector());
        if (!detector) return answer(no_detector(request->detector()));
        if (!is_kind(request->kind()))
          return answer(rpc::to_status(Error{ErrorCode::invalid_argument,
                                             "acquire reference: kind: expected DARK or GAIN"}));
        if (request->frame_count() > kMostReferenceFrames)
          return answer(out_of_limits("acquire reference: frame_count", request->frame_count(),
                                      kMostReferenceFrames, "frames"));
        const ReferenceKind kind =
            request->kind() == v1::REFERENCE_KIND_DARK ? ReferenceKind::dark : ReferenceKind::gain;
        if (kind == ReferenceKind::gain && detector->references.dark.empty())
          return answer(rpc::to_status(
              Error{ErrorCode::failed_precondition,
                    fmt::format("gain reference of {}: there is no dark reference in use (take one "
                                "first, with the beam blanked)",
                                detector->name)}));
        DetectorConfig alone = *detector;
        alone.references = {};
        alone.line.detector = parts_.acquisition.settings_of(detector->name);
        alone.line.detector.frame_count =
            request->frame_count() ? request->frame_count() : kReferenceFrames;
        auto image = std::make_shared<MeanImage>();
        std::vector<std::unique_ptr<Sink>> sinks;
        sinks.push_back(std::make_unique<MeanSink>(image));
        const auto started = parts_.acquisition.run_alone(
            std::move(alone), std::move(sinks),
            [this, detector, kind, image, reply, answer](const Result<void>& outcome) {
              if (!outcome) return answer(rpc::to_status(outcome.error()));
              const auto record = parts_.references.add(*detector, kind, *image);
              if (!record) return answer(rpc::to_status(record.error()));
              *reply->mutable_reference() = to_proto(*record);
              answer({});
            });
        if (!started) answer(rpc::to_status(started.error()));
      });
}

void AcquisitionService::list_references(const std::string& detector,
                                         v1::ListReferencesReply& out) {
  for (const ReferenceRecord& record : parts_.references.list(parts_.acquisition.detectors()))
    if (detector.empty() || record.detector == detector) *out.add_references() = to_proto(record);
}

grpc::ServerUnaryReactor* AcquisitionService::ListReferences(
    Call* call, const v1::ListReferencesRequest* request, v1::ListReferencesReply* reply) {
  auto* reactor = call->DefaultReactor();
  if (auto denied = parts_.context.gate.reading(*call); !denied.ok()) {
    reactor->Finish(denied);
    return reactor;
  }
  parts_.context.control.post([this, reactor, request, reply] {
    parts_.context.stamper.stamp(*reply->mutable_stamp());
    list_references(request->detector(), *reply);
    reactor->Finish({});
  });
  return reactor;
}

grpc::ServerUnaryReactor* AcquisitionService::UseReference(Call* call,
                                                           const v1::UseReferenceRequest* request,
                                                           v1::ListReferencesReply* reply) {
  return control_call(
      parts_.context, call, "UseReference", request->request_id(), reply,
      [this, request, reply](const Answer& answer) {
        DetectorConfig* detector = find(request->detector());
        if (!detector) return answer(no_detector(request->detector()));
        if (!is_kind(request->kind()))
          return answer(rpc::to_status(
              Error{ErrorCode::invalid_argument, "use reference: kind: expected DARK or GAIN"}));
        const ReferenceKind kind =
            request->kind() == v1::REFERENCE_KIND_DARK ? ReferenceKind::dark : ReferenceKind::gain;
        const auto done = parts_.references.use(*detector, kind, request->file());
        if (done) {
          parts_.note(fmt::format("use {} reference {}", to_string(kind), request->file()));
          list_references(detector->name, *reply);
        }
        answer(status_of(done));
      });
}

}  // namespace latticed
