// SPDX-License-Identifier: GPL-3.0-or-later
// A real gRPC server on a loopback port that answers what a test tells it and writes down every
// call. A method nobody scripted answers an empty reply; a stream nobody scripted ends at once.
#pragma once

#include <google/protobuf/message.h>
#include <grpcpp/grpcpp.h>

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace latticed::test {

using google::protobuf::Message;

struct RecordedCall {
  std::string method;   // "Holder.Arm"
  std::string request;  // JSON
  std::string request_id;
  std::string authorization;
  bool has_deadline = false;
};

/// A refusal as the daemon sends it, with an ErrorInfo in the trailer.
[[nodiscard]] grpc::Status refused(grpc::StatusCode code, const std::string& message,
                                   const std::string& reason,
                                   const std::map<std::string, std::string>& metadata = {});

class ScriptedServer {
 public:
  using Unary = std::function<grpc::Status(const Message& request, Message& reply)>;
  using Write = std::function<bool(const Message& event)>;
  using Stream = std::function<grpc::Status(grpc::ServerContext& context, const Write& write)>;

  /// `credentials`: none = insecure.
  explicit ScriptedServer(std::shared_ptr<grpc::ServerCredentials> credentials = nullptr);
  ~ScriptedServer();

  void on(const std::string& method, Unary answer);
  void on_stream(const std::string& method, Stream stream);
  void reply(const std::string& method, const Message& reply);
  void refuse(const std::string& method, const grpc::Status& status);
  /// From now on every reply says that all is simulated.
  void rehearse() { is_rehearsal_ = true; }
  /// Answers nothing as long as this server lives.
  void hang(const std::string& method);
  /// These events, then nothing more until the client goes or the server ends.
  void stream_for_ever(const std::string& method, std::vector<std::shared_ptr<Message>> events);
  void stream(const std::string& method, std::vector<std::shared_ptr<Message>> events);

  /// "127.0.0.1:PORT"
  [[nodiscard]] std::string address() const;
  [[nodiscard]] std::vector<RecordedCall> calls() const;
  /// Of the calls of this method, the last; fails the test when there was none.
  [[nodiscard]] RecordedCall last(const std::string& method) const;
  [[nodiscard]] std::vector<std::string> methods() const;
  [[nodiscard]] std::size_t count(const std::string& method) const;

  /// For the services.
  grpc::Status answer(const std::string& method, const grpc::ServerContext& context,
                      const Message& request, Message& reply);
  grpc::Status answer_stream(const std::string& method, grpc::ServerContext& context,
                             const Message& request, const Write& write);

 private:
  struct Services;
  void record(const std::string& method, const grpc::ServerContext& context,
              const Message& request);

  mutable std::mutex mutex_;  // guards the script and the calls
  std::map<std::string, Unary> unary_;
  std::map<std::string, Stream> streams_;
  std::vector<RecordedCall> calls_;
  std::unique_ptr<Services> services_;
  std::atomic<bool> is_over_{false};
  std::atomic<bool> is_rehearsal_{false};
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

/// Blocks until the client has gone; for streams that say nothing.
grpc::Status wait_for_the_client(grpc::ServerContext& context);

}  // namespace latticed::test
