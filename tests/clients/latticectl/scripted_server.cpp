// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/clients/latticectl/scripted_server.hpp"

#include <gtest/gtest.h>
#include <latticed/v1/acquisition.grpc.pb.h>
#include <latticed/v1/alerts.grpc.pb.h>
#include <latticed/v1/calibration.grpc.pb.h>
#include <latticed/v1/errors.pb.h>
#include <latticed/v1/holder.grpc.pb.h>
#include <latticed/v1/measurements.grpc.pb.h>
#include <latticed/v1/preview.grpc.pb.h>
#include <latticed/v1/recording.grpc.pb.h>
#include <latticed/v1/session.grpc.pb.h>
#include <latticed/v1/track.grpc.pb.h>

#include <chrono>
#include <thread>

#include "clients/latticectl/json.hpp"

namespace latticed::test {

namespace {

// One override a method: 40 of them would differ in nothing but their names.
#define SCRIPTED(Service, Name, Request, Reply)                                                 \
  grpc::Status Name(grpc::ServerContext* context, const v1::Request* request, v1::Reply* reply) \
      override {                                                                                \
    return script.answer(#Service "." #Name, *context, *request, *reply);                       \
  }
#define SCRIPTED_STREAM(Service, Name, Request, Event)                                        \
  grpc::Status Name(grpc::ServerContext* context, const v1::Request* request,                 \
                    grpc::ServerWriter<v1::Event>* writer) override {                         \
    return script.answer_stream(#Service "." #Name, *context, *request,                       \
                                [writer](const Message& event) {                              \
                                  return writer->Write(static_cast<const v1::Event&>(event)); \
                                });                                                           \
  }

struct Acquisition : v1::Acquisition::Service {
  explicit Acquisition(ScriptedServer& s) : script(s) {}
  ScriptedServer& script;
  SCRIPTED(Acquisition, ListDetectors, ListDetectorsRequest, ListDetectorsReply)
  SCRIPTED(Acquisition, Configure, ConfigureRequest, ConfigureReply)
  SCRIPTED(Acquisition, Arm, ArmRequest, StatusReply)
  SCRIPTED(Acquisition, Start, StartRequest, StatusReply)
  SCRIPTED(Acquisition, Stop, StopRequest, StatusReply)
  SCRIPTED(Acquisition, Cancel, CancelRequest, StatusReply)
  SCRIPTED(Acquisition, Abort, AbortRequest, StatusReply)
  SCRIPTED(Acquisition, GetStatus, GetStatusRequest, StatusReply)
  SCRIPTED_STREAM(Acquisition, WatchStatus, GetStatusRequest, StatusReply)
  SCRIPTED(Acquisition, GetCounters, GetCountersRequest, CountersReply)
  SCRIPTED(Acquisition, AcquireReference, AcquireReferenceRequest, ReferenceReply)
  SCRIPTED(Acquisition, ListReferences, ListReferencesRequest, ListReferencesReply)
  SCRIPTED(Acquisition, UseReference, UseReferenceRequest, ListReferencesReply)
};

struct Alerts : v1::Alerts::Service {
  explicit Alerts(ScriptedServer& s) : script(s) {}
  ScriptedServer& script;
  SCRIPTED_STREAM(Alerts, Watch, WatchAlertsRequest, AlertEvent)
  SCRIPTED(Alerts, List, ListAlertsRequest, ListAlertsReply)
  SCRIPTED(Alerts, Acknowledge, AcknowledgeRequest, AlertReply)
  SCRIPTED(Alerts, GetRules, GetRulesRequest, RulesReply)
  SCRIPTED(Alerts, SetRules, SetRulesRequest, RulesReply)
};

struct Holder : v1::Holder::Service {
  explicit Holder(ScriptedServer& s) : script(s) {}
  ScriptedServer& script;
  SCRIPTED(Holder, List, ListHoldersRequest, ListHoldersReply)
  SCRIPTED(Holder, Read, ReadHolderRequest, HolderReply)
  SCRIPTED_STREAM(Holder, Watch, WatchHolderRequest, HolderEvent)
  SCRIPTED(Holder, Arm, ArmHolderRequest, HolderReply)
  SCRIPTED(Holder, SetSource, SetSourceRequest, HolderReply)
  SCRIPTED(Holder, SetOutput, SetOutputRequest, HolderReply)
  SCRIPTED(Holder, SetTemperature, SetTemperatureRequest, HolderReply)
  SCRIPTED(Holder, Hold, HoldRequest, HolderReply)
  SCRIPTED(Holder, SafeOff, SafeOffRequest, SafeOffReply)
};

struct Measurements : v1::Measurements::Service {
  explicit Measurements(ScriptedServer& s) : script(s) {}
  ScriptedServer& script;
  SCRIPTED_STREAM(Measurements, Watch, WatchMeasurementsRequest, MeasurementEvent)
};

struct Preview : v1::Preview::Service {
  explicit Preview(ScriptedServer& s) : script(s) {}
  ScriptedServer& script;
  SCRIPTED_STREAM(Preview, Watch, WatchPreviewRequest, Image)
};

struct Recording : v1::Recording::Service {
  explicit Recording(ScriptedServer& s) : script(s) {}
  ScriptedServer& script;
  SCRIPTED(Recording, Enable, EnableRecordingRequest, RecordingReply)
  SCRIPTED(Recording, Disable, DisableRecordingRequest, RecordingReply)
  SCRIPTED(Recording, Get, GetRecordingRequest, RecordingReply)
};

struct Session : v1::Session::Service {
  explicit Session(ScriptedServer& s) : script(s) {}
  ScriptedServer& script;
  SCRIPTED(Session, Get, GetSessionRequest, SessionReply)
  SCRIPTED(Session, Set, SetSessionRequest, SessionReply)
  SCRIPTED(Session, AddTag, AddTagRequest, TagReply)
  SCRIPTED(Session, EndTag, EndTagRequest, TagReply)
  SCRIPTED(Session, ListTags, ListTagsRequest, ListTagsReply)
};

struct Calibration : v1::Calibration::Service {
  explicit Calibration(ScriptedServer& s) : script(s) {}
  ScriptedServer& script;
  SCRIPTED(Calibration, Calibrate, CalibrateRequest, CalibrationReply)
  SCRIPTED(Calibration, List, ListCalibrationsRequest, ListCalibrationsReply)
  SCRIPTED(Calibration, Clear, ClearCalibrationRequest, ListCalibrationsReply)
};

struct Track : v1::Track::Service {
  explicit Track(ScriptedServer& s) : script(s) {}
  ScriptedServer& script;
  SCRIPTED(Track, Get, GetTrackRequest, TrackReply)
  SCRIPTED(Track, SetRegion, SetRegionRequest, TrackReply)
  SCRIPTED(Track, SetReference, SetReferenceRequest, TrackReply)
  SCRIPTED(Track, WatchSpot, WatchSpotRequest, TrackReply)
  SCRIPTED(Track, ForgetSpot, ForgetSpotRequest, TrackReply)
  SCRIPTED(Track, Reset, ResetTrackRequest, TrackReply)
};

#undef SCRIPTED
#undef SCRIPTED_STREAM

std::string request_id_of(const Message& request) {
  const auto* field = request.GetDescriptor()->FindFieldByName("request_id");
  return field == nullptr ? "" : request.GetReflection()->GetString(request, field);
}

void say_rehearsal(Message& reply) {
  const auto* field = reply.GetDescriptor()->FindFieldByName("stamp");
  static_cast<v1::Stamp*>(reply.GetReflection()->MutableMessage(&reply, field))
      ->set_rehearsal(true);
}

}  // namespace

struct ScriptedServer::Services {
  explicit Services(ScriptedServer& s)
      : acquisition(s),
        alerts(s),
        calibration(s),
        holder(s),
        measurements(s),
        preview(s),
        recording(s),
        session(s),
        track(s) {}
  Acquisition acquisition;
  Alerts alerts;
  Calibration calibration;
  Holder holder;
  Measurements measurements;
  Preview preview;
  Recording recording;
  Session session;
  Track track;
};

grpc::Status refused(grpc::StatusCode code, const std::string& message, const std::string& reason,
                     const std::map<std::string, std::string>& metadata) {
  v1::ErrorInfo info;
  info.set_reason(reason);
  info.set_domain("latticed");
  info.mutable_metadata()->insert(metadata.begin(), metadata.end());
  v1::ErrorStatus details;
  details.set_code(code);
  details.set_message(message);
  auto* any = details.add_details();
  any->set_type_url("type.googleapis.com/google.rpc.ErrorInfo");
  any->set_value(info.SerializeAsString());
  return {code, message, details.SerializeAsString()};
}

grpc::Status wait_for_the_client(grpc::ServerContext& context) {
  while (!context.IsCancelled()) std::this_thread::yield();
  return grpc::Status::CANCELLED;
}

ScriptedServer::ScriptedServer(std::shared_ptr<grpc::ServerCredentials> credentials)
    : services_(std::make_unique<Services>(*this)) {
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0",
                           credentials ? credentials : grpc::InsecureServerCredentials(), &port_);
  for (grpc::Service* service : std::initializer_list<grpc::Service*>{
           &services_->acquisition, &services_->alerts, &services_->calibration, &services_->holder,
           &services_->measurements, &services_->preview, &services_->recording,
           &services_->session, &services_->track}) {
    builder.RegisterService(service);
  }
  server_ = builder.BuildAndStart();
}

ScriptedServer::~ScriptedServer() {
  is_over_ = true;
  server_->Shutdown(std::chrono::system_clock::now());  // cancels what still streams
  server_->Wait();
}

void ScriptedServer::on(const std::string& method, Unary answer) {
  const std::lock_guard lock(mutex_);
  unary_[method] = std::move(answer);
}

void ScriptedServer::on_stream(const std::string& method, Stream stream) {
  const std::lock_guard lock(mutex_);
  streams_[method] = std::move(stream);
}

void ScriptedServer::reply(const std::string& method, const Message& reply) {
  const std::shared_ptr<Message> copy(reply.New());
  copy->CopyFrom(reply);
  on(method, [copy](const Message&, Message& out) {
    out.CopyFrom(*copy);
    return grpc::Status::OK;
  });
}

void ScriptedServer::refuse(const std::string& method, const grpc::Status& status) {
  on(method, [status](const Message&, Message&) { return status; });
}

void ScriptedServer::hang(const std::string& method) {
  on(method, [this](const Message&, Message&) {
    while (!is_over_) std::this_thread::yield();
    return grpc::Status::OK;
  });
}

void ScriptedServer::stream(const std::string& method,
                            std::vector<std::shared_ptr<Message>> events) {
  on_stream(method, [events](grpc::ServerContext&, const Write& write) {
    for (const auto& event : events) write(*event);
    return grpc::Status::OK;
  });
}

void ScriptedServer::stream_for_ever(const std::string& method,
                                     std::vector<std::shared_ptr<Message>> events) {
  on_stream(method, [events](grpc::ServerContext& context, const Write& write) {
    for (const auto& event : events) write(*event);
    return wait_for_the_client(context);
  });
}

std::string ScriptedServer::address() const { return "127.0.0.1:" + std::to_string(port_); }

std::vector<RecordedCall> ScriptedServer::calls() const {
  const std::lock_guard lock(mutex_);
  return calls_;
}

RecordedCall ScriptedServer::last(const std::string& method) const {
  const auto all = calls();
  for (auto call = all.rbegin(); call != all.rend(); ++call) {
    if (call->method == method) return *call;
  }
  ADD_FAILURE() << method << " was not called";
  return {method, "{}", "", "", false};
}

std::vector<std::string> ScriptedServer::methods() const {
  std::vector<std::string> names;
  for (const auto& call : calls()) names.push_back(call.method);
  return names;
}

std::size_t ScriptedServer::count(const std::string& method) const {
  std::size_t count = 0;
  for (const auto& call : calls()) count += call.method == method ? 1 : 0;
  return count;
}

void ScriptedServer::record(const std::string& method, const grpc::ServerContext& context,
                            const Message& request) {
  const auto& metadata = context.client_metadata();
  const auto token = metadata.find("authorization");
  RecordedCall call;
  call.method = method;
  call.request = latticectl::to_json(request);
  call.request_id = request_id_of(request);
  if (token != metadata.end()) {
    call.authorization = std::string(token->second.data(), token->second.size());
  }
  call.has_deadline =
      context.deadline() < std::chrono::system_clock::now() + std::chrono::hours(24 * 365);
  const std::lock_guard lock(mutex_);
  calls_.push_back(std::move(call));
}

grpc::Status ScriptedServer::answer(const std::string& method, const grpc::ServerContext& context,
                                    const Message& request, Message& reply) {
  record(method, context, request);
  Unary scripted;
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = unary_.find(method); found != unary_.end()) scripted = found->second;
  }
  const grpc::Status status = scripted ? scripted(request, reply) : grpc::Status::OK;
  if (is_rehearsal_) say_rehearsal(reply);
  return status;
}

grpc::Status ScriptedServer::answer_stream(const std::string& method, grpc::ServerContext& context,
                                           const Message& request, const Write& write) {
  record(method, context, request);
  Stream scripted;
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = streams_.find(method); found != streams_.end()) {
      scripted = found->second;
    }
  }
  return scripted ? scripted(context, write) : grpc::Status::OK;
}

}  // namespace latticed::test
