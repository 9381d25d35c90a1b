// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/record/writer_lock.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

namespace latticed::record {
namespace {

struct flock whole_file() {
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  return lock;  // from 0, of any length
}

}  // namespace

Result<void> lock_as_writer(int descriptor, const std::string& path) {
  struct flock lock = whole_file();
  if (::fcntl(descriptor, F_OFD_SETLK, &lock) == 0) return {};
  if (errno == EAGAIN || errno == EACCES)
    return Error{ErrorCode::failed_precondition, path + ": another process writes it"};
  return {};
}

bool is_being_written(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (descriptor < 0) return false;
  struct flock lock = whole_file();
  const bool is_locked = ::fcntl(descriptor, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
  ::close(descriptor);
  return is_locked;
}

}  // namespace latticed::record
