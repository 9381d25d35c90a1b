// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/base/named_thread.hpp"

#include <gtest/gtest.h>
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>

namespace latticed::test {
namespace {

struct Seen {
  std::string name;
  int nice = 0;
  cpu_set_t cpus;
};

Seen seen_from_inside(const ThreadOptions& options) {
  Seen seen;
  NamedThread sut(options, [&] {
    char name[16] = {};
    pthread_getname_np(pthread_self(), name, sizeof(name));
    seen.name = name;
    seen.nice = getpriority(PRIO_PROCESS, static_cast<id_t>(syscall(SYS_gettid)));
    pthread_getaffinity_np(pthread_self(), sizeof(seen.cpus), &seen.cpus);
  });
  sut.join();
  return seen;
}

TEST(NamedThread, HasItsNameCutToWhatTheKernelTakes) {
  EXPECT_EQ(seen_from_inside({.name = "latd-acq"}).name, "latd-acq");
  EXPECT_EQ(seen_from_inside({.name = "latd-a-very-long-sink"}).name, "latd-a-very-lon");
}

TEST(NamedThread, IsNicerWhileItsMakerIsNot) {
  const int ours = getpriority(PRIO_PROCESS, 0);
  EXPECT_EQ(seen_from_inside({.name = "n", .nice = ours + 3}).nice, std::min(ours + 3, 19));
  EXPECT_EQ(seen_from_inside({.name = "n"}).nice, ours);
  EXPECT_EQ(getpriority(PRIO_PROCESS, 0), ours);
}

TEST(NamedThread, RunsOnTheCpuItIsPinnedTo) {
  cpu_set_t ours;
  ASSERT_EQ(sched_getaffinity(0, sizeof(ours), &ours), 0);
  int last = -1;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
    if (CPU_ISSET(static_cast<unsigned>(cpu), &ours)) last = cpu;
  ASSERT_GE(last, 0);
  const Seen seen = seen_from_inside({.name = "pinned", .cpu = last});
  EXPECT_EQ(CPU_COUNT(&seen.cpus), 1);
  EXPECT_TRUE(CPU_ISSET(static_cast<unsigned>(last), &seen.cpus));
}

TEST(NamedThread, RunsAnywhereWhenItsCpuIsNotOurs) {
  const Seen seen = seen_from_inside({.name = "elsewhere", .cpu = CPU_SETSIZE - 1});
  EXPECT_GE(CPU_COUNT(&seen.cpus), 1);
}

TEST(NamedThread, JoinsWhenItGoes) {
  std::atomic<bool> is_done{false};
  {
    const NamedThread sut({.name = "n"}, [&] { is_done = true; });
  }
  EXPECT_TRUE(is_done);
}

TEST(NamedThread, JoinsTheOldOneWhenANewOneTakesItsPlace) {
  std::atomic<int> done{0};
  NamedThread sut({.name = "one"}, [&] { ++done; });
  sut = NamedThread({.name = "two"}, [&] { ++done; });
  EXPECT_GE(done, 1);
  sut.join();
  EXPECT_EQ(done, 2);
  EXPECT_FALSE(sut.joinable());
}

}  // namespace
}  // namespace latticed::test
