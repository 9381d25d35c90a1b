// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/base/named_thread.hpp"

#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <utility>

namespace latticed {

namespace {

void apply(const ThreadOptions& options) {
  pthread_setname_np(pthread_self(), options.name.substr(0, 15).c_str());
  if (options.nice != 0)
    setpriority(PRIO_PROCESS, static_cast<id_t>(syscall(SYS_gettid)), options.nice);
  if (options.cpu >= 0) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(static_cast<unsigned>(options.cpu), &set);
    // A container may not own this CPU: the thread then simply stays where the scheduler puts it.
    pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
  }
}

}  // namespace

NamedThread::NamedThread(ThreadOptions options, std::function<void()> body)
    : thread_([o = std::move(options), b = std::move(body)] {
        apply(o);
        b();
      }) {}

NamedThread& NamedThread::operator=(NamedThread&& other) noexcept {
  join();
  thread_ = std::move(other.thread_);
  return *this;
}

}  // namespace latticed
