// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/guard/safe_off_client.hpp"

#include <fmt/format.h>
#include <poll.h>

#include "server/guard/line_socket.hpp"

namespace latticed {

Result<std::string> safe_off(const std::string& socket, SafeOff how,
                             std::chrono::milliseconds timeout) {
  auto fd = connect_to(socket);
  if (!fd) return fd.error();
  LineSocket link(std::move(*fd));
  bool is_there = link.send(how == SafeOff::ramp ? "safe-off\n" : "off\n");
  std::string answer;
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  while (is_there && answer.empty()) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    pollfd ready{link.fd(), POLLIN, 0};
    if (left.count() <= 0 || poll(&ready, 1, static_cast<int>(left.count())) == 0) {
      return Error{ErrorCode::timeout,
                   fmt::format("safe-off at {}: no answer within {} ms", socket, timeout.count())};
    }
    is_there = link.receive([&](std::string_view line) { answer = line; });
  }
  if (answer.rfind("ok", 0) == 0) return answer;
  return Error{ErrorCode::internal,
               fmt::format("safe-off at {}: {}", socket,
                           answer.empty() ? "the guard closed the link" : answer)};
}

}  // namespace latticed
