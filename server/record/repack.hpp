// SPDX-License-Identifier: GPL-3.0-or-later
// A complete recording again with its images stored in another way, everything else as it is:
// groups, attributes, tables, links. The original stays.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "drivers/kit/result.hpp"
#include "server/record/image_progress.hpp"

namespace latticed::record {

enum class Storage : std::uint8_t {
  portable,  // as they are
  compact,   // Blosc with bitshuffle and LZ4, as a recorder packs them
  archive,   // shuffle and gzip: smaller still, opened without a plug-in by everything, slow
};
[[nodiscard]] constexpr std::string_view to_string(Storage storage) noexcept {
  constexpr std::string_view kNames[] = {"portable", "compact", "archive"};
  return kNames[static_cast<std::size_t>(storage)];
}

struct Repacked {
  std::uint64_t images = 0;
  std::uint64_t bytes_before = 0, bytes_after = 0;  // of the files
};

/// Writes `to`.part, verifies it against the checksums of the original, and renames it; `to` must
/// be free. Errors: failed_precondition: `from` is not complete, or `to` is taken; data_loss: an
/// image is not what was recorded, or cannot be read; resource_exhausted: no room; cancelled by
/// `progress`. After an error there is no `to`, nor a part of it.
Result<Repacked> repack(const std::string& from, const std::string& to, Storage storage,
                        const ImageProgress& progress = {});

}  // namespace latticed::record
