// SPDX-License-Identifier: GPL-3.0-or-later
// A thread with a name (at most 15 characters, the kernel's limit), a niceness and optionally a
// CPU of its own. Joins when it is destroyed; telling it to stop is its owner's job.
#pragma once

#include <functional>
#include <string>
#include <thread>

namespace latticed {

struct ThreadOptions {
  std::string name;
  int nice = 0;  // pipeline threads run at +10, so that control and guard stay prompt
  int cpu = -1;  // pin to this CPU; -1 = anywhere
};

class NamedThread {
 public:
  NamedThread() = default;
  NamedThread(ThreadOptions options, std::function<void()> body);
  ~NamedThread() { join(); }
  NamedThread(NamedThread&&) = default;
  NamedThread& operator=(NamedThread&& other) noexcept;

  void join() {
    if (thread_.joinable()) thread_.join();
  }
  [[nodiscard]] bool joinable() const noexcept { return thread_.joinable(); }

 private:
  std::thread thread_;
};

}  // namespace latticed
