// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/record/crc32c.hpp"

#include <gtest/gtest.h>

#include <random>
#include <string_view>
#include <vector>

namespace latticed::record {
namespace {

std::uint32_t of(std::string_view text) { return crc32c(std::as_bytes(std::span(text))); }

TEST(Crc32c, HasTheValuesOfRfc3720) {
  EXPECT_EQ(of("123456789"), 0xe3069283u);
  EXPECT_EQ(of(""), 0u);
  EXPECT_EQ(crc32c(std::vector<std::byte>(32, std::byte{0})), 0x8a9136aau);
  EXPECT_EQ(crc32c(std::vector<std::byte>(32, std::byte{0xff})), 0x62a8ab43u);
}

TEST(Crc32c, InstructionAndTableAgreeAtEveryLengthThatTakesAnotherPath) {
  std::mt19937_64 random(3);
  std::vector<std::byte> bytes(5 * 12288 + 128);
  for (std::byte& b : bytes) b = static_cast<std::byte>(random());
  const std::span<const std::byte> all(bytes);
  for (const std::size_t length : {1u, 7u, 8u, 9u, 63u, 4096u, 12287u, 12288u, 12289u, 12295u,
                                   24576u, 24577u, 36863u, 61440u, 61503u})
    for (const std::size_t offset : {0u, 1u, 3u})
      EXPECT_EQ(crc32c(all.subspan(offset, length)), crc32c_by_table(all.subspan(offset, length)))
          << length << " from " << offset;
}

TEST(Crc32c, EveryBitOfAFrameCounts) {
  std::vector<std::byte> bytes(3 * 4096, std::byte{0x5a});
  const auto before = crc32c(bytes);
  for (const std::size_t at : {0u, 4095u, 4096u, 8191u, 8192u, 12287u})
    for (int bit = 0; bit < 8; ++bit) {
      bytes[at] ^= static_cast<std::byte>(1 << bit);
      EXPECT_NE(crc32c(bytes), before) << at << "." << bit;
      bytes[at] ^= static_cast<std::byte>(1 << bit);
    }
}

}  // namespace
}  // namespace latticed::record
