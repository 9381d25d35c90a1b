// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/record/crc32c.hpp"

#include <array>
#include <cstring>

namespace latticed::record {
namespace {

constexpr std::uint32_t kPolynomial = 0x82f63b78;  // bit-reversed 0x1edc6f41

using Table = std::array<std::uint32_t, 256>;

constexpr std::array<Table, 8> make_tables() {
  std::array<Table, 8> tables{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) ? kPolynomial : 0);
    tables[0][i] = crc;
  }
  for (std::size_t t = 1; t < 8; ++t)
    for (std::size_t i = 0; i < 256; ++i)
      tables[t][i] = (tables[t - 1][i] >> 8) ^ tables[0][tables[t - 1][i] & 0xff];
  return tables;
}
constexpr std::array<Table, 8> kTables = make_tables();

std::uint64_t load(const std::byte* at) noexcept {
  std::uint64_t word = 0;
  std::memcpy(&word, at, sizeof word);
  return word;
}

// The inner state after `bytes`, from `crc`; no inversion.
std::uint32_t by_table(std::uint32_t crc, std::span<const std::byte> bytes) noexcept {
  std::size_t i = 0;
  for (; i + 8 <= bytes.size(); i += 8) {
    const std::uint64_t word = load(bytes.data() + i) ^ crc;
    crc = 0;
    for (std::size_t k = 0; k < 8; ++k) crc ^= kTables[7 - k][(word >> (8 * k)) & 0xff];
  }
  for (; i < bytes.size(); ++i)
    crc = (crc >> 8) ^ kTables[0][(crc ^ static_cast<std::uint32_t>(bytes[i])) & 0xff];
  return crc;
}

#if defined(__x86_64__) && defined(__GNUC__)

// The instruction takes three cycles but one can begin each cycle, so three stretches run side by
// side and are joined by what `kStretch` zero bytes do to a state.
constexpr std::size_t kStretch = 4096;

// What kStretch zero bytes do is linear: by byte of the state.
struct Skip {
  std::array<Table, 4> by_byte{};
  Skip() {
    const std::array<std::byte, kStretch> zeros{};
    for (std::size_t b = 0; b < 4; ++b)
      for (std::uint32_t i = 0; i < 256; ++i) by_byte[b][i] = by_table(i << (8 * b), zeros);
  }
  std::uint32_t operator()(std::uint32_t crc) const noexcept {
    return by_byte[0][crc & 0xff] ^ by_byte[1][(crc >> 8) & 0xff] ^ by_byte[2][(crc >> 16) & 0xff] ^
           by_byte[3][crc >> 24];
  }
};

__attribute__((target("sse4.2"))) std::uint32_t by_instruction(
    std::uint32_t start, std::span<const std::byte> bytes) noexcept {
  static const Skip skip;
  std::uint64_t crc = start;
  const std::byte* at = bytes.data();
  std::size_t left = bytes.size();
  for (; left >= 3 * kStretch; at += 3 * kStretch, left -= 3 * kStretch) {
    std::uint64_t second = 0, third = 0;
    for (std::size_t i = 0; i < kStretch; i += 8) {
      crc = __builtin_ia32_crc32di(crc, load(at + i));
      second = __builtin_ia32_crc32di(second, load(at + kStretch + i));
      third = __builtin_ia32_crc32di(third, load(at + 2 * kStretch + i));
    }
    crc = skip(static_cast<std::uint32_t>(crc)) ^ second;
    crc = skip(static_cast<std::uint32_t>(crc)) ^ third;
  }
  for (; left >= 8; at += 8, left -= 8) crc = __builtin_ia32_crc32di(crc, load(at));
  auto last = static_cast<std::uint32_t>(crc);
  for (; left > 0; ++at, --left)
    last = __builtin_ia32_crc32qi(last, static_cast<unsigned char>(*at));
  return last;
}

#endif

}  // namespace

std::uint32_t crc32c_by_table(std::span<const std::byte> bytes) noexcept {
  return ~by_table(~0u, bytes);
}

std::uint32_t crc32c(std::span<const std::byte> bytes) noexcept {
#if defined(__x86_64__) && defined(__GNUC__)
  if (__builtin_cpu_supports("sse4.2")) return ~by_instruction(~0u, bytes);
#endif
  return crc32c_by_table(bytes);
}

}  // namespace latticed::record
