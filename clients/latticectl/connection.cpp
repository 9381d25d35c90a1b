// SPDX-License-Identifier: GPL-3.0-or-later
#include "clients/latticectl/connection.hpp"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>

namespace latticed::latticectl {

namespace {

constexpr int kLargestMessage_bytes = 64 << 20;
constexpr int kFirstReconnect_ms = 100;
constexpr int kSlowestReconnect_ms = 2000;

Result<std::string> contents(const std::string& path, const std::string& what) {
  std::ifstream in(path, std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(in)), {});
  if (!in.is_open() || in.bad() || text.empty()) {
    const std::string why = in.is_open() ? "empty or unreadable" : std::strerror(errno);
    return Error{ErrorCode::not_found, "read " + what + " '" + path + "': " + why};
  }
  return text;
}

bool is_this_machine(const std::string& server) {
  const auto begins = [&](const char* with) { return server.rfind(with, 0) == 0; };
  return begins("127.") || begins("localhost:") || begins("[::1]") || begins("unix:");
}

Result<std::string> token_of(const ConnectionOptions& options) {
  std::string token = options.token;
  if (!options.token_file.empty()) {
    auto read = contents(options.token_file, "token");
    if (!read) return read.error();
    token = *read;
  }
  token.erase(token.find_last_not_of(" \t\r\n") + 1);
  if (!token.empty() && options.tls_ca_file.empty() && !is_this_machine(options.server)) {
    return Error{ErrorCode::invalid_argument,
                 "a token is not sent to " + options.server +
                     " in the clear: give --tls-ca, or tunnel to this machine"};
  }
  return token;
}

}  // namespace

Result<Connection> connect(const ConnectionOptions& options) {
  auto token = token_of(options);
  if (!token) return token.error();
  std::shared_ptr<grpc::ChannelCredentials> credentials = grpc::InsecureChannelCredentials();
  if (!options.tls_ca_file.empty()) {
    auto authority = contents(options.tls_ca_file, "certificate authority");
    if (!authority) return authority.error();
    grpc::SslCredentialsOptions tls;
    tls.pem_root_certs = *authority;
    credentials = grpc::SslCredentials(tls);
  }
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kLargestMessage_bytes);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, kFirstReconnect_ms);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kSlowestReconnect_ms);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);  // a microscope is not behind the web's proxy
  return Connection{grpc::CreateCustomChannel(options.server, credentials, arguments),
                    options.server, *token};
}

}  // namespace latticed::latticectl
