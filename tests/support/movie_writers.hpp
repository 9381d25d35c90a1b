// SPDX-License-Identifier: GPL-3.0-or-later
// Small movie files for tests, written byte by byte from the formats' descriptions and not by the
// libraries the readers use. Every pixel is test_value(), so a test knows what it must read.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace latticed::test {

using Bytes = std::vector<unsigned char>;

/// 0..99, another one for each neighbour, row, and frame.
[[nodiscard]] inline int test_value(int frame, int y, int x) {
  return (frame * 31 + y * 7 + x) % 100;
}

/// A folder of its own for each test, gone with it.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "latticed-test-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  [[nodiscard]] std::string operator/(const std::string& name) const {
    return (path_ / name).string();
  }

 private:
  std::filesystem::path path_;
};

inline std::string write_bytes(const std::string& path, const Bytes& bytes) {
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
  return path;
}

inline Bytes read_bytes(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return Bytes(std::istreambuf_iterator<char>(in), {});
}

/// The number's bytes at `at`, which the buffer is made long enough for.
template <class T>
void put(Bytes& bytes, std::size_t at, T value, bool is_big_endian = false) {
  if (bytes.size() < at + sizeof(T)) bytes.resize(at + sizeof(T));
  std::memcpy(bytes.data() + at, &value, sizeof(T));
  if (is_big_endian) {
    std::reverse(bytes.begin() + static_cast<std::ptrdiff_t>(at),
                 bytes.begin() + static_cast<std::ptrdiff_t>(at + sizeof(T)));
  }
}

struct SmallMovie {
  int width = 9;
  int height = 6;
  int frames = 4;
  bool is_big_endian = false;
};

template <class T>
void put_frame(Bytes& bytes, std::size_t at, const SmallMovie& movie, int frame) {
  for (int y = 0; y < movie.height; ++y) {
    for (int x = 0; x < movie.width; ++x, at += sizeof(T)) {
      put(bytes, at, static_cast<T>(test_value(frame, y, x)), movie.is_big_endian);
    }
  }
}

/// An MRC2014 file of mode `mode` with pixels of type T and 1 Angstrom a pixel.
template <class T>
Bytes mrc_bytes(const SmallMovie& movie, std::int32_t mode, std::size_t extended_header = 0) {
  Bytes bytes(1024 + extended_header, 0);
  const auto i32 = [&](std::size_t at, std::int32_t value) {
    put(bytes, at, value, movie.is_big_endian);
  };
  const std::int32_t sides[] = {movie.width, movie.height, movie.frames};
  for (std::size_t i = 0; i < 3; ++i) {
    i32(4 * i, sides[i]);
    i32(28 + 4 * i, sides[i]);
    put(bytes, 40 + 4 * i, static_cast<float>(sides[i]), movie.is_big_endian);
  }
  i32(12, mode);
  i32(92, static_cast<std::int32_t>(extended_header));
  std::memcpy(bytes.data() + 208, "MAP ", 4);
  bytes[212] = bytes[213] = movie.is_big_endian ? 0x11 : 0x44;
  for (int frame = 0; frame < movie.frames; ++frame) {
    put_frame<T>(bytes, bytes.size(), movie, frame);
  }
  return bytes;
}

/// A classic uncompressed TIFF, each directory in front of its pixels. `format`: 1 unsigned,
/// 2 signed, 3 float. `description` goes into the first directory.
template <class T>
Bytes tiff_bytes(const SmallMovie& movie, std::uint16_t format,
                 const std::string& description = "") {
  const bool big = movie.is_big_endian;
  Bytes bytes;
  put(bytes, 0, static_cast<std::uint16_t>(big ? 0x4d4d : 0x4949));
  put(bytes, 2, std::uint16_t{42}, big);
  std::size_t link = 4;
  for (int frame = 0; frame < movie.frames; ++frame) {
    const bool is_described = frame == 0 && !description.empty();
    const std::size_t text_at = bytes.size() + 4;
    std::size_t directory = text_at;
    if (is_described) {
      bytes.resize(text_at + description.size() + 1);
      std::memcpy(bytes.data() + text_at, description.c_str(), description.size() + 1);
      directory = bytes.size() + bytes.size() % 2;
    }
    put(bytes, link, static_cast<std::uint32_t>(directory), big);
    const std::uint16_t entries = is_described ? 10 : 9;
    const std::size_t pixels = directory + 2 + entries * 12u + 4;
    put(bytes, directory, entries, big);
    std::size_t at = directory + 2;
    const auto entry = [&](std::uint16_t tag, std::uint16_t type, std::uint32_t count,
                           std::uint32_t value) {
      put(bytes, at, tag, big);
      put(bytes, at + 2, type, big);
      put(bytes, at + 4, count, big);
      put(bytes, at + 8, std::uint32_t{0});
      if (type == 3) put(bytes, at + 8, static_cast<std::uint16_t>(value), big);
      if (type != 3) put(bytes, at + 8, value, big);
      at += 12;
    };
    const auto height = static_cast<std::uint32_t>(movie.height);
    const auto width = static_cast<std::uint32_t>(movie.width);
    entry(256, 3, 1, width);
    entry(257, 3, 1, height);
    entry(258, 3, 1, 8 * sizeof(T));
    entry(259, 3, 1, 1);
    entry(262, 3, 1, 1);
    if (is_described) {
      entry(270, 2, static_cast<std::uint32_t>(description.size() + 1),
            static_cast<std::uint32_t>(text_at));
    }
    entry(273, 4, 1, static_cast<std::uint32_t>(pixels));
    entry(278, 3, 1, height);
    entry(279, 4, 1, static_cast<std::uint32_t>(width * height * sizeof(T)));
    entry(339, 3, 1, format);
    link = at;
    put(bytes, link, std::uint32_t{0});
    put_frame<T>(bytes, pixels, movie, frame);
  }
  return bytes;
}

}  // namespace latticed::test
