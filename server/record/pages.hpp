// SPDX-License-Identifier: GPL-3.0-or-later
// Pages of a file with what is in them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>

namespace latticed::record {

inline constexpr std::size_t kPageBytes = 4096;
/// What is as large begins at a page of the file, and goes to the disk past the page cache where it
/// is whole pages.
inline constexpr std::size_t kLeastPaged = 65536;
using Page = std::array<std::byte, kPageBytes>;
/// By number: page n begins at byte n * kPageBytes.
using Pages = std::map<std::uint64_t, Page>;

}  // namespace latticed::record
