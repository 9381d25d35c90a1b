// SPDX-License-Identifier: GPL-3.0-or-later
#include "drivers/files/mrc_reader.hpp"

#include <array>
#include <cmath>
#include <cstring>
#include <utility>

#include "drivers/files/limits.hpp"
#include "drivers/files/raw_frames.hpp"

namespace latticed::files {
namespace {

constexpr std::size_t kHeaderBytes = 1024;
constexpr std::int32_t kImodStamp = 1146047817;  // IMOD writes it at 152, its flags at 156

struct Header {
  std::array<std::byte, kHeaderBytes> bytes;
  ByteOrder order = ByteOrder::little;

  [[nodiscard]] std::int32_t i32(std::size_t at) const {
    return load<std::int32_t>(bytes.data() + at, order);
  }
  [[nodiscard]] float f32(std::size_t at) const { return load<float>(bytes.data() + at, order); }
};

/// The machine stamp says it; old files have none, there a mode above 2^16 is one read backwards.
ByteOrder byte_order(const Header& header) {
  const auto stamp = std::to_integer<int>(header.bytes[212]);
  if (stamp == 0x44) return ByteOrder::little;
  if (stamp == 0x11) return ByteOrder::big;
  const auto mode = load<std::uint32_t>(header.bytes.data() + 12, ByteOrder::little);
  return mode < (1u << 16) ? ByteOrder::little : ByteOrder::big;
}

/// Mode 0 is signed by MRC2014. IMOD's flag overrules that, and so do statistics no i8 can have.
SampleType byte_type(const Header& header) {
  if (header.i32(152) == kImodStamp) {
    return (header.i32(156) & 1) != 0 ? SampleType::i8 : SampleType::u8;
  }
  const float minimum = header.f32(76);
  const float maximum = header.f32(80);
  return minimum >= 0.0f && maximum > 127.0f && maximum <= 255.0f ? SampleType::u8 : SampleType::i8;
}

Result<SampleType> sample_type(const Header& header, const std::string& path) {
  switch (const auto mode = header.i32(12)) {
    case 0:
      return byte_type(header);
    case 1:
      return SampleType::i16;
    case 2:
      return SampleType::f32;
    case 6:
      return SampleType::u16;
    case 12:
      return SampleType::f16;
    default:
      return open_error(ErrorCode::invalid_argument, path,
                        "mrc mode " + std::to_string(mode) + ", expected 0, 1, 2, 6 or 12");
  }
}

/// The cell is in Angstrom over m samples. 0 where it says nothing of use, or x and y differ.
double pixel_size_nm(const Header& header) {
  const double x = static_cast<double>(header.f32(40)) / header.i32(28) / 10.0;
  const double y = static_cast<double>(header.f32(44)) / header.i32(32) / 10.0;
  const bool is_length = std::isfinite(x) && std::isfinite(y) && x > 1e-5 && x < 1e5;
  return is_length && std::abs(x - y) <= 0.01 * x ? x : 0.0;
}

class MrcReader final : public MovieReader {
 public:
  MrcReader(RawFrames frames, MovieInfo info)
      : frames_(std::move(frames)), info_(std::move(info)) {}
  const MovieInfo& info() const noexcept override { return info_; }
  Result<void> read(std::uint64_t index, std::span<std::byte> pixels) override {
    return frames_.read(index, pixels);
  }

 private:
  RawFrames frames_;
  MovieInfo info_;
};

}  // namespace

bool has_mrc_mark(std::span<const std::byte> head) noexcept {
  return head.size() >= 212 && std::memcmp(head.data() + 208, "MAP", 3) == 0;
}

Result<std::unique_ptr<MovieReader>> open_mrc(File file) {
  const std::string path = file.path();
  Header header;
  auto count = file.read_at(0, header.bytes);
  if (!count) return count.error();
  if (*count < kHeaderBytes) {
    return open_error(ErrorCode::data_loss, path,
                      "the file has " + std::to_string(*count) + " bytes, an mrc header has 1024");
  }
  header.order = byte_order(header);
  auto sample = sample_type(header, path);
  if (!sample) return sample.error();
  const std::int32_t extended_bytes = header.i32(92);
  if (extended_bytes < 0) {
    return open_error(ErrorCode::invalid_argument, path,
                      "extended mrc header of " + std::to_string(extended_bytes) + " bytes");
  }
  RawLayout layout;
  layout.offset = kHeaderBytes + static_cast<std::uint64_t>(extended_bytes);
  layout.width = header.i32(0);
  layout.height = header.i32(4);
  layout.declared_count = header.i32(8);
  layout.sample = *sample;
  layout.order = header.order;
  MovieInfo info;
  auto frames = RawFrames::open(std::move(file), layout, info.remarks);
  if (!frames) return frames.error();
  info.format = "mrc";
  info.geometry = frames->geometry();
  info.frame_count = frames->frame_count();
  info.pixel_size_nm = pixel_size_nm(header);
  return std::unique_ptr<MovieReader>(
      std::make_unique<MrcReader>(std::move(*frames), std::move(info)));
}

}  // namespace latticed::files
