// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/control/rpc_server.hpp"

#include <fmt/format.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>

namespace latticed {

namespace {

/// gRPC only says that it could not listen; asking the kernel says why. Nothing = it can.
std::string why_not(const HostPort& address) {
  addrinfo hints{};
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int problem =
      getaddrinfo(address.host.c_str(), std::to_string(address.port).c_str(), &hints, &found);
  if (problem != 0) return gai_strerror(problem);
  std::string why;
  const int probe = ::socket(found->ai_family, found->ai_socktype | SOCK_CLOEXEC, 0);
  const int yes = 1;
  if (probe < 0)
    why = std::strerror(errno);
  else if (::setsockopt(probe, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0 ||
           ::bind(probe, found->ai_addr, found->ai_addrlen) != 0 || ::listen(probe, 1) != 0)
    why = std::strerror(errno);
  if (probe >= 0) ::close(probe);
  freeaddrinfo(found);
  return why;
}

Error cannot_listen(const HostPort& address, const std::string& why) {
  return {ErrorCode::unavailable, fmt::format("gRPC cannot listen at {}: {}", to_string(address),
                                              why.empty() ? "refused" : why)};
}

}  // namespace

Result<HostPort> parse_host_port(const std::string& text) {
  const Error wrong{ErrorCode::invalid_argument,
                    fmt::format("address \"{}\": expected HOST:PORT", text)};
  HostPort out;
  std::string port;
  if (text.empty()) return wrong;
  if (text.front() == '[') {
    const auto end = text.find(']');
    if (end == std::string::npos) return wrong;
    out.host = text.substr(1, end - 1);
    const std::string rest = text.substr(end + 1);
    if (!rest.empty() && rest.front() != ':') return wrong;
    if (!rest.empty()) port = rest.substr(1);
    if (!rest.empty() && port.empty()) return wrong;
  } else {
    const auto colon = text.rfind(':');
    out.host = text.substr(0, colon);
    if (colon != std::string::npos) port = text.substr(colon + 1);
    if (colon != std::string::npos && port.empty()) return wrong;
    if (out.host.find(':') != std::string::npos) return wrong;
  }
  if (out.host.empty()) return wrong;
  if (port.empty()) return out;
  const auto [end, problem] = std::from_chars(port.data(), port.data() + port.size(), out.port);
  if (problem != std::errc{} || end != port.data() + port.size() || out.port < 0 ||
      out.port > 65535)
    return wrong;
  return out;
}

std::string to_string(const HostPort& address) {
  const bool is_v6 = address.host.find(':') != std::string::npos;
  return fmt::format("{}{}{}:{}", is_v6 ? "[" : "", address.host, is_v6 ? "]" : "", address.port);
}

Result<std::unique_ptr<RpcServer>> RpcServer::start(const RpcServerOptions& options,
                                                    const std::vector<grpc::Service*>& services) {
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::ServerBuilder builder;
  // Two daemons on one port would share the callers between them.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  // A client whose machine is gone is noticed within 15 s and its queue freed.
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 10000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 5000);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 5000);

  struct Listener {
    HostPort address;
    int port = 0;
  };
  std::vector<Listener> listeners;
  listeners.reserve(2);
  const auto listen = [&](const std::string& text,
                          std::shared_ptr<grpc::ServerCredentials> credentials) -> Result<void> {
    auto address = parse_host_port(text);
    if (!address) return address.error();
    if (address->port < 0)
      return Error{ErrorCode::invalid_argument,
                   fmt::format("address \"{}\": expected HOST:PORT", text)};
    if (const std::string why = why_not(*address); !why.empty())
      return cannot_listen(*address, why);
    Listener& listener = listeners.emplace_back(Listener{*address, 0});
    builder.AddListeningPort(to_string(*address), std::move(credentials), &listener.port);
    return {};
  };
  if (auto ok = listen(options.local, grpc::InsecureServerCredentials()); !ok) return ok.error();
  if (!options.network.empty()) {
    auto credentials = grpc::InsecureServerCredentials();
    if (!options.certificate.empty()) {
      grpc::SslServerCredentialsOptions tls;
      tls.pem_key_cert_pairs.push_back({options.key, options.certificate});
      credentials = grpc::SslServerCredentials(tls);
    }
    if (auto ok = listen(options.network, std::move(credentials)); !ok) return ok.error();
  }
  for (grpc::Service* service : services) builder.RegisterService(service);

  std::unique_ptr<RpcServer> out(new RpcServer);
  out->server_ = builder.BuildAndStart();
  for (const Listener& listener : listeners)
    if (!out->server_ || listener.port == 0)
      return cannot_listen(listener.address, options.certificate.empty() || listeners.size() == 1
                                                 ? ""
                                                 : "certificate and key do not fit");
  const auto named = [](Listener listener) {
    listener.address.port = listener.port;
    return to_string(listener.address);
  };
  out->local_ = named(listeners[0]);
  if (listeners.size() > 1) out->network_ = named(listeners[1]);
  return out;
}

void RpcServer::stop(std::chrono::milliseconds timeout) {
  if (server_) server_->Shutdown(std::chrono::system_clock::now() + timeout);
}

RpcServer::~RpcServer() { stop(std::chrono::milliseconds(0)); }

}  // namespace latticed
