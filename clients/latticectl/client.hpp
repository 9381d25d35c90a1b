// SPDX-License-Identifier: GPL-3.0-or-later
// Calls on the server: each with a deadline, the token, and a request_id that a retry repeats, so
// that nothing is done twice. Streams end cleanly on a signal, and say so when the server has
// stopped answering. Knows no command and prints nothing.
#pragma once

#include <grpcpp/client_context.h>
#include <grpcpp/support/sync_stream.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>

#include "clients/latticectl/call_problem.hpp"
#include "clients/latticectl/connection.hpp"

namespace latticed::latticectl {

/// 16 random hex digits.
[[nodiscard]] std::string new_request_id();

/// Of a stream's taker.
enum class Next { go_on, enough };

class Client {
 public:
  Client(Connection connection, const ConnectionOptions& options, std::stop_token stop)
      : connection_(std::move(connection)), options_(options), stop_(std::move(stop)) {}

  template <class Stub, class Request, class Reply>
  using Method = grpc::Status (Stub::*)(grpc::ClientContext*, const Request&, Reply*);
  template <class Stub, class Request, class Event>
  using Stream = std::unique_ptr<grpc::ClientReader<Event>> (Stub::*)(grpc::ClientContext*,
                                                                      const Request&);

  /// `usual_s`: how long such a call may take when --timeout was not given; 0 = the default.
  template <class Stub, class Request, class Reply>
  Answer<Reply> call(Method<Stub, Request, Reply> method, Request request, double usual_s = 0.0) {
    if constexpr (requires { request.set_request_id(std::string()); }) {
      request.set_request_id(new_request_id());
    }
    Stub stub(connection_.channel);
    Reply reply;
    const auto once = [&](grpc::ClientContext& context) {
      reply.Clear();
      return (stub.*method)(&context, request, &reply);
    };
    if (auto problem = attempt(once, usual_s)) return *std::move(problem);
    return reply;
  }

  /// Until the server ends the stream, `take` has enough, a signal comes (no problem; see
  /// is_stopped), or the server no longer answers. `at_most_s`: 0 = for ever.
  template <class Stub, class Request, class Event>
  std::optional<CallProblem> listen(Stream<Stub, Request, Event> method, const Request& request,
                                    const std::function<Next(const Event&)>& take,
                                    double at_most_s = 0.0) {
    Stub stub(connection_.channel);
    grpc::ClientContext context;
    Listening listening(*this, context, at_most_s);
    auto reader = (stub.*method)(&context, request);
    Event event;
    while (reader->Read(&event)) {
      listening.heard();
      if (take(event) == Next::go_on) continue;
      listening.enough();
      context.TryCancel();
    }
    return listening.end(reader->Finish());
  }

  [[nodiscard]] bool is_stopped() const { return stop_.stop_requested(); }
  [[nodiscard]] const std::stop_token& stop() const noexcept { return stop_; }
  /// The same server with another token: none for what has to be done although a signal came.
  [[nodiscard]] Client with_stop(std::stop_token stop) const {
    return {connection_, options_, std::move(stop)};
  }
  /// True when `duration_s` passed, false when a signal came first.
  bool pause(double duration_s) const;

 private:
  /// Watches over one stream: a signal cancels it, and silence longer than the timeout is
  /// followed by a question to the server that must be answered.
  class Listening {
   public:
    Listening(Client& client, grpc::ClientContext& context, double at_most_s);
    void heard() noexcept { heard_.fetch_add(1, std::memory_order_relaxed); }
    void enough() noexcept { is_enough_ = true; }
    std::optional<CallProblem> end(const grpc::Status& status);

   private:
    void watch(const std::stop_token& over);

    Client& client_;
    grpc::ClientContext& context_;
    std::atomic<std::uint64_t> heard_{0};
    bool is_enough_ = false;
    std::optional<CallProblem> silent_;  // written by the watcher, read after it was joined
    std::stop_callback<std::function<void()>> cancel_;
    std::jthread watcher_;
  };

  using Once = std::function<grpc::Status(grpc::ClientContext&)>;
  std::optional<CallProblem> attempt(const Once& once, double usual_s);
  void prepare(grpc::ClientContext& context, double timeout_s) const;
  [[nodiscard]] CallProblem with_tries(CallProblem problem, int tries, double after_s) const;

  Connection connection_;
  ConnectionOptions options_;
  std::stop_token stop_;
};

}  // namespace latticed::latticectl
