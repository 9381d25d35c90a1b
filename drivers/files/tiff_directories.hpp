// SPDX-License-Identifier: GPL-3.0-or-later
// Where the images of a TIFF or BigTIFF file are: the chain of directories, followed without
// decoding any of them, so that stacks of many thousands open at once and a chain that breaks off
// or turns back on itself ends where it does.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "drivers/files/file.hpp"
#include "drivers/files/samples.hpp"

namespace latticed::files {

struct TiffDirectories {
  ByteOrder order = ByteOrder::little;
  std::vector<std::uint64_t> offsets;  // full images only, thumbnails and pyramids left out
  std::uint64_t broken_at = 0;         // the directory that could not be read
  std::string damage;                  // why the chain ended before its end; empty = it did not
};

/// Whether a file begins as a TIFF or BigTIFF.
[[nodiscard]] bool has_tiff_mark(std::span<const std::byte> head) noexcept;

Result<TiffDirectories> find_directories(const File& file);

}  // namespace latticed::files
