// SPDX-License-Identifier: GPL-3.0-or-later
// A real sim-world process for a test: its own directory, killed and reaped at the end.
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <string>
#include <vector>

#include "tests/sim/support/small_scenario.hpp"
#include "tests/sim/support/temporary_directory.hpp"

namespace latticed::sim::test {

class WorldProcess {
 public:
  /// `scenario` is the text of a scenario file; `socket` where another world was, or its own.
  explicit WorldProcess(const std::string& scenario, const std::vector<std::string>& more = {},
                        const std::string& socket_path = {})
      : socket_(socket_path.empty() ? directory_.file("world.sock") : socket_path) {
    std::ofstream(directory_.file("scenario.toml")) << scenario;
    std::vector<std::string> words{LATTICED_SIM_WORLD, "--scenario",
                                   directory_.file("scenario.toml"), "--socket", socket()};
    words.insert(words.end(), more.begin(), more.end());
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    pid_ = fork();
    if (pid_ == 0) {
      const int quiet = open("/dev/null", O_WRONLY);
      dup2(quiet, STDOUT_FILENO);
      execv(arguments.front(), arguments.data());
      _exit(127);
    }
  }
  ~WorldProcess() { kill(); }
  WorldProcess(const WorldProcess&) = delete;
  WorldProcess& operator=(const WorldProcess&) = delete;

  void kill() { end(SIGKILL); }
  /// The exit status after SIGTERM.
  int terminate() { return end(SIGTERM); }

  [[nodiscard]] std::string socket() const { return socket_; }
  [[nodiscard]] std::string file(const std::string& name) const { return directory_.file(name); }

 private:
  int end(int signal) {
    if (pid_ <= 0) return -1;
    ::kill(pid_, signal);
    int status = 0;
    waitpid(pid_, &status, 0);
    pid_ = -1;
    return status;
  }

  TemporaryDirectory directory_;
  const std::string socket_;
  pid_t pid_ = -1;
};

}  // namespace latticed::sim::test
