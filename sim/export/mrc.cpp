// SPDX-License-Identifier: GPL-3.0-or-later
#include "sim/export/mrc.hpp"

#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace latticed::sim {

Result<MrcWriter> MrcWriter::create(const std::string& path, int width, int height, MrcMode mode,
                                    double pixel_size_nm) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  if (!out) {
    return Error{ErrorCode::not_found, fmt::format("write {}: {}", path, std::strerror(errno))};
  }
  MrcWriter writer(std::move(out), path, width, height, mode, pixel_size_nm);
  writer.write_header();
  return writer;
}

MrcWriter::MrcWriter(std::ofstream out, std::string path, int width, int height, MrcMode mode,
                     double px)
    : out_(std::move(out)),
      path_(std::move(path)),
      width_(width),
      height_(height),
      mode_(mode),
      pixel_size_nm_(px) {}

void MrcWriter::write_header() {
  std::array<std::int32_t, 256> words{};
  const auto put_float = [&](std::size_t word, double value) {
    const auto narrow = static_cast<float>(value);
    std::memcpy(&words[word], &narrow, sizeof narrow);
  };
  words[0] = width_;
  words[1] = height_;
  words[2] = sections_;
  words[3] = static_cast<std::int32_t>(mode_);
  words[7] = width_;  // sampling along x, y, z
  words[8] = height_;
  words[9] = sections_;
  put_float(10, 10.0 * pixel_size_nm_ * width_);  // cell in Angstrom
  put_float(11, 10.0 * pixel_size_nm_ * height_);
  put_float(12, 10.0 * pixel_size_nm_ * sections_);
  for (std::size_t angle = 13; angle < 16; ++angle) put_float(angle, 90.0);
  words[16] = 1;  // axes in the order x, y, z
  words[17] = 2;
  words[18] = 3;
  put_float(19, 0.0);  // minimum above maximum, mean below both, rms below 0: not determined
  put_float(20, -1.0);
  put_float(21, -2.0);
  words[27] = 20140;
  put_float(54, -1.0);
  std::memcpy(&words[52], "MAP ", 4);
  words[53] = 0x00004444;  // little endian
  out_.write(reinterpret_cast<const char*>(words.data()), sizeof words);
}

void MrcWriter::add(std::span<const std::byte> section) {
  out_.write(reinterpret_cast<const char*>(section.data()),
             static_cast<std::streamsize>(section.size()));
  ++sections_;
}

Result<void> MrcWriter::close() {
  out_.seekp(0);
  write_header();
  out_.close();
  if (out_) return {};
  return Error{ErrorCode::resource_exhausted,
               fmt::format("write {}: {}", path_, std::strerror(errno))};
}

}  // namespace latticed::sim
