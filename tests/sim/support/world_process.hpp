// SPDX-License-Identifier: GPL-3.0-or-later
// A real sim-world process for a test: its own directory, killed and reaped at the end.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace latticed::sim::test {

/// A directory that is gone after the test.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string name = (std::filesystem::temp_directory_path() / "latticed-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) ADD_FAILURE() << "mkdtemp " << name;
    path_ = name;
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  [[nodiscard]] std::string file(const std::string& name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

class WorldProcess {
 public:
  /// `scenario` is the text of a scenario file.
  WorldProcess(const std::string& scenario, const std::vector<std::string>& more = {}) {
    std::ofstream(directory_.file("scenario.toml")) << scenario;
    std::vector<std::string> words{LATTICED_SIM_WORLD, "--scenario", directory_.file("scenario.toml"),
                                   "--socket", socket()};
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

  [[nodiscard]] std::string socket() const { return directory_.file("world.sock"); }
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
  pid_t pid_ = -1;
};

/// A small, quick scenario: 64 x 64, `frames` frames; `more` is appended.
inline std::string small_scenario(int frames, const std::string& more = {}) {
  return "name = \"small\"\nframes = " + std::to_string(frames) +
         "\nframe_period_s = 0.01\n[[detector]]\nname = \"haadf\"\nwidth = 64\nheight = 64\n"
         "pixel_size_nm = 0.05\n[specimen]\nedges = [[20.0, 1.0]]\n[drift]\nrate_nm_per_s = [1.0, 0.5]\n" +
         more;
}

}  // namespace latticed::sim::test
