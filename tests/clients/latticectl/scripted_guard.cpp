// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/clients/latticectl/scripted_guard.hpp"

#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace latticed::test {

namespace {

/// True when there is something to read before the test ends.
bool is_readable(int file, int over) {
  pollfd wanted[] = {{file, POLLIN, 0}, {over, POLLIN, 0}};
  return poll(wanted, 2, 30000) > 0 && wanted[0].revents != 0;
}

}  // namespace

ScriptedGuard::ScriptedGuard(std::string answer) : answer_(std::move(answer)) {
  std::string pattern = (std::filesystem::temp_directory_path() / "guard-XXXXXX").string();
  folder_ = mkdtemp(pattern.data());
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path().copy(address.sun_path, sizeof(address.sun_path) - 1);
  socket_ = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  over_ = eventfd(0, EFD_CLOEXEC);
  bind(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  listen(socket_, 1);
  thread_ = std::thread([this] { serve(); });
}

ScriptedGuard::~ScriptedGuard() {
  eventfd_write(over_, 1);
  if (thread_.joinable()) thread_.join();
  close(socket_);
  close(over_);
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

std::string ScriptedGuard::asked() {
  thread_.join();
  return asked_;
}

void ScriptedGuard::serve() {
  if (!is_readable(socket_, over_)) return;
  const int caller = accept4(socket_, nullptr, nullptr, SOCK_CLOEXEC);
  while (asked_.find('\n') == std::string::npos && is_readable(caller, over_)) {
    char piece[256];
    const auto got = recv(caller, piece, sizeof(piece), 0);
    if (got <= 0) break;
    asked_.append(piece, static_cast<std::size_t>(got));
  }
  if (answer_ == kSilent) {
    is_readable(over_, over_);
  } else {
    [[maybe_unused]] const auto sent = send(caller, answer_.data(), answer_.size(), MSG_NOSIGNAL);
  }
  close(caller);
}

}  // namespace latticed::test
