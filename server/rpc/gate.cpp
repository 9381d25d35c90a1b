// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/rpc/gate.hpp"

#include <grpcpp/security/auth_context.h>

#include <algorithm>

#include "server/rpc/refusal.hpp"

namespace latticed::rpc {

namespace {

bool is_encrypted(const grpc::ServerContextBase& call) {
  const auto auth = call.auth_context();
  if (!auth) return false;
  const auto values = auth->FindPropertyValues("transport_security_type");
  return !values.empty() && values.front() == "ssl";
}

/// Takes as long for a nearly right token as for a wrong one.
bool is_same(const std::string& a, const std::string& b) {
  unsigned difference = a.size() == b.size() ? 0u : 1u;
  for (std::size_t i = 0; i < a.size() && !b.empty(); ++i)
    difference |= static_cast<unsigned char>(a[i]) ^ static_cast<unsigned char>(b[i % b.size()]);
  return difference == 0;
}

}  // namespace

bool is_local_peer(const std::string& peer) {
  return peer.rfind("ipv4:127.", 0) == 0 || peer.rfind("ipv6:[::1]", 0) == 0 ||
         peer.rfind("ipv6:%5B::1%5D", 0) == 0 || peer.rfind("ipv6:[::ffff:127.", 0) == 0 ||
         peer.rfind("ipv6:%5B::ffff:127.", 0) == 0 || peer.rfind("unix:", 0) == 0;
}

std::chrono::milliseconds time_left(const grpc::ServerContextBase& call) {
  const auto left = call.deadline() - std::chrono::system_clock::now();
  return std::max(std::chrono::milliseconds(0),
                  std::chrono::duration_cast<std::chrono::milliseconds>(left));
}

Gate::Token Gate::token_of(const grpc::ServerContextBase& call) const {
  const auto& sent = call.client_metadata();
  const auto found = sent.find("authorization");
  if (found == sent.end()) return Token::none;
  const std::string value(found->second.data(), found->second.size());
  return !options_.token.empty() && is_same(value, "Bearer " + options_.token) ? Token::right
                                                                               : Token::wrong;
}

grpc::Status Gate::reading(const grpc::ServerContextBase& call) const {
  if (is_local_peer(call.peer()) || options_.is_reading_open) return {};
  const Token token = token_of(call);
  if (is_encrypted(call) && token == Token::right) return {};
  if (token == Token::wrong)
    return to_status(grpc::StatusCode::UNAUTHENTICATED,
                     "read from " + call.peer() + ": wrong token", "TOKEN_WRONG");
  return to_status(
      grpc::StatusCode::PERMISSION_DENIED,
      "read from " + call.peer() +
          ": the configuration does not open reading to the network (serve.open_reading)"
          ", and there is no token over TLS",
      "READING_CLOSED");
}

grpc::Status Gate::safety(const grpc::ServerContextBase& call) const {
  if (is_local_peer(call.peer())) return {};
  if (!is_encrypted(call))
    return to_status(grpc::StatusCode::PERMISSION_DENIED,
                     "control from " + call.peer() + ": only over TLS with a token",
                     "CONTROL_NEEDS_TLS");
  switch (token_of(call)) {
    case Token::right:
      return {};
    case Token::wrong:
      return to_status(grpc::StatusCode::UNAUTHENTICATED,
                       "control from " + call.peer() + ": wrong token", "TOKEN_WRONG");
    case Token::none:
      break;
  }
  return to_status(
      grpc::StatusCode::UNAUTHENTICATED,
      "control from " + call.peer() + ": metadata authorization: Bearer TOKEN is missing",
      "TOKEN_REQUIRED");
}

grpc::Status Gate::control(const grpc::ServerContextBase& call) const {
  if (auto denied = safety(call); !denied.ok()) return denied;
  // Without one, a client that hangs waits for ever, and nobody knows what for.
  if (call.deadline() > std::chrono::system_clock::now() + std::chrono::hours(24 * 365))
    return to_status(grpc::StatusCode::INVALID_ARGUMENT,
                     "this call changes something and has no deadline", "DEADLINE_REQUIRED");
  return {};
}

}  // namespace latticed::rpc
