// SPDX-License-Identifier: GPL-3.0-or-later
// The socket in front of a World: accepts clients and carries lines. One Asio thread.
#pragma once

#include <memory>
#include <string>

#include "drivers/kit/result.hpp"
#include "sim/world/world.hpp"

namespace latticed::sim {

class LinkServer {
 public:
  /// Listens at `path`; takes over what a dead world left there, refuses a living one's.
  static Result<std::unique_ptr<LinkServer>> listen(World& world, const std::string& path);
  virtual ~LinkServer() = default;  // removes the socket

  /// Until SIGINT or SIGTERM.
  virtual void run() = 0;
};

}  // namespace latticed::sim
