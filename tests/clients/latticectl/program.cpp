// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/clients/latticectl/program.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <optional>
#include <thread>

#include "tests/support/deadline.hpp"

namespace latticed::test {

namespace {

std::string contents(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::vector<char*> pointers(std::vector<std::string>& words) {
  std::vector<char*> out;
  for (auto& word : words) out.push_back(word.data());
  out.push_back(nullptr);
  return out;
}

int open_file(const std::filesystem::path& path) {
  return open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

int open_terminal(int& slave) {
  const int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
  if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0) return -1;
  const winsize size{50, 200, 0, 0};
  ioctl(master, TIOCSWINSZ, &size);
  slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
  return master;
}

}  // namespace

Program::Program(const Words& arguments, const Environment& environment, Out out) {
  std::string pattern = (std::filesystem::temp_directory_path() / "latticectl-XXXXXX").string();
  folder_ = mkdtemp(pattern.data());
  std::vector<std::string> words = {LATTICECTL};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<std::string> variables;
  for (const auto& [name, value] : environment) variables.push_back(name + "=" + value);
  for (const char* kept : {"ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS"}) {
    if (const char* value = getenv(kept)) variables.push_back(std::string(kept) + "=" + value);
  }
  int out_file = -1;
  if (out == Out::terminal) {
    terminal_ = open_terminal(out_file);
  } else if (out == Out::nobody) {
    int ends[2] = {-1, -1};
    if (pipe2(ends, O_CLOEXEC) == 0) close(ends[0]);
    out_file = ends[1];
  } else {
    out_file = open_file(folder_ / "out");
  }
  const int err_file = open_file(folder_ / "err");
  auto argv = pointers(words);
  auto envp = pointers(variables);
  const std::string folder = folder_.string();
  pid_ = fork();
  if (pid_ == 0) {  // only calls that are safe after fork in a program with threads
    dup2(out_file, STDOUT_FILENO);
    dup2(err_file, STDERR_FILENO);
    if (chdir(folder.c_str()) == 0) execve(argv[0], argv.data(), envp.data());
    _exit(127);
  }
  close(out_file);
  close(err_file);
}

Program::~Program() {
  if (!is_over_ && pid_ > 0) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  if (terminal_ >= 0) close(terminal_);
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

std::string Program::out() {
  if (terminal_ < 0) return contents(folder_ / "out");
  char piece[4096];
  for (ssize_t got = 0; (got = read(terminal_, piece, sizeof(piece))) > 0;) {
    shown_.append(piece, static_cast<std::size_t>(got));
  }
  return shown_;
}

std::string Program::err() const { return contents(folder_ / "err"); }

void Program::send(int signal) const { kill(pid_, signal); }

Ended Program::wait() {
  int state = 0;
  const bool has_ended = happens([&] {
    if (terminal_ >= 0) [[maybe_unused]]
      const auto drained = out();
    return waitpid(pid_, &state, WNOHANG) == pid_;
  });
  if (!has_ended) {
    ADD_FAILURE() << "latticectl did not end; so far:\n" << out() << err();
    return {};
  }
  is_over_ = true;
  const int status = WIFEXITED(state) ? WEXITSTATUS(state) : 128 + WTERMSIG(state);
  return {status, out(), err()};
}

Ended run_program(const Program::Words& arguments, const Program::Environment& environment) {
  return Program(arguments, environment).wait();
}

}  // namespace latticed::test
