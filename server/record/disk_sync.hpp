// SPDX-License-Identifier: GPL-3.0-or-later
// Has the disk keep what was written, on a thread of its own: an fdatasync may take longer than
// frames can wait.
#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>

#include "drivers/kit/result.hpp"
#include "server/base/named_thread.hpp"

namespace latticed::record {

class DiskSync {
 public:
  /// Works on a duplicate of `descriptor`.
  explicit DiskSync(int descriptor);
  ~DiskSync();
  DiskSync(const DiskSync&) = delete;
  DiskSync& operator=(const DiskSync&) = delete;

  /// What was written so far; returns at once. Asked again while one is under way: once more.
  void request();
  /// The first that failed.
  [[nodiscard]] std::optional<Error> error() const;
  /// How many have been done.
  [[nodiscard]] std::uint64_t done() const;

 private:
  void run();

  int descriptor_;
  mutable std::mutex mutex_;  // guards all below
  std::condition_variable changed_;
  bool is_wanted_ = false, is_ending_ = false;
  std::uint64_t done_ = 0;
  std::optional<Error> error_;
  NamedThread thread_;
};

}  // namespace latticed::record
