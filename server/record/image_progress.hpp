// SPDX-License-Identifier: GPL-3.0-or-later
// How far one has come with a file's images, for those who wait for it.
#pragma once

#include <cstdint>
#include <functional>

namespace latticed::record {

/// Called now and then; false: give up.
using ImageProgress = std::function<bool(std::uint64_t done, std::uint64_t of)>;

/// Of `done`, those at which it is called.
inline constexpr std::uint64_t kProgressEvery = 64;

[[nodiscard]] inline bool may_go_on(const ImageProgress& progress, std::uint64_t done,
                                    std::uint64_t of) {
  return !progress || done % kProgressEvery != 0 || progress(done, of);
}

}  // namespace latticed::record
