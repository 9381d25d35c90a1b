// SPDX-License-Identifier: GPL-3.0-or-later
// latticed.v1.Preview: images to look at, the latest wins. Asynchronous and raw, as Measurements.
#pragma once

#include <latticed/v1/preview.grpc.pb.h>

#include "server/live/preview.hpp"
#include "server/rpc/gate.hpp"

namespace latticed {

class PreviewService final : public v1::Preview::WithRawCallbackMethod_Watch<v1::Preview::Service> {
 public:
  struct Parts {
    const rpc::Gate* gate = nullptr;
    std::shared_ptr<Preview> preview;
    StreamList* streams = nullptr;
    std::vector<std::string> detectors;
  };
  explicit PreviewService(Parts parts) : parts_(std::move(parts)) {}

  grpc::ServerWriteReactor<grpc::ByteBuffer>* Watch(grpc::CallbackServerContext* call,
                                                    const grpc::ByteBuffer* request) override;

 private:
  const Parts parts_;
};

}  // namespace latticed
