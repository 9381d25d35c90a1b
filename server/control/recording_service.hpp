// SPDX-License-Identifier: GPL-3.0-or-later
// gRPC Recording -> the recorder.
#pragma once

#include <latticed/v1/recording.grpc.pb.h>

#include "server/control/call.hpp"
#include "server/control/recorder.hpp"

namespace latticed {

class RecordingService final : public v1::Recording::CallbackService {
 public:
  RecordingService(CallContext& context, Recorder& recorder)
      : context_(context), recorder_(recorder) {}

  using Call = grpc::CallbackServerContext;
  using Unary = grpc::ServerUnaryReactor;
  Unary* Enable(Call*, const v1::EnableRecordingRequest*, v1::RecordingReply*) override;
  Unary* Disable(Call*, const v1::DisableRecordingRequest*, v1::RecordingReply*) override;
  Unary* Get(Call*, const v1::GetRecordingRequest*, v1::RecordingReply*) override;

 private:
  CallContext& context_;
  Recorder& recorder_;
};

}  // namespace latticed
