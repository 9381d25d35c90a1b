// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/guard/safe_off_server.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

namespace latticed {
namespace {

using namespace std::chrono_literals;
constexpr auto kControlsPatience = 200ms;

}  // namespace

Result<std::unique_ptr<SafeOffServer>> SafeOffServer::start(
    const std::string& path, Control& control, std::vector<std::shared_ptr<Channel>> channels,
    std::function<void(const char* what)> on_demand) {
  auto listener = listen_at(path);
  if (!listener) return listener.error();
  return std::unique_ptr<SafeOffServer>(new SafeOffServer(
      path, std::move(*listener), control, std::move(channels), std::move(on_demand)));
}

SafeOffServer::SafeOffServer(std::string path, OwnedFd listener, Control& control,
                             std::vector<std::shared_ptr<Channel>> channels,
                             std::function<void(const char*)> on_demand)
    : path_(std::move(path)),
      listener_(std::move(listener)),
      control_(control),
      channels_(std::move(channels)),
      on_demand_(std::move(on_demand)),
      thread_({"latd-safe-off"}, [this] { run(); }) {}

SafeOffServer::~SafeOffServer() {
  stopping_.store(true);
  stop_.ring();
  thread_.join();
  unlink(path_.c_str());
}

void SafeOffServer::run() {
  while (!stopping_.load()) {
    pollfd ready[kClients + 2];
    for (std::size_t i = 0; i < kClients; ++i) ready[i] = {clients_[i].fd.get(), POLLIN, 0};
    ready[kClients] = {listener_.get(), POLLIN, 0};
    ready[kClients + 1] = {stop_.fd(), POLLIN, 0};
    if (poll(ready, kClients + 2, 1000) <= 0) continue;
    if (ready[kClients].revents != 0) welcome();
    for (std::size_t i = 0; i < kClients; ++i) {
      if (ready[i].revents != 0 && ready[i].fd == clients_[i].fd.get()) hear(clients_[i]);
    }
  }
}

/// Where all places are taken the oldest, which said nothing, makes room.
void SafeOffServer::welcome() {
  OwnedFd fd = accept_one(listener_.get());
  if (!fd.is_open()) return;
  std::size_t place = 0;
  while (place < kClients && clients_[place].fd.is_open()) ++place;
  if (place == kClients) place = oldest_++ % kClients;
  clients_[place] = Client{std::move(fd), {}, 0};
}

void SafeOffServer::hear(Client& client) {
  const ssize_t n =
      recv(client.fd.get(), client.text + client.length, sizeof client.text - client.length, 0);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n > 0) client.length += static_cast<std::size_t>(n);
  const std::string_view text(client.text, client.length);
  const auto end = text.find('\n');
  const char* answer = nullptr;
  if (end != std::string_view::npos) {
    const std::string_view word = text.substr(0, end);
    if (word == "safe-off" || word == "off")
      answer = obey(word == "off");
    else
      answer = "error: say safe-off or off\n";
  } else if (n > 0 && client.length < sizeof client.text) {
    return;  // the rest of the line comes
  }
  if (answer != nullptr) {
    // One short line into an empty socket buffer: it goes whole or the other end is gone.
    [[maybe_unused]] const auto sent =
        send(client.fd.get(), answer, std::strlen(answer), MSG_NOSIGNAL);
  }
  client = Client{};
}

const char* SafeOffServer::obey(bool at_once) {
  const std::uint64_t safe = at_once ? 0 : control_.demand_safe();
  const std::uint64_t off = at_once ? control_.demand_off() : 0;
  const auto deadline = Control::Clock::now() + kControlsPatience;
  while (!control_.is_issued(safe, off)) {
    if (Control::Clock::now() >= deadline) {
      for (const auto& channel : channels_) {
        if (Holder* const holder = channel->holder.load()) holder->make_safe();
      }
      on_demand_("made safe directly: the control thread does not answer");
      return "ok made safe directly: the control thread does not answer\n";
    }
    poll(nullptr, 0, 1);
  }
  on_demand_(at_once ? "off" : "safe");
  return at_once ? "ok off issued\n" : "ok safe issued\n";
}

}  // namespace latticed
