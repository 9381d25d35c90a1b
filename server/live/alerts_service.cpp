// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/live/alerts_service.hpp"

#include <utility>

#include "server/live/requests.hpp"
#include "server/live/to_proto.hpp"
#include "server/rpc/refusal.hpp"

namespace latticed {
namespace {

constexpr std::size_t kCallsWaiting = 32;

/// A call that is answered at once.
grpc::ServerUnaryReactor* finished(grpc::CallbackServerContext& call, const grpc::Status& status) {
  auto* const reactor = call.DefaultReactor();
  reactor->Finish(status);
  return reactor;
}

}  // namespace

AlertsService::AlertsService(Parts parts)
    : parts_(std::move(parts)), rules_thread_({"latd-rules", 0}, {}, kCallsWaiting) {}

grpc::ServerWriteReactor<grpc::ByteBuffer>* AlertsService::Watch(grpc::CallbackServerContext* call,
                                                                 const grpc::ByteBuffer* request) {
  if (auto denied = parts_.gate->reading(*call); !denied.ok()) return refuse_stream(denied);
  v1::WatchAlertsRequest wanted;
  if (auto status = read_request(*request, wanted); !status.ok()) return refuse_stream(status);
  EventStream::Options options;
  options.name = "alerts";
  options.skipped_field = v1::AlertEvent::kSkippedFieldNumber;
  options.limits = parts_.limits;
  const auto stream = EventStream::open(*call, std::move(options), *parts_.streams);
  if (!parts_.publisher->subscribe(stream, wanted)) stream->cut(too_busy("watch alerts"));
  return stream.get();  // its list keeps it until gRPC is done with it
}

grpc::ServerUnaryReactor* AlertsService::List(grpc::CallbackServerContext* call,
                                              const v1::ListAlertsRequest* request,
                                              v1::ListAlertsReply* reply) {
  if (auto denied = parts_.gate->reading(*call); !denied.ok()) return finished(*call, denied);
  parts_.stamper->stamp(*reply->mutable_stamp());
  for (v1::Alert& alert : parts_.book->list(*request)) *reply->add_alerts() = std::move(alert);
  reply->set_forgotten(parts_.book->forgotten());
  return finished(*call, {});
}

grpc::Status AlertsService::acknowledge(const v1::AcknowledgeRequest& request,
                                        v1::AlertReply& reply) {
  auto alerts = parts_.book->acknowledge(request.id(), request.who(), request.comment());
  if (!alerts) return rpc::to_status(alerts.error());
  parts_.stamper->stamp(*reply.mutable_stamp());
  for (v1::Alert& alert : *alerts) *reply.add_alerts() = std::move(alert);
  return {};
}

grpc::ServerUnaryReactor* AlertsService::Acknowledge(grpc::CallbackServerContext* call,
                                                     const v1::AcknowledgeRequest* request,
                                                     v1::AlertReply* reply) {
  if (auto denied = parts_.gate->control(*call); !denied.ok()) return finished(*call, denied);
  return finished(*call, acknowledged_.once(request->request_id(), *reply,
                                            [&] { return acknowledge(*request, *reply); }));
}

void AlertsService::run_later(grpc::ServerUnaryReactor& reactor,
                              std::function<grpc::Status()> task) {
  if (!rules_) {
    reactor.Finish(rpc::to_status(
        Error{ErrorCode::unavailable, "alert rules: nothing in this server keeps any"}));
    return;
  }
  const bool is_posted =
      rules_thread_.post([&reactor, task = std::move(task)] { reactor.Finish(task()); });
  if (!is_posted) reactor.Finish(too_busy("alert rules"));
}

void AlertsService::report_rules(v1::RulesReply& reply) {
  parts_.stamper->stamp(*reply.mutable_stamp());
  for (const AlertRule& rule : rules_->get()) *reply.add_rules() = to_proto(rule);
}

grpc::ServerUnaryReactor* AlertsService::GetRules(grpc::CallbackServerContext* call,
                                                  const v1::GetRulesRequest*,
                                                  v1::RulesReply* reply) {
  if (auto denied = parts_.gate->reading(*call); !denied.ok()) return finished(*call, denied);
  auto* const reactor = call->DefaultReactor();
  run_later(*reactor, [this, reply]() -> grpc::Status {
    report_rules(*reply);
    return {};
  });
  return reactor;
}

grpc::Status AlertsService::set_rules(const v1::SetRulesRequest& request,
                                      std::chrono::steady_clock::time_point deadline,
                                      v1::RulesReply& reply) {
  std::vector<const v1::Rule*> wanted;
  for (const v1::Rule& rule : request.rules()) wanted.push_back(&rule);
  auto rules = from_proto(wanted);
  if (!rules) return rpc::to_status(rules.error());
  const auto from_seq = rules_->set(std::move(*rules), deadline);
  if (!from_seq) return rpc::to_status(from_seq.error());
  report_rules(reply);
  for (const auto& [detector, seq] : *from_seq) (*reply.mutable_from_seq())[detector] = seq;
  return {};
}

grpc::ServerUnaryReactor* AlertsService::SetRules(grpc::CallbackServerContext* call,
                                                  const v1::SetRulesRequest* request,
                                                  v1::RulesReply* reply) {
  if (auto denied = parts_.gate->control(*call); !denied.ok()) return finished(*call, denied);
  const auto deadline = std::chrono::steady_clock::now() + rpc::time_left(*call);
  auto* const reactor = call->DefaultReactor();
  run_later(*reactor, [this, request, deadline, reply] {
    return rules_set_.once(request->request_id(), *reply,
                           [&] { return set_rules(*request, deadline, *reply); });
  });
  return reactor;
}

}  // namespace latticed
