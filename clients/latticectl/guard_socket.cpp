// SPDX-License-Identifier: GPL-3.0-or-later
#include "clients/latticectl/guard_socket.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>

namespace latticed::latticectl {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kLongestAnswer_bytes = 64 * 1024;

/// One conversation; every wait ends at its deadline.
class Conversation {
 public:
  Conversation(const std::string& path, std::chrono::milliseconds patience)
      : path_(path), until_(Clock::now() + patience) {}
  ~Conversation() {
    if (socket_ >= 0) close(socket_);
  }
  Conversation(const Conversation&) = delete;
  Conversation& operator=(const Conversation&) = delete;

  Result<void> open() {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path_.size() >= sizeof(address.sun_path)) {
      return Error{ErrorCode::invalid_argument, "guard socket '" + path_ + "': path too long"};
    }
    path_.copy(address.sun_path, path_.size());
    socket_ = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (socket_ < 0) return failed("open");
    const auto* where = reinterpret_cast<const sockaddr*>(&address);
    while (connect(socket_, where, sizeof(address)) != 0) {
      // EAGAIN: the guard has not taken earlier callers yet
      if (errno != EAGAIN && errno != EINTR) return failed("connect to");
      if (remaining_ms() == 0) return late("connect to");
      poll(nullptr, 0, 10);
    }
    return {};
  }

  Result<void> send_line(const std::string& line) {
    for (std::size_t sent = 0; sent < line.size();) {
      if (!is_ready(POLLOUT)) return late("write to");
      const auto got = send(socket_, line.data() + sent, line.size() - sent, MSG_NOSIGNAL);
      if (got > 0) sent += static_cast<std::size_t>(got);
      if (got < 0 && errno != EAGAIN && errno != EINTR) return failed("write to");
    }
    return {};
  }

  Result<std::string> read_line() {
    std::string text;
    while (text.find('\n') == std::string::npos && text.size() < kLongestAnswer_bytes) {
      if (!is_ready(POLLIN)) return late("read from");
      char piece[4096];
      const auto got = recv(socket_, piece, sizeof(piece), 0);
      if (got == 0 && text.empty()) {
        return Error{ErrorCode::unavailable, "guard socket '" + path_ + "': closed unanswered"};
      }
      if (got == 0) break;
      if (got > 0) text.append(piece, static_cast<std::size_t>(got));
      if (got < 0 && errno != EAGAIN && errno != EINTR) return failed("read from");
    }
    return text.substr(0, text.find('\n'));
  }

 private:
  [[nodiscard]] int remaining_ms() const {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until_ - Clock::now()).count();
    return static_cast<int>(std::max<std::int64_t>(left, 0));
  }

  [[nodiscard]] bool is_ready(short events) const {
    pollfd wanted{socket_, events, 0};
    for (int left_ms = remaining_ms(); left_ms > 0; left_ms = remaining_ms()) {
      if (poll(&wanted, 1, left_ms) > 0) return true;
    }
    return false;
  }

  [[nodiscard]] Error failed(const std::string& what) const {
    return {ErrorCode::unavailable,
            what + " guard socket '" + path_ + "': " + std::strerror(errno)};
  }
  [[nodiscard]] Error late(const std::string& what) const {
    return {ErrorCode::timeout, what + " guard socket '" + path_ + "': no answer in time"};
  }

  std::string path_;
  Clock::time_point until_;
  int socket_ = -1;
};

}  // namespace

Result<std::string> ask_guard(const std::string& socket_path, const std::string& verb,
                              std::chrono::milliseconds patience) {
  Conversation guard(socket_path, patience);
  if (auto ok = guard.open(); !ok) return ok.error();
  if (auto ok = guard.send_line(verb + "\n"); !ok) return ok.error();
  return guard.read_line();
}

}  // namespace latticed::latticectl
