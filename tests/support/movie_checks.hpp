// SPDX-License-Identifier: GPL-3.0-or-later
// Reads movies through the public interface and compares them with test_value().
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "drivers/files/movie_reader.hpp"
#include "tests/support/movie_writers.hpp"

namespace latticed::test {

inline std::unique_ptr<MovieReader> opened(const std::string& path) {
  auto movie = open_movie(path);
  if (movie) return std::move(*movie);
  ADD_FAILURE() << movie.error().message;
  return nullptr;
}

inline double pixel_at(const std::vector<std::byte>& pixels, PixelType type, std::size_t index) {
  const auto as = [&]<class T>(T value) {
    std::memcpy(&value, pixels.data() + index * sizeof(T), sizeof(T));
    return static_cast<double>(value);
  };
  switch (type) {
    case PixelType::u8:
      return as(std::uint8_t{});
    case PixelType::i8:
      return as(std::int8_t{});
    case PixelType::u16:
      return as(std::uint16_t{});
    case PixelType::i16:
      return as(std::int16_t{});
    case PixelType::u32:
      return as(std::uint32_t{});
    case PixelType::i32:
      return as(std::int32_t{});
    case PixelType::f32:
      return as(float{});
  }
  return 0.0;
}

/// Frame `index` reads and is frame `frame` of the writers'.
inline void expect_frame(MovieReader& movie, std::uint64_t index, int frame) {
  const FrameGeometry& geometry = movie.info().geometry;
  std::vector<std::byte> pixels(geometry.bytes());
  const auto read = movie.read(index, pixels);
  ASSERT_TRUE(read) << read.error().message;
  for (int y = 0; y < geometry.height; ++y) {
    for (int x = 0; x < geometry.width; ++x) {
      const auto at = static_cast<std::size_t>(y * geometry.width + x);
      ASSERT_EQ(pixel_at(pixels, geometry.type, at), test_value(frame, y, x))
          << "frame " << index << ", row " << y << ", column " << x;
    }
  }
}

/// Frame `index` does not read, for this reason, and says so in words that name the file.
inline void expect_lost(MovieReader& movie, std::uint64_t index, LossReason reason) {
  std::vector<std::byte> pixels(movie.info().geometry.bytes());
  const auto read = movie.read(index, pixels);
  ASSERT_FALSE(read) << "frame " << index;
  EXPECT_EQ(loss_reason(read.error().code), reason) << read.error().message;
  EXPECT_NE(read.error().message.find("read frame "), std::string::npos) << read.error().message;
}

/// The file does not open; the error names it and contains `words`.
inline void expect_refused(const std::string& path, ErrorCode code, const std::string& words) {
  const auto movie = open_movie(path);
  ASSERT_FALSE(movie) << path;
  EXPECT_EQ(movie.error().code, code) << movie.error().message;
  EXPECT_NE(movie.error().message.find(path), std::string::npos) << movie.error().message;
  EXPECT_NE(movie.error().message.find(words), std::string::npos) << movie.error().message;
}

/// Opens and reads whatever can be read; for files that may be anything. Returns frames that read.
inline std::uint64_t read_all(const std::string& path, std::uint64_t at_most = 50) {
  auto movie = open_movie(path);
  if (!movie) {
    EXPECT_FALSE(movie.error().message.empty());
    return 0;
  }
  const MovieInfo& info = (*movie)->info();
  std::vector<std::byte> pixels(info.geometry.bytes());
  std::uint64_t good = 0;
  for (std::uint64_t i = 0; i < std::min(info.frame_count, at_most); ++i) {
    if ((*movie)->read(i, pixels)) ++good;
  }
  return good;
}

}  // namespace latticed::test
