// SPDX-License-Identifier: GPL-3.0-or-later
// NAME.nxs.part.log: the pages of a recording that hold HDF5's own structures, as they were when
// the disk last had everything they point at. HDF5 writes them in place, and a page in any order
// is what the disk has when its power goes: one header half old, half new, and the whole file
// cannot be opened. Put back from here, it is the file of the last sync, and only what was written
// after that is lost.
//
// The log is a header (8 bytes of name, 36 of the boot it was written in, padded to 64) and
// records, each complete or not there at all: 8 bytes of name, count of pages, CRC-32C of what
// follows, 16 bytes in all; numbers of pages (8 bytes each); pages.
#pragma once

#include <cstdint>
#include <string>

#include "drivers/kit/result.hpp"
#include "server/record/pages.hpp"

namespace latticed::record {

[[nodiscard]] std::string page_log_of(const std::string& part_path);
/// Of a recording that is complete, or will never be.
void remove_page_log(const std::string& part_path) noexcept;
/// Of one that somebody removed; the log of a .part that is there stays.
void remove_log_of_missing(const std::string& part_path) noexcept;
/// This boot of this machine; empty where the system does not say. A file of another boot may have
/// lost pages.
[[nodiscard]] std::string boot_id();

class PageLog {
 public:
  PageLog() = default;
  /// A new one; an old one of that name is replaced.
  static Result<PageLog> create(const std::string& path);
  ~PageLog();
  PageLog(PageLog&& other) noexcept;
  PageLog& operator=(PageLog&& other) noexcept;

  /// On the disk when it returns. The file must have been synced after these pages were taken.
  Result<void> append(const Pages& pages);
  /// Likewise, of all pages there are: the log begins anew.
  Result<void> begin_anew(const Pages& pages);
  [[nodiscard]] std::uint64_t bytes() const noexcept { return bytes_; }

 private:
  PageLog(std::string path, int descriptor) : path_(std::move(path)), descriptor_(descriptor) {}
  std::string path_;
  int descriptor_ = -1;
  std::uint64_t bytes_ = 0;
};

struct PutBack {
  std::uint64_t records = 0, pages = 0;
};
/// Writes the pages of every complete record into `file`, in order, and syncs it. Error data_loss:
/// no such log, or none of ours.
Result<PutBack> put_back(const std::string& log_path, const std::string& file);
/// The boot the log is of; empty: there is no log.
[[nodiscard]] std::string boot_of_log(const std::string& log_path);

}  // namespace latticed::record
