// SPDX-License-Identifier: GPL-3.0-or-later
// At the daemon's start: recordings that an earlier one could not complete are completed, on a
// thread of their own, one after the other. Files that somebody writes are left alone.
#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <vector>

#include "drivers/kit/result.hpp"
#include "server/base/named_thread.hpp"
#include "server/record/completion.hpp"

namespace latticed {

class Recovery {
 public:
  /// What became of one file, on the thread of the recovery.
  using Told = std::function<void(const std::string& part, const Result<record::Recovered>&)>;

  /// Looks at once, and only then, for NAME.nxs.part in the directories themselves: a recording
  /// that begins later is none of its business. Empty names are passed over.
  Recovery(const std::vector<std::string>& directories, Told told);
  /// Gives up what it has not begun to change.
  ~Recovery();
  Recovery(const Recovery&) = delete;
  Recovery& operator=(const Recovery&) = delete;

  [[nodiscard]] bool has_ended() const noexcept { return has_ended_.load(); }

 private:
  void run();

  const std::vector<std::string> parts_;
  const Told told_;
  std::atomic<bool> is_stopping_{false}, has_ended_{false};
  NamedThread thread_;
};

}  // namespace latticed
