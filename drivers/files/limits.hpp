// SPDX-License-Identifier: GPL-3.0-or-later
// What a header may ask for. Every reader bounds by these, and by the length of the file, before
// anything is allocated.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "drivers/kit/frame_header.hpp"
#include "drivers/kit/result.hpp"

namespace latticed::files {

inline constexpr std::int64_t kMaxSide = 65536;
inline constexpr std::uint64_t kMaxFrameBytes = std::uint64_t{1} << 30;
/// A header that promises more frames than this beyond the end of its file is not believed.
inline constexpr std::uint64_t kMaxMissingFrames = 1'000'000;
/// No compression of pixels in use does better; a file that claims more lies about its size.
inline constexpr std::uint64_t kMaxCompression = 4096;

/// "open 'x.mrc': " and the rest.
inline Error open_error(ErrorCode code, const std::string& path, const std::string& what) {
  return {code, "open '" + path + "': " + what};
}

/// "read frame 3 of 'x.mrc': " and the rest.
inline Error frame_error(ErrorCode code, std::uint64_t index, const std::string& path,
                         const std::string& what) {
  return {code, "read frame " + std::to_string(index) + " of '" + path + "': " + what};
}

/// The geometry if it is one that can be.
Result<FrameGeometry> checked_geometry(const std::string& path, std::int64_t width,
                                       std::int64_t height, PixelType type);

/// Whether a read of `index` into `buffer_bytes` makes sense at all.
Result<void> check_read(const std::string& path, std::uint64_t index, std::uint64_t frame_count,
                        std::size_t buffer_bytes, const FrameGeometry& geometry);

}  // namespace latticed::files
