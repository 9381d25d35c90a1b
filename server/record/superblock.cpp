// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/record/superblock.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <span>

namespace latticed::record {
namespace {

// HDF5 File Format Specification, superblock version 3: signature, version, sizes of offsets and
// lengths, flags, then four addresses (base, extension, end of file, root) and the checksum.
constexpr std::size_t kFlagsAt = 11, kEndAt = 28, kChecksumAt = 44, kBytes = 48;
constexpr std::array<unsigned char, 11> kBegin{0x89, 'H',  'D',  'F', '\r', '\n',
                                               0x1a, '\n', 0x03, 8,   8};
using Superblock = std::array<unsigned char, kBytes>;

// Bob Jenkins' lookup3, which the format prescribes.
struct Lookup3 {
  std::uint32_t a, b, c;
  void mix() noexcept {
    a = (a - c) ^ std::rotl(c, 4), c += b;
    b = (b - a) ^ std::rotl(a, 6), a += c;
    c = (c - b) ^ std::rotl(b, 8), b += a;
    a = (a - c) ^ std::rotl(c, 16), c += b;
    b = (b - a) ^ std::rotl(a, 19), a += c;
    c = (c - b) ^ std::rotl(b, 4), b += a;
  }
  void finish() noexcept {
    c = (c ^ b) - std::rotl(b, 14);
    a = (a ^ c) - std::rotl(c, 11);
    b = (b ^ a) - std::rotl(a, 25);
    c = (c ^ b) - std::rotl(b, 16);
    a = (a ^ c) - std::rotl(c, 4);
    b = (b ^ a) - std::rotl(a, 14);
    c = (c ^ b) - std::rotl(b, 24);
  }
};

std::uint32_t lookup3(std::span<const unsigned char> bytes) noexcept {
  const std::uint32_t start = 0xdeadbeef + static_cast<std::uint32_t>(bytes.size());
  Lookup3 state{start, start, start};
  while (true) {
    std::uint32_t words[3] = {};
    const std::size_t count = std::min<std::size_t>(bytes.size(), 12);
    for (std::size_t i = 0; i < count; ++i)
      words[i / 4] |= static_cast<std::uint32_t>(bytes[i]) << (8 * (i % 4));
    state.a += words[0];
    state.b += words[1];
    state.c += words[2];
    if (bytes.size() <= 12) break;
    state.mix();
    bytes = bytes.subspan(12);
  }
  state.finish();
  return state.c;
}

std::uint64_t load(const unsigned char* at, std::size_t bytes) noexcept {
  std::uint64_t value = 0;
  for (std::size_t i = bytes; i-- > 0;) value = value << 8 | at[i];
  return value;
}

void store(std::uint64_t value, unsigned char* at, std::size_t bytes) noexcept {
  for (std::size_t i = 0; i < bytes; ++i) at[i] = static_cast<unsigned char>(value >> (8 * i));
}

std::uint32_t checksum(const Superblock& block) noexcept {
  return lookup3(std::span(block).first(kChecksumAt));
}

Result<void> mend(int file, const std::string& path) {
  const auto failed = [&](const char* what) {
    return Error{ErrorCode::unavailable,
                 fmt::format("{} {}: {}", what, path, std::strerror(errno))};
  };
  struct stat status {};
  if (::fstat(file, &status) != 0) return failed("looking at");
  Superblock block{};
  const ssize_t got = ::pread(file, block.data(), block.size(), 0);
  if (got < 0) return failed("reading");
  if (got != static_cast<ssize_t>(block.size()) ||
      !std::equal(kBegin.begin(), kBegin.end(), block.begin()))
    return Error{ErrorCode::data_loss, path + ": no HDF5 file with SWMR"};
  if (load(&block[kChecksumAt], 4) != checksum(block))
    return Error{ErrorCode::data_loss, path + ": the first bytes are damaged"};
  const auto size = static_cast<std::uint64_t>(status.st_size);
  block[kFlagsAt] = 0;
  store(std::min(load(&block[kEndAt], 8), size), &block[kEndAt], 8);
  store(checksum(block), &block[kChecksumAt], 4);
  if (::pwrite(file, block.data(), block.size(), 0) != static_cast<ssize_t>(block.size()))
    return failed("writing");
  return {};
}

}  // namespace

Result<void> mend_superblock(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (file < 0)
    return Error{ErrorCode::unavailable, fmt::format("opening {}: {}", path, std::strerror(errno))};
  Result<void> ok = mend(file, path);
  ::close(file);
  return ok;
}

}  // namespace latticed::record
