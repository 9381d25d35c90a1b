// SPDX-License-Identifier: GPL-3.0-or-later
// A regular file open for reading at any offset. Opening never waits (a pipe or a device is
// refused).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "drivers/kit/result.hpp"

namespace latticed::files {

class File {
 public:
  static Result<File> open(const std::string& path);
  File(File&& other) noexcept;
  File& operator=(File&& other) noexcept;
  ~File();

  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  [[nodiscard]] std::uint64_t size() const noexcept { return size_; }  // at open()

  /// How many bytes of `out` the file could fill from `offset` on: fewer only at its end.
  /// Error unavailable: the system could not read.
  Result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> out) const;

 private:
  File(std::string path, int descriptor, std::uint64_t size)
      : path_(std::move(path)), descriptor_(descriptor), size_(size) {}

  std::string path_;
  int descriptor_ = -1;
  std::uint64_t size_ = 0;
};

}  // namespace latticed::files
