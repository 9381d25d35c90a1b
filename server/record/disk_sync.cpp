// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/record/disk_sync.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

namespace latticed::record {

namespace {

// The log begins anew when it is so long, and four times what all pages need.
constexpr std::uint64_t kLongLog = 64u << 20;

}  // namespace

DiskSync::DiskSync(int descriptor, std::string log_path)
    : log_path_(std::move(log_path)), descriptor_(::fcntl(descriptor, F_DUPFD_CLOEXEC, 0)) {
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

bool DiskSync::wants_all() const {
  const std::lock_guard lock(mutex_);
  return wants_all_;
}

void DiskSync::request(Pages pages, bool are_all, std::uint64_t frames) {
  const std::lock_guard lock(mutex_);
  frames_ = frames;
  pages.merge(pages_);  // what is in both stays as it is in the newer ones
  pages_ = std::move(pages);
  are_all_ |= are_all;
  if (are_all) wants_all_ = false;
  is_wanted_ = true;
  changed_.notify_one();
}

std::optional<Error> DiskSync::error() const {
  const std::lock_guard lock(mutex_);
  return error_;
}

std::uint64_t DiskSync::durable_frames() const {
  const std::lock_guard lock(mutex_);
  return durable_frames_;
}

std::uint64_t DiskSync::done() const {
  const std::lock_guard lock(mutex_);
  return done_;
}

Result<void> DiskSync::sync(const Pages& pages, bool are_all) {
  if (::fdatasync(descriptor_) != 0)
    return Error{ErrorCode::data_loss,
                 std::string("syncing the recording to disk: ") + std::strerror(errno)};
  // Only now: the log must not know of pages whose data the disk has not.
  if (!log_) {
    Result<PageLog> made = PageLog::create(log_path_);
    if (!made) return made.error();
    log_ = std::move(*made);
  }
  auto ok = are_all ? log_->begin_anew(pages) : log_->append(pages);
  if (ok && are_all) all_bytes_ = log_->bytes();
  return ok;
}

void DiskSync::run() {
  using namespace std::chrono_literals;
  std::unique_lock lock(mutex_);
  while (!is_ending_) {
    changed_.wait_for(lock, 1s, [this] { return is_wanted_ || is_ending_; });
    if (!is_wanted_ || is_ending_) continue;
    is_wanted_ = false;
    const bool are_all = std::exchange(are_all_, false);
    const Pages pages = std::exchange(pages_, {});
    const std::uint64_t frames = frames_;
    lock.unlock();
    const auto ok = sync(pages, are_all);
    const bool is_long = log_ && log_->bytes() > std::max(kLongLog, 4 * all_bytes_);
    lock.lock();
    ++done_;
    if (ok) durable_frames_ = frames;
    wants_all_ |= is_long;
    if (!ok && !error_) error_ = ok.error();
  }
}

}  // namespace latticed::record
