// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/record/disk_sync.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>

namespace latticed::record {

DiskSync::DiskSync(int descriptor) : descriptor_(::fcntl(descriptor, F_DUPFD_CLOEXEC, 0)) {
  thread_ = NamedThread({"latd-rec-sync"}, [this] { run(); });
}

DiskSync::~DiskSync() {
  {
    const std::lock_guard lock(mutex_);
    is_ending_ = true;
    changed_.notify_one();
  }
  thread_.join();
  if (descriptor_ >= 0) ::close(descriptor_);
}

void DiskSync::request() {
  const std::lock_guard lock(mutex_);
  is_wanted_ = true;
  changed_.notify_one();
}

std::optional<Error> DiskSync::error() const {
  const std::lock_guard lock(mutex_);
  return error_;
}

std::uint64_t DiskSync::done() const {
  const std::lock_guard lock(mutex_);
  return done_;
}

void DiskSync::run() {
  using namespace std::chrono_literals;
  std::unique_lock lock(mutex_);
  while (!is_ending_) {
    changed_.wait_for(lock, 1s, [this] { return is_wanted_ || is_ending_; });
    if (!is_wanted_ || is_ending_) continue;
    is_wanted_ = false;
    lock.unlock();
    const bool is_synced = ::fdatasync(descriptor_) == 0;
    const int why = errno;
    lock.lock();
    ++done_;
    if (!is_synced && !error_)
      error_ = Error{ErrorCode::data_loss,
                     std::string("syncing the recording to disk: ") + std::strerror(why)};
  }
}

}  // namespace latticed::record
