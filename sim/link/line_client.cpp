// SPDX-License-Identifier: GPL-3.0-or-later
#include "sim/link/line_client.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>

namespace latticed::sim {
namespace {

using Clock = std::chrono::steady_clock;

int milliseconds_until(Clock::time_point deadline) {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now());
  return static_cast<int>(std::max<std::int64_t>(0, left.count()));
}

ErrorCode code_from(const std::string& word) {
  for (int i = 0; i <= static_cast<int>(ErrorCode::internal); ++i) {
    if (to_string(static_cast<ErrorCode>(i)) == word) return static_cast<ErrorCode>(i);
  }
  return ErrorCode::internal;
}

/// What recvmsg brought besides the bytes: at most one descriptor.
UniqueFd descriptor_in(msghdr& message) {
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(c), sizeof fd);
    return UniqueFd(fd);
  }
  return {};
}

}  // namespace

Result<LineClient> LineClient::open(const std::string& path, std::chrono::milliseconds timeout) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) {
    return Error{ErrorCode::invalid_argument,
                 fmt::format("connect to the simulated world at \"{}\": the path must have 1 to {} "
                             "characters",
                             path, sizeof address.sun_path - 1)};
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const Clock::time_point deadline = Clock::now() + timeout;
  // The world may still be starting: try until the deadline.
  while (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    if ((errno != ENOENT && errno != ECONNREFUSED) || Clock::now() >= deadline) {
      return Error{ErrorCode::unavailable,
                   fmt::format("connect to the simulated world at {}: {}, tried for {} ms", path,
                               std::strerror(errno), timeout.count())};
    }
    poll(nullptr, 0, 5);
  }
  return LineClient(std::move(fd), path);
}

Error LineClient::broken(const char* what) {
  is_broken_ = true;
  return {ErrorCode::unavailable, fmt::format("simulated world at {}: {}", path_, what)};
}

Result<nlohmann::json> LineClient::request(const nlohmann::json& command,
                                           std::chrono::milliseconds timeout) {
  if (is_broken_) return broken("the connection is lost");
  const Clock::time_point deadline = Clock::now() + timeout;
  const std::string line = command.dump() + "\n";
  for (std::size_t sent = 0; sent < line.size();) {
    const ssize_t n =
        send(fd_.get(), line.data() + sent, line.size() - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n > 0) {
      sent += static_cast<std::size_t>(n);
      continue;
    }
    if (errno != EAGAIN && errno != EINTR) return broken(std::strerror(errno));
    pollfd ready{fd_.get(), POLLOUT, 0};
    if (poll(&ready, 1, milliseconds_until(deadline)) == 0)
      return broken("took no command in time");
  }
  auto reply = read_line(deadline);
  if (!reply) return reply.error();
  nlohmann::json json = nlohmann::json::parse(*reply, nullptr, false);
  if (!json.is_object() || !json.contains("ok"))
    return broken("a reply is not a JSON object with \"ok\"");
  if (json["ok"] == true) return json;
  return Error{code_from(json.value("code", "")),
               json.value("message", "the world gave no reason")};
}

Result<std::string> LineClient::read_line(Clock::time_point deadline) {
  for (;;) {
    if (const auto end = rest_.find('\n'); end != std::string::npos) {
      std::string line = rest_.substr(0, end);
      rest_.erase(0, end + 1);
      return line;
    }
    pollfd ready{fd_.get(), POLLIN, 0};
    if (poll(&ready, 1, milliseconds_until(deadline)) == 0) return broken("gave no reply in time");
    char bytes[4096];
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
    iovec place{bytes, sizeof bytes};
    msghdr message{};
    message.msg_iov = &place;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    const ssize_t n = recvmsg(fd_.get(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n == 0) return broken("closed the connection");
    if (n < 0 && errno != EAGAIN && errno != EINTR) return broken(std::strerror(errno));
    if (n < 0) continue;
    if (UniqueFd fd = descriptor_in(message); fd.is_open()) received_ = std::move(fd);
    rest_.append(bytes, static_cast<std::size_t>(n));
  }
}

bool LineClient::urge(std::string_view line, std::chrono::milliseconds timeout) noexcept {
  char bytes[512];
  while (recv(fd_.get(), bytes, sizeof bytes, MSG_DONTWAIT) > 0) {  // a late answer of last time
  }
  if (send(fd_.get(), line.data(), line.size(), MSG_NOSIGNAL | MSG_DONTWAIT) !=
      static_cast<ssize_t>(line.size()))
    return false;
  pollfd ready{fd_.get(), POLLIN, 0};
  return poll(&ready, 1, static_cast<int>(timeout.count())) == 1 &&
         recv(fd_.get(), bytes, sizeof bytes, MSG_DONTWAIT) > 0;
}

bool LineClient::is_alive() const noexcept {
  pollfd ready{fd_.get(), POLLRDHUP, 0};
  return poll(&ready, 1, 0) == 0 ||
         (ready.revents & (POLLHUP | POLLRDHUP | POLLERR | POLLNVAL)) == 0;
}

}  // namespace latticed::sim
