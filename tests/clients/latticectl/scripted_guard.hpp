// SPDX-License-Identifier: GPL-3.0-or-later
// The guard's safe-off socket, played by a thread: takes one caller, reads a line, answers.
#pragma once

#include <filesystem>
#include <string>
#include <thread>

namespace latticed::test {

class ScriptedGuard {
 public:
  inline static const std::string kSilent = "\x01";  // keeps the conversation open, says nothing

  explicit ScriptedGuard(std::string answer);
  ~ScriptedGuard();
  ScriptedGuard(const ScriptedGuard&) = delete;
  ScriptedGuard& operator=(const ScriptedGuard&) = delete;

  [[nodiscard]] std::string path() const { return (folder_ / "safe-off.sock").string(); }
  /// What the caller said. Waits for the conversation's end.
  [[nodiscard]] std::string asked();

 private:
  void serve();

  std::string answer_;
  std::filesystem::path folder_;
  int socket_ = -1;
  int over_ = -1;  // an eventfd: the test ends
  std::string asked_;
  std::thread thread_;
};

}  // namespace latticed::test
