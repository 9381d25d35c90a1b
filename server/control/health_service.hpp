// SPDX-License-Identifier: GPL-3.0-or-later
// The standard health service (grpc.health.v1), with a name for each part that can be ill: ""
// (all), latticed.v1.Acquisition, latticed.v1.Holder, latticed.v1.Recording. Our own, because
// reflection does not describe gRPC's built-in one.
#pragma once

#include <grpc/health/v1/health.grpc.pb.h>

#include <map>
#include <mutex>
#include <string>

#include "server/rpc/broadcast.hpp"

namespace latticed {

class HealthService final : public grpc::health::v1::Health::CallbackService {
 public:
  using Request = grpc::health::v1::HealthCheckRequest;
  using Reply = grpc::health::v1::HealthCheckResponse;

  /// Any thread. The whole serves while every part does.
  void set(const std::string& part, bool is_serving);
  void close(const grpc::Status& status);

  grpc::ServerUnaryReactor* Check(grpc::CallbackServerContext*, const Request*, Reply*) override;
  grpc::ServerWriteReactor<Reply>* Watch(grpc::CallbackServerContext*, const Request*) override;

 private:
  [[nodiscard]] Reply::ServingStatus status_of(const std::string& part) const;  // mutex_ held

  mutable std::mutex mutex_;  // guards parts_ and streams_
  std::map<std::string, bool> parts_;
  std::map<std::string, rpc::Broadcast<Reply>> streams_;  // by part
};

}  // namespace latticed
