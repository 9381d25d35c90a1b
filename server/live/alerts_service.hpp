// SPDX-License-Identifier: GPL-3.0-or-later
// latticed.v1.Alerts: alarms, who has seen them, and the rules that raise them. Asynchronous; what
// may wait (the rules) has a thread of its own, "latd-rules".
#pragma once

#include <latticed/v1/alerts.grpc.pb.h>

#include "server/live/answers.hpp"
#include "server/live/publisher.hpp"
#include "server/live/rules_control.hpp"
#include "server/rpc/gate.hpp"

namespace latticed {

/// Every method by callback, Watch with bytes.
using AlertsMethods = v1::Alerts::WithRawCallbackMethod_Watch<v1::Alerts::WithCallbackMethod_List<
    v1::Alerts::WithCallbackMethod_Acknowledge<v1::Alerts::WithCallbackMethod_GetRules<
        v1::Alerts::WithCallbackMethod_SetRules<v1::Alerts::Service>>>>>;

class AlertsService final : public AlertsMethods {
 public:
  struct Parts {
    const rpc::Gate* gate = nullptr;
    const rpc::Stamper* stamper = nullptr;
    std::shared_ptr<Publisher> publisher;
    std::shared_ptr<AlertBook> book;
    StreamList* streams = nullptr;
    QueueLimits limits;  // of one subscriber
  };
  explicit AlertsService(Parts parts);

  /// Before the server starts; it outlives the service. Without one the rules are UNAVAILABLE.
  void set_rules_control(RulesControl* rules) { rules_ = rules; }

  grpc::ServerWriteReactor<grpc::ByteBuffer>* Watch(grpc::CallbackServerContext* call,
                                                    const grpc::ByteBuffer* request) override;
  grpc::ServerUnaryReactor* List(grpc::CallbackServerContext* call,
                                 const v1::ListAlertsRequest* request,
                                 v1::ListAlertsReply* reply) override;
  grpc::ServerUnaryReactor* Acknowledge(grpc::CallbackServerContext* call,
                                        const v1::AcknowledgeRequest* request,
                                        v1::AlertReply* reply) override;
  grpc::ServerUnaryReactor* GetRules(grpc::CallbackServerContext* call,
                                     const v1::GetRulesRequest* request,
                                     v1::RulesReply* reply) override;
  grpc::ServerUnaryReactor* SetRules(grpc::CallbackServerContext* call,
                                     const v1::SetRulesRequest* request,
                                     v1::RulesReply* reply) override;

 private:
  void run_later(grpc::ServerUnaryReactor& reactor, std::function<grpc::Status()> task);
  grpc::Status acknowledge(const v1::AcknowledgeRequest& request, v1::AlertReply& reply);
  grpc::Status set_rules(const v1::SetRulesRequest& request,
                         std::chrono::steady_clock::time_point deadline, v1::RulesReply& reply);
  void report_rules(v1::RulesReply& reply);

  const Parts parts_;
  RulesControl* rules_ = nullptr;
  Answers acknowledged_, rules_set_;
  SharedThread rules_thread_;
};

}  // namespace latticed
