// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/control/recording_service.hpp"

namespace latticed {

grpc::ServerUnaryReactor* RecordingService::Enable(Call* call,
                                                   const v1::EnableRecordingRequest* request,
                                                   v1::RecordingReply* reply) {
  return control_call(context_, call, "Recording.Enable", request->request_id(), reply,
                      [this, request, reply](const Answer& answer) {
                        const auto done = recorder_.enable(request->name());
                        *reply->mutable_recording() = recorder_.status();
                        answer(done ? grpc::Status() : rpc::to_status(done.error()));
                      });
}

grpc::ServerUnaryReactor* RecordingService::Disable(Call* call,
                                                    const v1::DisableRecordingRequest* request,
                                                    v1::RecordingReply* reply) {
  return control_call(context_, call, "Recording.Disable", request->request_id(), reply,
                      [this, reply](const Answer& answer) {
                        recorder_.disable();
                        *reply->mutable_recording() = recorder_.status();
                        answer({});
                      });
}

grpc::ServerUnaryReactor* RecordingService::Get(Call* call, const v1::GetRecordingRequest*,
                                                v1::RecordingReply* reply) {
  return read_call(context_, call, reply, [&] {
    *reply->mutable_recording() = recorder_.status();
    return grpc::Status();
  });
}

}  // namespace latticed
