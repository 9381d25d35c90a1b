// SPDX-License-Identifier: GPL-3.0-or-later
// Lines over a Unix socket without ever waiting: what has arrived, and what still has to go out.
// Both ends of the guard's socket use it, each from its own poll loop and thread.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "drivers/kit/result.hpp"

namespace latticed {

/// Owner of one file descriptor.
class OwnedFd {
 public:
  OwnedFd() = default;
  explicit OwnedFd(int fd) noexcept : fd_(fd) {}
  OwnedFd(OwnedFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  OwnedFd& operator=(OwnedFd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~OwnedFd();
  [[nodiscard]] int get() const noexcept { return fd_; }
  [[nodiscard]] bool is_open() const noexcept { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

/// Wakes a poll loop from other threads.
class WakeUp {
 public:
  WakeUp();
  void ring() noexcept;   // any thread; does not wait or allocate
  void clear() noexcept;  // the loop, before it looks
  [[nodiscard]] int fd() const noexcept { return fd_.get(); }

 private:
  OwnedFd fd_;
};

/// Listens at `path`, readable by its owner alone (mode 0600); takes over what a dead server left,
/// refuses a living one's.
Result<OwnedFd> listen_at(const std::string& path);
/// One who connected; not open when nobody did.
OwnedFd accept_one(int listener) noexcept;
/// Does not wait: a Unix socket connects at once or not at all.
Result<OwnedFd> connect_to(const std::string& path);

class LineSocket {
 public:
  static constexpr std::size_t kLongestLine = 1 << 20;
  static constexpr std::size_t kMostWaiting = 8 << 20;

  explicit LineSocket(OwnedFd fd) noexcept : fd_(std::move(fd)) {}

  /// Takes what has arrived and gives each whole line. False: the other end is gone, or sent a line
  /// that is too long.
  bool receive(const std::function<void(std::string_view)>& on_line);
  /// Sends what it can now, the rest with flush(). False: gone, or it does not read any more.
  bool send(std::string_view line);
  bool flush();
  [[nodiscard]] std::size_t waiting() const noexcept { return out_.size(); }
  [[nodiscard]] int fd() const noexcept { return fd_.get(); }

 private:
  OwnedFd fd_;
  std::string in_, out_;
};

}  // namespace latticed
