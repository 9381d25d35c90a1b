// SPDX-License-Identifier: GPL-3.0-or-later
// gRPC Acquisition -> the state machine on the control thread.
#pragma once

#include <latticed/v1/acquisition.grpc.pb.h>

#include <functional>

#include "server/control/acquisition.hpp"
#include "server/control/call.hpp"
#include "server/control/reference_store.hpp"
#include "server/rpc/broadcast.hpp"

namespace latticed {

class AcquisitionService final : public v1::Acquisition::CallbackService {
 public:
  struct Parts {
    CallContext& context;
    Acquisition& acquisition;
    ReferenceStore& references;  // control thread
    /// What the rest of the daemon knows: recording, guard, version, endpoints. Any thread.
    std::function<void(v1::StatusReply&)> add_status;
    /// Counters of the transports. Any thread.
    std::function<void(v1::CountersReply&)> add_edges;
    /// A command was given, for the record: "arm", "stop". Control thread.
    std::function<void(const std::string&)> note;
  };
  explicit AcquisitionService(Parts parts) : parts_(std::move(parts)) {}

  /// The state is another one: those who watch it are told.
  void state_changed();
  /// Every stream ends. Before the server shuts down.
  void close(const grpc::Status& status) { watchers_.close(status); }

  using Call = grpc::CallbackServerContext;
  using Unary = grpc::ServerUnaryReactor;
  Unary* ListDetectors(Call*, const v1::ListDetectorsRequest*, v1::ListDetectorsReply*) override;
  Unary* Configure(Call*, const v1::ConfigureRequest*, v1::ConfigureReply*) override;
  Unary* Arm(Call*, const v1::ArmRequest*, v1::StatusReply*) override;
  Unary* Start(Call*, const v1::StartRequest*, v1::StatusReply*) override;
  Unary* Stop(Call*, const v1::StopRequest*, v1::StatusReply*) override;
  Unary* Cancel(Call*, const v1::CancelRequest*, v1::StatusReply*) override;
  Unary* Abort(Call*, const v1::AbortRequest*, v1::StatusReply*) override;
  Unary* GetStatus(Call*, const v1::GetStatusRequest*, v1::StatusReply*) override;
  grpc::ServerWriteReactor<v1::StatusReply>* WatchStatus(Call*,
                                                         const v1::GetStatusRequest*) override;
  Unary* GetCounters(Call*, const v1::GetCountersRequest*, v1::CountersReply*) override;
  Unary* AcquireReference(Call*, const v1::AcquireReferenceRequest*, v1::ReferenceReply*) override;
  Unary* ListReferences(Call*, const v1::ListReferencesRequest*, v1::ListReferencesReply*) override;
  Unary* UseReference(Call*, const v1::UseReferenceRequest*, v1::ListReferencesReply*) override;

 private:
  void fill(v1::StatusReply& out) const;
  void list_references(const std::string& detector, v1::ListReferencesReply& out);
  /// Null: there is none of that name.
  DetectorConfig* find(const std::string& detector);

  const Parts parts_;
  rpc::Broadcast<v1::StatusReply> watchers_;
};

}  // namespace latticed
