// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/record/disk_room.hpp"

#include <fmt/format.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace latticed::record {
namespace {

std::string megabytes(std::uint64_t bytes) {
  return fmt::format("{:.1f} MB", 1e-6 * static_cast<double>(bytes));
}

}  // namespace

Result<std::uint64_t> ask_system_for_free_bytes(const std::string& directory) {
  struct statvfs status {};
  if (::statvfs(directory.c_str(), &status) != 0)
    return Error{ErrorCode::unavailable,
                 fmt::format("recording into {}: {}", directory, std::strerror(errno))};
  return static_cast<std::uint64_t>(status.f_bavail) * status.f_frsize;
}

DiskRoom::DiskRoom(FreeBytes free_bytes, std::uint64_t least_free_bytes,
                   double expected_bytes_per_s)
    : free_bytes_(free_bytes ? std::move(free_bytes) : ask_system_for_free_bytes),
      least_free_bytes_(least_free_bytes),
      expected_bytes_per_s_(expected_bytes_per_s) {}

Result<void> DiskRoom::check(const std::string& directory) {
  const Result<std::uint64_t> free = free_bytes_(directory);
  if (!free) return free.error();
  free_ = *free;
  if (::access(directory.c_str(), W_OK | X_OK) != 0)
    return Error{ErrorCode::unavailable,
                 fmt::format("recording into {}: {}", directory, std::strerror(errno))};
  if (*free < least_free_bytes_)
    return Error{ErrorCode::resource_exhausted,
                 fmt::format("recording into {}: {} free, at least {} are wanted", directory,
                             megabytes(*free), megabytes(least_free_bytes_))};
  return {};
}

void DiskRoom::begin(std::chrono::nanoseconds now) noexcept {
  looked_at_ = now;
  looked_bytes_ = 0;
}

Result<void> DiskRoom::look(const std::string& directory, std::uint64_t written,
                            std::chrono::nanoseconds now) {
  const Result<std::uint64_t> free = free_bytes_(directory);
  if (!free) return free.error();
  free_ = *free;
  const double seconds = std::chrono::duration<double>(now - looked_at_).count();
  const double rate =
      seconds > 0.0 ? static_cast<double>(written - looked_bytes_) / seconds : bytes_per_s_;
  bytes_per_s_ = bytes_per_s_ > 0.0 ? 0.5 * (bytes_per_s_ + rate) : rate;
  looked_at_ = now;
  looked_bytes_ = written;
  if (free_ < least_free_bytes_)
    return Error{ErrorCode::resource_exhausted,
                 fmt::format("recording into {}: {} free, less than the {} that are to stay free",
                             directory, megabytes(free_), megabytes(least_free_bytes_))};
  return {};
}

std::optional<double> DiskRoom::minutes_left() const noexcept {
  const double rate = bytes_per_s_ > 0.0 ? bytes_per_s_ : expected_bytes_per_s_;
  if (!(rate > 0.0)) return std::nullopt;
  const std::uint64_t room = free_ > least_free_bytes_ ? free_ - least_free_bytes_ : 0;
  return static_cast<double>(room) / rate / 60.0;
}

}  // namespace latticed::record
