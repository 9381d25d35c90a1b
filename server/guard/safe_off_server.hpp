// SPDX-License-Identifier: GPL-3.0-or-later
// The second socket: who connects and says `safe-off` or `off` gets every holder made safe,
// whatever the daemon and its socket do. A thread of its own (latd-safe-off) with memory of its
// own; where the control thread does not answer it calls the drivers' make_safe itself.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "server/base/named_thread.hpp"
#include "server/guard/control.hpp"
#include "server/guard/line_socket.hpp"

namespace latticed {

class SafeOffServer {
 public:
  /// `on_demand` is told afterwards, for the audit.
  static Result<std::unique_ptr<SafeOffServer>> start(
      const std::string& path, Control& control, std::vector<std::shared_ptr<Channel>> channels,
      std::function<void(const char* what)> on_demand);
  ~SafeOffServer();  // removes the socket

 private:
  static constexpr std::size_t kClients = 8;
  struct Client {
    OwnedFd fd;
    char text[16] = {};
    std::size_t length = 0;
  };
  SafeOffServer(std::string path, OwnedFd listener, Control& control,
                std::vector<std::shared_ptr<Channel>> channels,
                std::function<void(const char*)> on_demand);
  void run();
  void welcome();
  void hear(Client& client);
  const char* obey(bool at_once);

  const std::string path_;
  OwnedFd listener_;
  Control& control_;
  const std::vector<std::shared_ptr<Channel>> channels_;
  const std::function<void(const char*)> on_demand_;
  Client clients_[kClients];
  std::size_t oldest_ = 0;
  WakeUp stop_;
  std::atomic<bool> stopping_{false};
  NamedThread thread_;
};

}  // namespace latticed
