// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/control/health_service.hpp"

#include <algorithm>

namespace latticed {

HealthService::Reply::ServingStatus HealthService::status_of(const std::string& part) const {
  if (part.empty()) {
    const bool all =
        std::all_of(parts_.begin(), parts_.end(), [](const auto& p) { return p.second; });
    return all ? Reply::SERVING : Reply::NOT_SERVING;
  }
  const auto found = parts_.find(part);
  if (found == parts_.end()) return Reply::SERVICE_UNKNOWN;
  return found->second ? Reply::SERVING : Reply::NOT_SERVING;
}

void HealthService::set(const std::string& part, bool is_serving) {
  const std::lock_guard lock(mutex_);
  const auto [found, is_new] = parts_.try_emplace(part, is_serving);
  if (!is_new && found->second == is_serving) return;
  found->second = is_serving;
  for (const std::string& name : {std::string(), part}) {
    Reply reply;
    reply.set_status(status_of(name));
    if (const auto watched = streams_.find(name); watched != streams_.end())
      watched->second.publish(reply);
  }
}

void HealthService::close(const grpc::Status& status) {
  const std::lock_guard lock(mutex_);
  for (auto& [part, streams] : streams_) streams.close(status);
}

grpc::ServerUnaryReactor* HealthService::Check(grpc::CallbackServerContext* call,
                                               const Request* request, Reply* reply) {
  auto* reactor = call->DefaultReactor();
  const std::lock_guard lock(mutex_);
  reply->set_status(status_of(request->service()));
  // The standard asks for NOT_FOUND here and for SERVICE_UNKNOWN in Watch.
  if (reply->status() == Reply::SERVICE_UNKNOWN)
    reactor->Finish({grpc::StatusCode::NOT_FOUND, "there is no part " + request->service()});
  else
    reactor->Finish({});
  return reactor;
}

grpc::ServerWriteReactor<HealthService::Reply>* HealthService::Watch(grpc::CallbackServerContext*,
                                                                     const Request* request) {
  const std::lock_guard lock(mutex_);
  Reply now;
  now.set_status(status_of(request->service()));
  // Parts are known before the first call: of those that are not, nothing will ever be told.
  const bool is_known = now.status() != Reply::SERVICE_UNKNOWN;
  return streams_.try_emplace(is_known ? request->service() : "unknown").first->second.open({now});
}

}  // namespace latticed
