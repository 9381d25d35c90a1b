// SPDX-License-Identifier: GPL-3.0-or-later
// One HDF5 file while it is written: made under a name that was free, switched to one writer and
// many readers (SWMR), flushed, closed; or let go when the disk refuses, so that what it last held
// stays readable. Knows nothing of what is inside. One thread at a time.
#pragma once

#include <string>

#include "drivers/files/hdf5_handle.hpp"
#include "drivers/kit/result.hpp"
#include "server/record/pages.hpp"

namespace latticed::record {

using files::Handle;
using files::QuietHdf5;

/// What was tried, with HDF5's reason; resource_exhausted when that is a lack of room.
[[nodiscard]] Error hdf5_failure(const std::string& what);

class Hdf5File {
 public:
  Hdf5File() = default;

  /// Error failed_precondition when `path` exists, unavailable when it cannot be made.
  static Result<Hdf5File> create(const std::string& path);
  /// To read and write a file whose writer is gone, also one that was killed and could not say so.
  static Result<Hdf5File> reopen(const std::string& path);

  /// From now on readers may open it with SWMR; no object or attribute can be made any more.
  Result<void> start_swmr();
  /// What was written is with the operating system, and readers see it.
  Result<void> flush();
  /// Everything made from id() must be closed before.
  Result<void> close();
  /// Closes without another byte reaching the file: what a reader could see last is what stays.
  /// After a failed write HDF5 could otherwise leave an index that names what is not there.
  void abandon() noexcept;

  /// See disk_driver.hpp; after flush().
  [[nodiscard]] Pages structure_pages(bool all) const;
  [[nodiscard]] hid_t id() const noexcept { return file_; }
  [[nodiscard]] bool is_open() const noexcept { return static_cast<bool>(file_); }
  /// The file's descriptor, HDF5's own; -1 when there is none.
  [[nodiscard]] int descriptor() const noexcept;

 private:
  explicit Hdf5File(Handle file) : file_(std::move(file)) {}
  Handle file_;
};

/// A dataset of one dimension that grows by rows at its end.
class Rows {
 public:
  Rows() = default;
  /// `memory_type`: what a row looks like in memory, `row_bytes` long.
  Rows(Handle dataset, Handle memory_type, std::size_t row_bytes)
      : dataset_(std::move(dataset)), type_(std::move(memory_type)), row_bytes_(row_bytes) {}

  Result<void> append(const void* rows, std::size_t count);
  /// Rows that are there already.
  Result<void> overwrite(std::uint64_t first, const void* rows, std::size_t count);

  [[nodiscard]] std::uint64_t count() const noexcept { return count_; }
  [[nodiscard]] std::uint64_t bytes() const noexcept { return count_ * row_bytes_; }

 private:
  Result<void> write(std::uint64_t first, const void* rows, std::size_t count);
  Handle dataset_, type_;
  std::size_t row_bytes_ = 0;
  std::uint64_t count_ = 0;
};

}  // namespace latticed::record
