// SPDX-License-Identifier: GPL-3.0-or-later
// Frames that lie uncompressed one behind the other in a file: MRC, and ImageJ's large stacks.
// Reading one is a single read into the caller's memory and allocates nothing.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "drivers/files/file.hpp"
#include "drivers/files/samples.hpp"
#include "drivers/kit/frame_header.hpp"

namespace latticed::files {

/// What to make of more frames than the header says: MRC counts can be out of date.
enum class ExtraFrames : std::uint8_t { counted, ignored };

struct RawLayout {
  std::uint64_t offset = 0;  // of frame 0
  std::int64_t width = 0;
  std::int64_t height = 0;
  SampleType sample = SampleType::u16;
  ByteOrder order = ByteOrder::little;
  std::int64_t declared_count = 0;  // what the header says; 0 or less = nothing
  ExtraFrames extra_frames = ExtraFrames::counted;
};

class RawFrames {
 public:
  /// Error if not one whole frame lies in the file. What was odd goes into `remarks`.
  static Result<RawFrames> open(File file, const RawLayout& layout,
                                std::vector<std::string>& remarks);

  [[nodiscard]] const FrameGeometry& geometry() const noexcept { return geometry_; }
  [[nodiscard]] std::uint64_t frame_count() const noexcept { return frame_count_; }
  Result<void> read(std::uint64_t index, std::span<std::byte> pixels);

 private:
  RawFrames(File file, const RawLayout& layout, const FrameGeometry& geometry)
      : file_(std::move(file)), layout_(layout), geometry_(geometry) {}
  void count_frames(std::vector<std::string>& remarks);
  [[nodiscard]] std::uint64_t stored_bytes() const noexcept {
    return geometry_.pixels() * bytes_per_sample(layout_.sample);
  }

  File file_;
  RawLayout layout_;
  FrameGeometry geometry_;
  std::uint64_t whole_count_ = 0;  // wholly inside the file
  std::uint64_t frame_count_ = 0;
};

}  // namespace latticed::files
