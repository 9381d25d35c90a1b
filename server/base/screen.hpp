// SPDX-License-Identifier: GPL-3.0-or-later
// The terminal as two things that do not disturb each other: lines that scroll by (the log), and
// below them a live text that is redrawn in place. Where the output is no terminal, only lines.
#pragma once

#include <cstdio>
#include <map>
#include <mutex>
#include <string>
#include <string_view>

namespace latticed {

class Screen {
 public:
  explicit Screen(std::FILE* out);
  /// Leaves the live text standing.
  ~Screen() = default;
  Screen(const Screen&) = delete;
  Screen& operator=(const Screen&) = delete;

  [[nodiscard]] bool is_terminal() const noexcept { return is_terminal_; }

  /// Any thread. `line` with its newline, above the live text.
  void print(std::string_view line);
  /// Any thread. Replaces one part of the live text (lines without a last newline); parts stand in
  /// the order of their names; an empty text takes the part away. Nothing when there is no
  /// terminal.
  void show(const std::string& part, std::string text);
  void flush();

 private:
  [[nodiscard]] std::string erased() const;
  [[nodiscard]] std::string drawn();

  std::FILE* out_;
  bool is_terminal_;
  std::mutex mutex_;  // guards all below, and the order of what is written
  std::map<std::string, std::string> parts_;
  int lines_shown_ = 0;
};

}  // namespace latticed
