// SPDX-License-Identifier: GPL-3.0-or-later
#include "drivers/kit/copy_pixels.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace latticed::test {
namespace {

constexpr std::byte kUntouched{0xa5};

std::vector<std::byte> some_bytes(std::size_t size) {
  std::vector<std::byte> out(size);
  std::uint64_t state = 1;
  for (std::byte& byte : out) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    byte = static_cast<std::byte>(state >> 56);
  }
  return out;
}

// Copies `size` bytes to a place that is `offset` behind a cache line's beginning.
void expect_copied(const std::vector<std::byte>& bytes, std::size_t size, std::size_t offset) {
  constexpr std::size_t kMargin = 128;
  std::vector<std::byte> memory(size + 2 * kMargin, kUntouched);
  const auto begin = reinterpret_cast<std::uintptr_t>(memory.data());
  const std::size_t at = (64 - begin % 64) % 64 + offset;
  const std::span from(bytes.data() + 3, size);
  copy_pixels(from, std::span(memory).subspan(at, size));
  const auto first = memory.begin() + static_cast<std::ptrdiff_t>(at);
  const auto last = first + static_cast<std::ptrdiff_t>(size);
  EXPECT_TRUE(std::equal(first, last, from.begin())) << size << " bytes at " << offset;
  const auto is_untouched = [](std::byte byte) { return byte == kUntouched; };
  EXPECT_TRUE(std::all_of(memory.begin(), first, is_untouched)) << size << " " << offset;
  EXPECT_TRUE(std::all_of(last, memory.end(), is_untouched)) << size << " " << offset;
}

TEST(CopyPixels, CopiesEveryByteAndNoOther) {
  const std::vector<std::byte> bytes = some_bytes(kCopyPastCachesFrom + 1024);
  for (std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{1000},
                           kCopyPastCachesFrom - 1, kCopyPastCachesFrom, kCopyPastCachesFrom + 77})
    for (std::size_t offset : {0u, 2u, 16u, 63u}) expect_copied(bytes, size, offset);
}

}  // namespace
}  // namespace latticed::test
