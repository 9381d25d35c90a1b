// SPDX-License-Identifier: GPL-3.0-or-later
// Has the disk keep what was written, on a thread of its own: an fdatasync may take longer than
// frames can wait. What HDF5's structures were then goes into the page log after it.
#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>

#include "drivers/kit/result.hpp"
#include "server/base/named_thread.hpp"
#include "server/record/page_log.hpp"

namespace latticed::record {

class DiskSync {
 public:
  /// Works on a duplicate of `descriptor`; the log is made at `log_path`.
  DiskSync(int descriptor, std::string log_path);
  /// Ends after the request it works on. The log stays.
  ~DiskSync();
  DiskSync(const DiskSync&) = delete;
  DiskSync& operator=(const DiskSync&) = delete;

  /// The next request() wants all pages: the log would become too long.
  [[nodiscard]] bool wants_all() const;
  /// What was written so far; returns at once. Asked again while one is under way: once more, with
  /// all pages of both.
  /// `frames`: in the file by then, see durable_frames().
  void request(Pages pages, bool are_all, std::uint64_t frames = 0);
  /// Of the last request that was done.
  [[nodiscard]] std::uint64_t durable_frames() const;
  /// The first that failed.
  [[nodiscard]] std::optional<Error> error() const;
  /// How many have been done.
  [[nodiscard]] std::uint64_t done() const;

 private:
  void run();
  Result<void> sync(const Pages& pages, bool are_all);

  const std::string log_path_;
  int descriptor_;
  std::optional<PageLog> log_;   // the thread's
  std::uint64_t all_bytes_ = 0;  // the thread's: of the last record of all pages
  mutable std::mutex mutex_;     // guards all below
  std::condition_variable changed_;
  Pages pages_;
  bool is_wanted_ = false, are_all_ = false, is_ending_ = false;
  bool wants_all_ = true;  // a log begins with all
  std::uint64_t done_ = 0, frames_ = 0, durable_frames_ = 0;
  std::optional<Error> error_;
  NamedThread thread_;
};

}  // namespace latticed::record
