// SPDX-License-Identifier: GPL-3.0-or-later
#include "drivers/files/raw_frames.hpp"

#include <algorithm>

#include "drivers/files/limits.hpp"

namespace latticed::files {

Result<RawFrames> RawFrames::open(File file, const RawLayout& layout,
                                  std::vector<std::string>& remarks) {
  auto geometry =
      checked_geometry(file.path(), layout.width, layout.height, pixel_type(layout.sample));
  if (!geometry) return geometry.error();
  RawFrames frames(std::move(file), layout, *geometry);
  const std::uint64_t size = frames.file_.size();
  if (layout.offset > size || size - layout.offset < frames.stored_bytes()) {
    return open_error(ErrorCode::data_loss, frames.file_.path(),
                      "the file has " + std::to_string(size) + " bytes, its first frame needs " +
                          std::to_string(frames.stored_bytes()) + " at " +
                          std::to_string(layout.offset));
  }
  frames.count_frames(remarks);
  return frames;
}

void RawFrames::count_frames(std::vector<std::string>& remarks) {
  const std::uint64_t bytes = file_.size() - layout_.offset;
  whole_count_ = bytes / stored_bytes();
  const auto declared =
      static_cast<std::uint64_t>(std::max<std::int64_t>(layout_.declared_count, 0));
  if (layout_.extra_frames == ExtraFrames::ignored) whole_count_ = std::min(whole_count_, declared);
  frame_count_ = whole_count_;
  if (declared == whole_count_) return;
  std::string remark = "'" + file_.path() + "': the header says " +
                       std::to_string(layout_.declared_count) + " frames, the file holds " +
                       std::to_string(whole_count_);
  if (const auto rest = bytes % stored_bytes(); rest != 0) {
    remark += " and " + std::to_string(rest) + " bytes of another";
  }
  if (declared > whole_count_ && declared - whole_count_ <= kMaxMissingFrames) {
    frame_count_ = declared;
    remarks.push_back(remark + "; the missing ones count as lost");
  } else {
    remarks.push_back(remark + "; the file's length is believed");
  }
}

Result<void> RawFrames::read(std::uint64_t index, std::span<std::byte> pixels) {
  if (auto ok = check_read(file_.path(), index, frame_count_, pixels.size(), geometry_); !ok) {
    return ok.error();
  }
  if (index >= whole_count_) {
    return frame_error(ErrorCode::out_of_range, index, file_.path(),
                       "the file ends after " + std::to_string(whole_count_) + " frames");
  }
  std::uint64_t offset = layout_.offset + index * stored_bytes();
  const std::size_t sample_bytes = bytes_per_sample(layout_.sample);
  const auto read_exactly = [&](std::span<std::byte> out) -> Result<void> {
    auto count = file_.read_at(offset, out);
    if (!count) return count.error();
    if (*count == out.size()) return {};
    return frame_error(ErrorCode::out_of_range, index, file_.path(),
                       "the file has become shorter while it was read");
  };
  if (layout_.sample <= SampleType::f32) {
    const auto out = pixels.first(geometry_.bytes());
    auto done = read_exactly(out);
    if (done && layout_.order == ByteOrder::big) swap_bytes(out, sample_bytes);
    return done;
  }
  std::array<std::byte, 65536> block;
  std::size_t converted = 0;
  while (converted < geometry_.pixels()) {
    const std::size_t count = std::min(block.size() / sample_bytes, geometry_.pixels() - converted);
    const auto part = std::span(block).first(count * sample_bytes);
    if (auto done = read_exactly(part); !done) return done;
    convert_to_f32(layout_.sample, layout_.order, part, pixels.data() + converted * sizeof(float));
    converted += count;
    offset += part.size();
  }
  return {};
}

}  // namespace latticed::files
