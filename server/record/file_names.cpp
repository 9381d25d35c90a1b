// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/record/file_names.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

namespace latticed::record {
namespace {

// False when `to` exists. A file system that cannot refuse gets a look first.
Result<bool> rename_to_free_name(const std::string& from, const std::string& to) {
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return true;
  if (errno == EEXIST) return false;
  if (errno == EINVAL || errno == ENOSYS) {
    if (is_taken(to)) return false;
    if (::rename(from.c_str(), to.c_str()) == 0) return true;
  }
  return Error{ErrorCode::unavailable,
               fmt::format("renaming {} to {}: {}", from, to, std::strerror(errno))};
}

}  // namespace

std::string numbered(const std::string& stem, int number) {
  return number == 1 ? stem : fmt::format("{}-{}", stem, number);
}

bool is_taken(const std::string& path) {
  struct stat status {};
  return ::lstat(path.c_str(), &status) == 0;
}

Result<void> sync_path(const std::string& path, int flags) {
  const int descriptor = ::open(path.c_str(), flags | O_CLOEXEC);
  const bool is_synced = descriptor >= 0 && ::fsync(descriptor) == 0;
  const int why = errno;
  if (descriptor >= 0) ::close(descriptor);
  if (!is_synced)
    return Error{ErrorCode::data_loss, fmt::format("syncing {}: {}", path, std::strerror(why))};
  return {};
}

Result<std::string> give_final_name(const std::string& part_path) {
  // Who moved the file may have called it anything.
  const std::string stem =
      part_path.ends_with(kPart) ? part_path.substr(0, part_path.size() - kPart.size()) : part_path;
  for (int number = 1; number < kMostNumbers; ++number) {
    const std::string path = numbered(stem, number) + std::string(kFinal);
    const Result<bool> is_renamed = rename_to_free_name(part_path, path);
    if (!is_renamed) return is_renamed.error();
    if (!*is_renamed) continue;
    const std::string directory = std::filesystem::path(path).parent_path().string();
    if (auto ok = sync_path(directory.empty() ? "." : directory, O_RDONLY | O_DIRECTORY); !ok)
      return ok.error();
    return path;
  }
  return Error{ErrorCode::failed_precondition, "no number is free for " + stem};
}

}  // namespace latticed::record
