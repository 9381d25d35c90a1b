// SPDX-License-Identifier: GPL-3.0-or-later
// The guard's append-only record: one JSON object a line, each synced to the disk before it counts.
// A thread of its own writes, because a disk may take its time and safety may not.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "drivers/kit/result.hpp"
#include "server/base/named_thread.hpp"
#include "server/guard/line_socket.hpp"

namespace latticed {

class Audit {
 public:
  /// `on_done` is rung when completed() has news. Appends; mode 0600 when it makes the file.
  static Result<std::unique_ptr<Audit>> open(const std::string& path, WakeUp& on_done);
  ~Audit();  // what was appended is written

  /// `line` without its end; "time" is put in front. Gives its ticket, 0 when too many wait.
  std::uint64_t append(std::string line);

  struct Done {
    std::uint64_t ticket = 0;
    bool is_durable = false;
  };
  [[nodiscard]] std::vector<Done> completed();

 private:
  static constexpr std::size_t kMostWaiting = 4096;
  Audit(OwnedFd file, WakeUp& on_done);
  void run();
  [[nodiscard]] bool write_all(const std::string& text) noexcept;

  OwnedFd file_;
  WakeUp& on_done_;
  std::mutex mutex_;  // guards all below
  std::condition_variable work_;
  std::deque<std::string> lines_;
  std::vector<Done> done_;
  std::uint64_t next_ticket_ = 1, first_waiting_ = 1;
  bool is_over_ = false;
  NamedThread thread_;
};

}  // namespace latticed
