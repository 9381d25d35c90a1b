// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/guard/line_socket.hpp"

#include <fmt/format.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

namespace latticed {
namespace {

Result<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) {
    return Error{ErrorCode::invalid_argument,
                 fmt::format("socket \"{}\": the path must have 1 to {} characters", path,
                             sizeof address.sun_path - 1)};
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

Error failed(const char* what, const std::string& path) {
  return {ErrorCode::unavailable, fmt::format("{} {}: {}", what, path, std::strerror(errno))};
}

}  // namespace

OwnedFd::~OwnedFd() {
  if (fd_ >= 0) close(fd_);
}

WakeUp::WakeUp() : fd_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}

void WakeUp::ring() noexcept {
  const std::uint64_t one = 1;
  // Fails only when it has rung 2^64 times and nobody looked: then it is rung already.
  [[maybe_unused]] const auto written = write(fd_.get(), &one, sizeof one);
}

void WakeUp::clear() noexcept {
  std::uint64_t rung = 0;
  [[maybe_unused]] const auto got = read(fd_.get(), &rung, sizeof rung);
}

Result<OwnedFd> connect_to(const std::string& path) {
  const auto address = address_of(path);
  if (!address) return address.error();
  OwnedFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address) != 0)
    return failed("connect to", path);
  return fd;
}

Result<OwnedFd> listen_at(const std::string& path) {
  const auto address = address_of(path);
  if (!address) return address.error();
  if (connect_to(path)) {
    return Error{ErrorCode::unavailable,
                 fmt::format("listen at {}: another one answers there", path)};
  }
  struct stat there {};
  if (lstat(path.c_str(), &there) == 0) {
    if (!S_ISSOCK(there.st_mode))
      return Error{ErrorCode::unavailable, fmt::format("listen at {}: a file is there", path)};
    unlink(path.c_str());
  }
  OwnedFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  // The mode is that of the socket's inode at bind(): nobody else can connect in between.
  const mode_t before = umask(0177);
  const int bound = bind(fd.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address);
  umask(before);
  if (bound != 0 || listen(fd.get(), 16) != 0) return failed("listen at", path);
  return fd;
}

OwnedFd accept_one(int listener) noexcept {
  return OwnedFd(accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
}

bool LineSocket::receive(const std::function<void(std::string_view)>& on_line) {
  bool is_there = true;
  char bytes[65536];
  for (;;) {
    const ssize_t n = recv(fd_.get(), bytes, sizeof bytes, 0);
    if (n > 0) {
      in_.append(bytes, static_cast<std::size_t>(n));
      if (in_.size() > kLongestLine) break;  // looked through before more is taken
      continue;
    }
    if (n < 0 && errno == EINTR) continue;
    is_there = n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
    break;
  }
  std::size_t begin = 0;
  for (std::size_t end; (end = in_.find('\n', begin)) != std::string::npos; begin = end + 1)
    on_line(std::string_view(in_).substr(begin, end - begin));
  in_.erase(0, begin);
  return is_there && in_.size() <= kLongestLine;
}

bool LineSocket::send(std::string_view line) {
  out_ += line;
  return flush();
}

bool LineSocket::flush() {
  std::size_t sent = 0;
  bool is_there = true;
  while (sent < out_.size()) {
    const ssize_t n = ::send(fd_.get(), out_.data() + sent, out_.size() - sent, MSG_NOSIGNAL);
    if (n > 0) {
      sent += static_cast<std::size_t>(n);
      continue;
    }
    if (n < 0 && errno == EINTR) continue;
    is_there = n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
    break;
  }
  out_.erase(0, sent);
  return is_there && out_.size() <= kMostWaiting;
}

}  // namespace latticed
