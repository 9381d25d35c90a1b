// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/guard/audit.hpp"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>

namespace latticed {
namespace {

std::string with_time(const std::string& line) {
  const auto now = std::chrono::system_clock::now();
  const auto seconds = std::chrono::floor<std::chrono::seconds>(now);
  const auto micros = std::chrono::duration_cast<std::chrono::microseconds>(now - seconds).count();
  return fmt::format("{{\"time\":\"{:%Y-%m-%dT%H:%M:%S}.{:06}Z\",{}\n",
                     fmt::gmtime(std::chrono::system_clock::to_time_t(seconds)), micros,
                     line.substr(1));
}

}  // namespace

Result<std::unique_ptr<Audit>> Audit::open(const std::string& path, WakeUp& on_done) {
  OwnedFd file(::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600));
  if (!file.is_open()) {
    return Error{ErrorCode::unavailable,
                 fmt::format("open audit {}: {}", path, std::strerror(errno))};
  }
  return std::unique_ptr<Audit>(new Audit(std::move(file), on_done));
}

Audit::Audit(OwnedFd file, WakeUp& on_done)
    : file_(std::move(file)), on_done_(on_done), thread_({"latd-audit"}, [this] { run(); }) {}

Audit::~Audit() {
  {
    const std::lock_guard lock(mutex_);
    is_over_ = true;
  }
  work_.notify_all();
}

std::uint64_t Audit::append(std::string line) {
  const std::lock_guard lock(mutex_);
  if (lines_.size() >= kMostWaiting) return 0;
  lines_.push_back(with_time(line));
  work_.notify_all();
  return next_ticket_++;
}

std::vector<Audit::Done> Audit::completed() {
  const std::lock_guard lock(mutex_);
  return std::exchange(done_, {});
}

void Audit::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    work_.wait(lock, [this] { return is_over_ || !lines_.empty(); });
    if (lines_.empty()) return;
    // One sync for all that came while the last one took its time.
    std::string text;
    const std::uint64_t first = first_waiting_;
    const std::uint64_t count = lines_.size();
    for (const std::string& line : lines_) text += line;
    lines_.clear();
    first_waiting_ += count;
    lock.unlock();
    const bool is_durable = write_all(text);
    lock.lock();
    for (std::uint64_t i = 0; i < count; ++i) done_.push_back({first + i, is_durable});
    on_done_.ring();
  }
}

bool Audit::write_all(const std::string& text) noexcept {
  for (std::size_t done = 0; done < text.size();) {
    const ssize_t n = write(file_.get(), text.data() + done, text.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    done += static_cast<std::size_t>(n);
  }
  return fdatasync(file_.get()) == 0 || errno == EINVAL || errno == EROFS;  // a pipe or device
}

}  // namespace latticed
