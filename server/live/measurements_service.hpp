// SPDX-License-Identifier: GPL-3.0-or-later
// latticed.v1.Measurements: what is measured of every frame, as it happens. Asynchronous, and raw:
// messages go out as the publisher serialised them.
#pragma once

#include <latticed/v1/measurements.grpc.pb.h>

#include "server/live/publisher.hpp"
#include "server/rpc/gate.hpp"

namespace latticed {

class MeasurementsService final
    : public v1::Measurements::WithRawCallbackMethod_Watch<v1::Measurements::Service> {
 public:
  struct Parts {
    const rpc::Gate* gate = nullptr;
    std::shared_ptr<Publisher> publisher;
    StreamList* streams = nullptr;
    std::vector<std::string> detectors;
    QueueLimits limits;  // of one subscriber
  };
  explicit MeasurementsService(Parts parts) : parts_(std::move(parts)) {}

  grpc::ServerWriteReactor<grpc::ByteBuffer>* Watch(grpc::CallbackServerContext* call,
                                                    const grpc::ByteBuffer* request) override;

 private:
  [[nodiscard]] grpc::Status check(const v1::WatchMeasurementsRequest& wanted) const;

  const Parts parts_;
};

}  // namespace latticed
