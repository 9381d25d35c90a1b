// SPDX-License-Identifier: GPL-3.0-or-later
#include "drivers/files/hdf5_probe.hpp"

#include <fcntl.h>
#include <hdf5.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <string>

#include "drivers/files/limits.hpp"

namespace latticed::files {
namespace {

struct Probe {
  const std::function<void()>* attempt;
  pid_t child = -1;
};

[[noreturn]] void run_and_exit(const std::function<void()>& attempt) {
  const rlimit no_core{0, 0};
  const rlimit cpu{static_cast<rlim_t>(kProbeCpuSeconds), static_cast<rlim_t>(kProbeCpuSeconds)};
  setrlimit(RLIMIT_CORE, &no_core);
  setrlimit(RLIMIT_CPU, &cpu);
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_UNBLOCK, &all, nullptr);
  for (const int signal : {SIGALRM, SIGXCPU, SIGSEGV, SIGBUS, SIGFPE, SIGABRT, SIGTERM}) {
    std::signal(signal, SIG_DFL);
  }
  alarm(kProbePatienceSeconds);
  const int nowhere = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
  if (nowhere >= 0) ::dup2(nowhere, STDERR_FILENO);
  attempt();
  _exit(0);
}

/// Called by the library, which holds its own lock meanwhile: the child is then the lock's owner,
/// whatever other threads were doing with HDF5 at the time of the fork.
herr_t fork_here(hid_t, const char*, void* argument) {
  auto& probe = *static_cast<Probe*>(argument);
  probe.child = ::fork();
  if (probe.child == 0) run_and_exit(*probe.attempt);
  return 1;
}

}  // namespace

Result<void> survive_in_a_child(const std::string& path, const std::function<void()>& attempt) {
  Probe probe{&attempt};
  H5Piterate(H5P_FILE_ACCESS_DEFAULT, nullptr, fork_here, &probe);
  if (probe.child < 0) {
    return open_error(ErrorCode::resource_exhausted, path, "no process to try the file in");
  }
  int status = 0;
  while (::waitpid(probe.child, &status, 0) < 0) {
    if (errno != EINTR) return {};  // someone else took the child's answer: go on without it
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  std::string how = "exit code " + std::to_string(WEXITSTATUS(status));
  if (WIFSIGNALED(status)) how = "signal " + std::to_string(WTERMSIG(status));
  return open_error(ErrorCode::data_loss, path,
                    "damaged: the hdf5 library does not come back from reading it (" + how + ")");
}

}  // namespace latticed::files
