// SPDX-License-Identifier: GPL-3.0-or-later
#include "drivers/files/file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <limits>
#include <utility>

#include "drivers/files/limits.hpp"

namespace latticed::files {

Result<File> File::open(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) {
    const int why = errno;
    const auto code = why == ENOENT ? ErrorCode::not_found : ErrorCode::unavailable;
    return open_error(code, path, std::strerror(why));
  }
  struct stat status {};
  if (::fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode)) {
    ::close(descriptor);
    return open_error(ErrorCode::invalid_argument, path, "not a regular file");
  }
  return File(path, descriptor, static_cast<std::uint64_t>(status.st_size));
}

File::File(File&& other) noexcept
    : path_(std::move(other.path_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      size_(other.size_) {}

File& File::operator=(File&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(descriptor_, other.descriptor_);
  std::swap(size_, other.size_);
  return *this;
}

File::~File() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Result<std::size_t> File::read_at(std::uint64_t offset, std::span<std::byte> out) const {
  std::size_t done = 0;
  if (offset > static_cast<std::uint64_t>(std::numeric_limits<off_t>::max()) - out.size())
    return done;
  while (done < out.size()) {
    const ssize_t count = ::pread(descriptor_, out.data() + done, out.size() - done,
                                  static_cast<off_t>(offset + done));
    if (count == 0) break;
    if (count > 0) {
      done += static_cast<std::size_t>(count);
    } else if (errno != EINTR) {
      return Error{ErrorCode::unavailable, "read " + std::to_string(out.size()) + " bytes at " +
                                               std::to_string(offset) + " of '" + path_ +
                                               "': " + std::strerror(errno)};
    }
  }
  return done;
}

}  // namespace latticed::files
