// SPDX-License-Identifier: GPL-3.0-or-later
// The real latticectl as a process: arguments and environment in, exit status and both outputs
// back. Every wait has a deadline; what still runs then is killed and the test fails.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace latticed::test {

struct Ended {
  int status = -1;  // as a shell says it: 128 + signal
  std::string out;
  std::string err;
};

class Program {
 public:
  using Words = std::vector<std::string>;
  using Environment = std::map<std::string, std::string>;
  /// What stdout is.
  enum class Out { file, terminal, nobody };  // nobody: a pipe that is not read

  Program(const Words& arguments, const Environment& environment, Out out = Out::file);
  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  /// Both outputs so far.
  [[nodiscard]] std::string out();
  [[nodiscard]] std::string err() const;
  void send(int signal) const;
  [[nodiscard]] Ended wait();

 private:
  std::filesystem::path folder_;
  pid_t pid_ = -1;
  int terminal_ = -1;
  std::string shown_;  // read from the terminal
  bool is_over_ = false;
};

/// To its end.
[[nodiscard]] Ended run_program(const Program::Words& arguments,
                                const Program::Environment& environment);

}  // namespace latticed::test
