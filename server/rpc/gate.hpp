// SPDX-License-Identifier: GPL-3.0-or-later
// Who may do what. From this machine: everything. From elsewhere: reading if the configuration
// opens it or the caller has the token over TLS; control only with the token over TLS. Every call
// that changes something needs a deadline.
#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/status.h>

#include <chrono>
#include <string>

namespace latticed::rpc {

struct GateOptions {
  bool is_reading_open = false;  // anyone on the network may read
  std::string token;             // empty = nobody elsewhere may control
};

class Gate {
 public:
  explicit Gate(GateOptions options) : options_(std::move(options)) {}

  /// OK, or why this caller may not read: READING_CLOSED, TOKEN_WRONG.
  [[nodiscard]] grpc::Status reading(const grpc::ServerContextBase& call) const;
  /// OK, or why this caller may not change anything: CONTROL_NEEDS_TLS, TOKEN_REQUIRED,
  /// TOKEN_WRONG, DEADLINE_REQUIRED.
  [[nodiscard]] grpc::Status control(const grpc::ServerContextBase& call) const;
  /// As control, without the deadline: whoever may control may always switch off.
  [[nodiscard]] grpc::Status safety(const grpc::ServerContextBase& call) const;

 private:
  enum class Token { none, wrong, right };
  [[nodiscard]] Token token_of(const grpc::ServerContextBase& call) const;

  const GateOptions options_;
};

/// The caller is on this machine: 127.0.0.0/8, ::1, or a Unix socket. `peer` as gRPC writes it.
bool is_local_peer(const std::string& peer);

/// What is left of the call's deadline, at least 0.
std::chrono::milliseconds time_left(const grpc::ServerContextBase& call);

}  // namespace latticed::rpc
