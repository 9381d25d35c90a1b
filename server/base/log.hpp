// SPDX-License-Identifier: GPL-3.0-or-later
// Where log lines go. Modules call spdlog::info and its like; a thread of spdlog writes, so that
// nobody waits for a disk or a terminal. The queue is bounded: what had no room is counted and
// said.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "drivers/kit/result.hpp"
#include "server/base/screen.hpp"

namespace latticed {

enum class LogLevel : std::uint8_t { trace, debug, info, warning, error, off };

struct LogConfig {
  LogLevel level = LogLevel::info;
  bool json = false;       // one JSON object a line: ts, level, event, thread
  std::string file;        // instead of stderr; appended to
  int queue_lines = 8192;  // 64 to 1e6: what may wait for the writer; the oldest goes first
};

/// The program's log for the life of this object; one at a time. Everything is written before the
/// destructor returns, and how many lines were lost to a full queue.
class Log {
 public:
  /// Text from level info on, above whatever `screen` shows: what can always be opened.
  explicit Log(Screen& screen);
  ~Log();
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  /// Changes to `config`; on Error the log stays as it was.
  Result<void> configure(const LogConfig& config);

 private:
  struct Writer;  // spdlog's queue and thread
  Screen& screen_;
  std::unique_ptr<Writer> writer_;
};

}  // namespace latticed
