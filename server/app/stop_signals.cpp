// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/app/stop_signals.hpp"

#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <string_view>

namespace latticed {

namespace {

constexpr unsigned kPatience_s = 4;
std::atomic<int> requested{0};
static_assert(std::atomic<int>::is_always_lock_free);

extern "C" void remember(int signal) {
  requested.store(signal, std::memory_order_relaxed);
  alarm(kPatience_s);
}

extern "C" void give_up(int) {
  constexpr std::string_view kWhy =
      "latticed: could not end within 4 s of the signal: an output is not taken; ended now\n";
  [[maybe_unused]] const auto written = write(STDERR_FILENO, kWhy.data(), kWhy.size());
  // As _exit, which under ThreadSanitizer would still look for threads that were not joined.
  syscall(SYS_exit_group, exit_status_of(requested.load(std::memory_order_relaxed)));
}

void handle(int signal, void (*handler)(int), int flags) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = flags;
  sigemptyset(&action.sa_mask);
  sigaction(signal, &action, nullptr);
}

}  // namespace

void watch_stop_signals() {
  handle(SIGINT, remember, static_cast<int>(SA_RESTART | SA_RESETHAND));
  handle(SIGTERM, remember, static_cast<int>(SA_RESTART | SA_RESETHAND));
  handle(SIGALRM, give_up, 0);
  handle(SIGPIPE, SIG_IGN, 0);
}

int stop_signal() noexcept { return requested.load(std::memory_order_relaxed); }

}  // namespace latticed
