// SPDX-License-Identifier: GPL-3.0-or-later
// Pages of a file with what is in them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>

namespace latticed::record {

inline constexpr std::size_t kPageBytes = 4096;
using Page = std::array<std::byte, kPageBytes>;
/// By number: page n begins at byte n * kPageBytes.
using Pages = std::map<std::uint64_t, Page>;

}  // namespace latticed::record
