// SPDX-License-Identifier: GPL-3.0-or-later
// The gRPC server: one listener on this machine, one on the lab network if wanted, reflection, and
// an end in bounded time.
#pragma once

#include <grpcpp/server.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "drivers/kit/result.hpp"

namespace latticed {

struct RpcServerOptions {
  std::string local = "127.0.0.1:7440";  // HOST:PORT; port 0 = any
  std::string network;                   // the same; empty = none
  std::string certificate, key;          // PEM text for the network; both empty = no TLS there
};

class RpcServer {
 public:
  /// Error unavailable names the address that could not be had, and why. Services outlive it.
  static Result<std::unique_ptr<RpcServer>> start(const RpcServerOptions& options,
                                                  const std::vector<grpc::Service*>& services);
  ~RpcServer();

  /// No new calls; those that do not end by the deadline are cancelled.
  void stop(std::chrono::milliseconds timeout);

  /// HOST:PORT, the port as it is.
  [[nodiscard]] const std::string& local() const noexcept { return local_; }
  [[nodiscard]] const std::string& network() const noexcept { return network_; }

 private:
  RpcServer() = default;
  std::unique_ptr<grpc::Server> server_;
  std::string local_, network_;
};

/// "HOST:PORT", "HOST" or "[v6]:PORT" to host and port; -1 = none given. invalid_argument: neither.
struct HostPort {
  std::string host;
  int port = -1;
};
Result<HostPort> parse_host_port(const std::string& text);
std::string to_string(const HostPort& address);

}  // namespace latticed
