// SPDX-License-Identifier: GPL-3.0-or-later
// A thread on a CPU of its own. Left alone, the scheduler of a busy machine may run two threads on
// one CPU in turns, and then they never meet: a stress test of a race would test nothing.
#pragma once

#include <pthread.h>
#include <sched.h>

#include <thread>
#include <utility>

namespace latticed::test {

/// `body` on the which-th CPU this process may use, counted around.
template <class Body>
[[nodiscard]] std::thread thread_on_cpu(int which, Body body) {
  return std::thread([which, body = std::move(body)]() mutable {
    cpu_set_t usable, one;
    if (sched_getaffinity(0, sizeof(usable), &usable) == 0) {
      int left = which % CPU_COUNT(&usable);
      for (unsigned cpu = 0; cpu < CPU_SETSIZE; ++cpu)
        if (CPU_ISSET(cpu, &usable) && left-- == 0) {
          CPU_ZERO(&one);
          CPU_SET(cpu, &one);
          pthread_setaffinity_np(pthread_self(), sizeof(one), &one);
        }
    }
    body();
  });
}

}  // namespace latticed::test
