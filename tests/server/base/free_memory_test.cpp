// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/base/free_memory.hpp"

#include <gtest/gtest.h>

namespace latticed {
namespace {

TEST(FreeMemory, ReadsWhatTheKernelSaysIsAvailable) {
  EXPECT_EQ(
      available_in("MemTotal:  200 kB\nMemFree:  10 kB\nMemAvailable:   123 kB\nBuffers: 1 kB\n"),
      123u * 1024);
  constexpr auto kUnknown = std::numeric_limits<std::uint64_t>::max();
  EXPECT_EQ(available_in("MemTotal:  200 kB\n"), kUnknown);
  EXPECT_EQ(available_in(""), kUnknown);
  EXPECT_EQ(available_in("MemAvailable: many kB\n"), kUnknown);
}

TEST(FreeMemory, ThisMachineHasSomeAndNotEverything) {
  EXPECT_GT(free_memory_bytes(), 1u << 20);
  EXPECT_LT(free_memory_bytes(), std::uint64_t{1} << 50);
}

}  // namespace
}  // namespace latticed
