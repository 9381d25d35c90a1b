// SPDX-License-Identifier: GPL-3.0-or-later
// Whether a recording is whole: every image the bytes that were recorded, every frame of the run
// either in it or listed as lost, every count what is there.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "drivers/kit/result.hpp"
#include "server/record/image_progress.hpp"

namespace latticed::record {

struct Verification {
  bool is_complete = false;  // its writer, or recover(), came to the end
  bool is_recovered = false;
  std::uint64_t images = 0, lost = 0;
  std::uint64_t bytes = 0;  // of images, as they are stored
  std::uint64_t damaged = 0;
  std::vector<std::uint64_t> damaged_frames;  // numbers of the first kMostNamed
  std::vector<std::string> problems;          // in words; empty: none

  static constexpr std::size_t kMostNamed = 20;
  [[nodiscard]] bool is_whole() const noexcept { return is_complete && problems.empty(); }
};

/// Reads all of it and changes nothing; also a .part, while it is written (it is then not
/// complete). `progress` may be none. Errors: data_loss: it does not open, or is no recording of
/// ours; unavailable: no such file; cancelled by `progress`.
Result<Verification> verify(const std::string& path, const ImageProgress& progress = {});

}  // namespace latticed::record
