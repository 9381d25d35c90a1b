// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/base/touched_memory.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <vector>

namespace latticed::test {
namespace {

struct Free {
  void operator()(void* data) const noexcept { std::free(data); }
};
using Memory = std::unique_ptr<void, Free>;

TEST(TouchedMemory, IsZeroAndOnTheBoundaryAskedFor) {
  for (std::size_t alignment : {std::size_t{64}, std::size_t{4096}})
    for (std::size_t bytes :
         {std::size_t{0}, std::size_t{1}, std::size_t{100}, (std::size_t{5} << 20) + 7}) {
      const Memory sut(allocate_touched(bytes, alignment));
      const auto* data = static_cast<const unsigned char*>(sut.get());
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(data) % alignment, 0u);
      EXPECT_TRUE(std::all_of(data, data + bytes, [](unsigned char c) { return c == 0; }));
    }
}

TEST(TouchedMemory, IsThereBeforeTheFirstFrame) {
  const std::size_t bytes = std::size_t{6} << 20, page = 4096;
  const Memory sut(allocate_touched(bytes, page));
  std::vector<unsigned char> is_resident(bytes / page);
  ASSERT_EQ(mincore(sut.get(), bytes, is_resident.data()), 0);
  EXPECT_TRUE(std::all_of(is_resident.begin(), is_resident.end(),
                          [](unsigned char flags) { return (flags & 1) != 0; }));
}

TEST(TouchedMemory, BeginsALargeBlockAtALargePage) {
  const Memory sut(allocate_touched(std::size_t{3} << 20, 64));
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(sut.get()) % (std::size_t{2} << 20), 0u);
}

}  // namespace
}  // namespace latticed::test
