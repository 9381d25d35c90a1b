// SPDX-License-Identifier: GPL-3.0-or-later
#include "clients/latticectl/stop_signals.hpp"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

namespace latticed::latticectl {

namespace {

sigset_t waited_for() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGUSR1}) sigaddset(&set, signal);
  return set;
}

}  // namespace

StopSignals::StopSignals() {
  const sigset_t set = waited_for();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);  // all threads made from here on inherit it
  thread_ = std::thread([this] { wait(); });
}

StopSignals::~StopSignals() {
  is_over_ = true;
  pthread_kill(thread_.native_handle(), SIGUSR1);  // wakes it; nobody else sends this one
  thread_.join();
}

void StopSignals::wait() {
  const sigset_t set = waited_for();
  for (int got = 0; sigwait(&set, &got) == 0;) {
    if (is_over_) return;
    if (got == SIGUSR1) continue;
    if (signal_.exchange(got) != 0) _exit(128 + got);
    source_.request_stop();
  }
}

}  // namespace latticed::latticectl
