// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/record/hdf5_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "server/record/disk_driver.hpp"
#include "server/record/superblock.hpp"

namespace latticed::record {
namespace {

constexpr hsize_t kMetadataBlock = 65536;  // small things share blocks

Handle access_list() {
  Handle access(H5Pcreate(H5P_FILE_ACCESS));
  // The earliest format with SWMR, so that the oldest programs that can read live files do.
  H5Pset_libver_bounds(access, H5F_LIBVER_V110, H5F_LIBVER_V110);
  use_disk_driver(access);
  H5Pset_alignment(access, kLeastPaged, kPageBytes);
  H5Pset_meta_block_size(access, kMetadataBlock);
  return access;
}

/// What the disk did to a write that HDF5 was not told about.
Result<void> as_written(hid_t file, const char* what) {
  const int failure = remembered_failure(file);
  if (failure == 0) return {};
  const bool is_full = failure == ENOSPC || failure == EFBIG || failure == EDQUOT;
  return Error{is_full ? ErrorCode::resource_exhausted : ErrorCode::unavailable,
               fmt::format("{}: {}", what, std::strerror(failure))};
}

}  // namespace

Error hdf5_failure(const std::string& what) {
  const std::string reason = files::hdf5_error();
  const bool is_full = reason.find(std::strerror(ENOSPC)) != std::string::npos ||
                       reason.find(std::strerror(EFBIG)) != std::string::npos ||
                       reason.find(std::strerror(EDQUOT)) != std::string::npos;
  return {is_full ? ErrorCode::resource_exhausted : ErrorCode::unavailable, what + ": " + reason};
}

Result<Hdf5File> Hdf5File::create(const std::string& path) {
  // The name is taken by the system, which says why not; HDF5 would only say that it could not.
  const int reserved = ::open(path.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0666);
  if (reserved < 0)
    return Error{errno == EEXIST ? ErrorCode::failed_precondition : ErrorCode::unavailable,
                 fmt::format("creating {}: {}", path, std::strerror(errno))};
  ::close(reserved);
  const QuietHdf5 quiet;
  Handle file(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, access_list()));
  if (!file) {
    Error error = hdf5_failure("creating " + path);
    ::unlink(path.c_str());
    return error;
  }
  return Hdf5File(std::move(file));
}

Result<Hdf5File> Hdf5File::reopen(const std::string& path) {
  if (Result<void> ok = mend_superblock(path); !ok) return ok.error();
  const QuietHdf5 quiet;
  Handle file(H5Fopen(path.c_str(), H5F_ACC_RDWR, access_list()));
  if (!file) return hdf5_failure("opening " + path);
  return Hdf5File(std::move(file));
}

Result<void> Hdf5File::start_swmr() {
  const QuietHdf5 quiet;
  if (H5Fstart_swmr_write(file_) < 0) return hdf5_failure("opening the file to readers");
  return as_written(file_, "opening the file to readers");
}

Result<void> Hdf5File::flush() {
  const QuietHdf5 quiet;
  if (H5Fflush(file_, H5F_SCOPE_LOCAL) < 0) return hdf5_failure("flushing the file");
  return as_written(file_, "flushing the file");
}

Result<void> Hdf5File::close() {
  const QuietHdf5 quiet;
  if (auto ok = flush(); !ok) return ok;
  if (H5Fclose(file_) < 0) return hdf5_failure("closing the file");
  file_.release();
  return {};
}

void Hdf5File::abandon() noexcept {
  const QuietHdf5 quiet;
  let_go(file_);
  file_ = Handle();
}

int Hdf5File::descriptor() const noexcept {
  const QuietHdf5 quiet;
  return disk_descriptor(file_);
}

Pages Hdf5File::structure_pages(bool all) const {
  const QuietHdf5 quiet;
  return record::structure_pages(file_, all);
}

Result<void> Rows::append(const void* rows, std::size_t count) {
  if (count == 0) return {};
  const QuietHdf5 quiet;
  const hsize_t extent = count_ + count;
  if (H5Dset_extent(dataset_, &extent) < 0) return hdf5_failure("extending a table");
  if (Result<void> ok = write(count_, rows, count); !ok) return ok;
  count_ += count;
  return {};
}

Result<void> Rows::overwrite(std::uint64_t first, const void* rows, std::size_t count) {
  if (count == 0) return {};
  if (first + count > count_)
    return Error{ErrorCode::out_of_range, fmt::format("row {} of a table of {}", first, count_)};
  const QuietHdf5 quiet;
  return write(first, rows, count);
}

Result<void> Rows::write(std::uint64_t first, const void* rows, std::size_t count) {
  const hsize_t start = first, size = count;
  const Handle target(H5Dget_space(dataset_)), source(H5Screate_simple(1, &size, nullptr));
  if (!target || !source ||
      H5Sselect_hyperslab(target, H5S_SELECT_SET, &start, nullptr, &size, nullptr) < 0 ||
      H5Dwrite(dataset_, type_, source, target, H5P_DEFAULT, rows) < 0)
    return hdf5_failure("writing rows of a table");
  return {};
}

}  // namespace latticed::record
