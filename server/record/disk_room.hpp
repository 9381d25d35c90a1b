// SPDX-License-Identifier: GPL-3.0-or-later
// How long the disk will do. Before the first frame from what the detector is expected to bring,
// then from what has come.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "drivers/kit/result.hpp"

namespace latticed::record {

/// What a directory has free for us.
using FreeBytes = std::function<Result<std::uint64_t>(const std::string& directory)>;
[[nodiscard]] Result<std::uint64_t> ask_system_for_free_bytes(const std::string& directory);

/// One thread.
class DiskRoom {
 public:
  /// `expected_bytes_per_s` 0: not known.
  DiskRoom(FreeBytes free_bytes, std::uint64_t least_free_bytes, double expected_bytes_per_s);

  /// Whether a recording may begin in `directory`: it is there, may be written, and has room.
  Result<void> check(const std::string& directory);
  /// Now and then: `written` bytes in all since the file was made. resource_exhausted: less than
  /// least_free_bytes is left.
  Result<void> look(const std::string& directory, std::uint64_t written,
                    std::chrono::nanoseconds now);
  /// A new file, from `now` on.
  void begin(std::chrono::nanoseconds now) noexcept;

  [[nodiscard]] double bytes_per_s() const noexcept { return bytes_per_s_; }
  /// Until least_free_bytes; nothing where no rate is known.
  [[nodiscard]] std::optional<double> minutes_left() const noexcept;

 private:
  FreeBytes free_bytes_;
  std::uint64_t least_free_bytes_;
  double expected_bytes_per_s_, bytes_per_s_ = 0.0;
  std::uint64_t free_ = 0, looked_bytes_ = 0;
  std::chrono::nanoseconds looked_at_{0};
};

}  // namespace latticed::record
