// SPDX-License-Identifier: GPL-3.0-or-later
// Where the server is and how it is spoken to: address, TLS, token. Opening makes a channel, which
// connects with the first call.
#pragma once

#include <grpcpp/channel.h>

#include <memory>
#include <string>

#include "drivers/kit/result.hpp"

namespace latticed::latticectl {

struct ConnectionOptions {
  std::string server = "127.0.0.1:7440";
  std::string tls_ca_file;  // PEM; empty = no TLS
  std::string token_file;
  std::string token;  // of the environment; the file goes before it
  double timeout_s = 10.0;
  bool has_timeout = false;  // it was given: it also holds for calls that take longer by nature
};

struct Connection {
  std::shared_ptr<grpc::Channel> channel;
  std::string server;
  std::string token;  // empty = none is sent
};

/// Fails when a file cannot be read, or when a token would cross a network in the clear.
Result<Connection> connect(const ConnectionOptions& options);

}  // namespace latticed::latticectl
