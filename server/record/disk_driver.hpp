// SPDX-License-Identifier: GPL-3.0-or-later
// How HDF5 reaches the disk for a recording: plain reads and writes at an offset, as its own
// default driver, and one thing that one cannot do: let go. HDF5 1.10 cannot close a file whose
// writes fail; it keeps pieces of it and later stumbles over them. A file that was let go takes
// every write without complaint and keeps none. A structure that cannot be written is such a
// reason: HDF5 is not told, whoever flushes asks remembered_failure(). It also remembers where
// structures were written, see page_log.hpp.
#pragma once

#include <hdf5.h>

#include "server/record/pages.hpp"

namespace latticed::record {

/// Makes files opened with this access list use the driver.
herr_t use_disk_driver(hid_t access_list);

/// The descriptor of an open file; -1 when there is none.
[[nodiscard]] int disk_descriptor(hid_t file) noexcept;

/// Pages that hold structures of HDF5's own (not the rows of datasets) and were written since the
/// last call, as they are now; `all`: since the file was opened. Empty where they cannot be read.
[[nodiscard]] Pages structure_pages(hid_t file, bool all);

/// From now on also a write of rows that fails lets the file go and is remembered, instead of told
/// to HDF5: some of its functions (H5Ocopy) crash when told.
void remember_failures(hid_t file) noexcept;
/// errno of the first one; 0: none.
[[nodiscard]] int remembered_failure(hid_t file) noexcept;

/// From now on nothing is written to `file`, and nothing fails.
void let_go(hid_t file) noexcept;

}  // namespace latticed::record
