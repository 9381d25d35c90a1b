// SPDX-License-Identifier: GPL-3.0-or-later
// One unary call of a service: the gate first, then the work on the control thread, once for each
// request id, and the answer whenever it is there.
#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <functional>
#include <string>
#include <utility>

#include "server/control/control_thread.hpp"
#include "server/control/request_log.hpp"
#include "server/rpc/gate.hpp"
#include "server/rpc/refusal.hpp"
#include "server/rpc/stamper.hpp"

namespace latticed {

/// What every service of the control side works with; outlives them.
struct CallContext {
  const rpc::Gate& gate;
  const rpc::Stamper& stamper;
  ControlThread& control;
  RequestLog& requests;  // control thread
};

/// Called once, on any thread: sends the reply, or why there is none.
using Answer = std::function<void(const grpc::Status&)>;

/// Answers are kept by it.
inline constexpr std::size_t kLongestRequestId = 128;

/// A call that only reads; `work` runs on gRPC's thread and must not wait.
template <class Reply, class Work>
grpc::ServerUnaryReactor* read_call(const CallContext& context, grpc::CallbackServerContext* call,
                                    Reply* reply, Work work) {
  auto* reactor = call->DefaultReactor();
  grpc::Status status = context.gate.reading(*call);
  if (status.ok()) {
    context.stamper.stamp(*reply->mutable_stamp());
    status = work();
  }
  reactor->Finish(status);
  return reactor;
}

/// A call that changes something. `work(answer)` runs on the control thread and fills `reply`
/// before it answers; a call with the same method and request id gets the same reply.
template <class Reply, class Work>
grpc::ServerUnaryReactor* control_call(const CallContext& context,
                                       grpc::CallbackServerContext* call, const char* method,
                                       const std::string& request_id, Reply* reply, Work work) {
  auto* reactor = call->DefaultReactor();
  if (grpc::Status denied = context.gate.control(*call); !denied.ok()) {
    reactor->Finish(denied);
    return reactor;
  }
  if (request_id.size() > kLongestRequestId) {
    reactor->Finish(rpc::to_status(
        Error{ErrorCode::invalid_argument, "request_id: " + std::to_string(request_id.size()) +
                                               " bytes (expected at most " +
                                               std::to_string(kLongestRequestId) + ")"}));
    return reactor;
  }
  const std::string key = request_id.empty() ? "" : std::string(method) + " " + request_id;
  context.control.post([&context, reactor, reply, key, work = std::move(work)] {
    if (!key.empty() && !context.requests.begin(key, [reactor, reply](const auto& outcome) {
          reply->ParseFromString(outcome.reply);
          reactor->Finish(outcome.status);
        }))
      return;
    work([&context, reactor, reply, key](const grpc::Status& status) {
      if (status.ok()) context.stamper.stamp(*reply->mutable_stamp());
      if (!key.empty()) {
        // The log is the control thread's, and after Finish the reply is gone.
        const std::string bytes = status.ok() ? reply->SerializeAsString() : "";
        context.control.post([&context, key, status, bytes] {
          context.requests.finish(key, {status, bytes});
        });
      }
      reactor->Finish(status);
    });
  });
  return reactor;
}

}  // namespace latticed
