// SPDX-License-Identifier: GPL-3.0-or-later
// How HDF5 reaches the disk for a recording: plain reads and writes at an offset, as its own
// default driver, and one thing that one cannot do: let go. HDF5 1.10 cannot close a file whose
// writes fail; it keeps pieces of it and later stumbles over them. A file that was let go takes
// every write without complaint and keeps none.
#pragma once

#include <hdf5.h>

namespace latticed::record {

/// Makes files opened with this access list use the driver.
herr_t use_disk_driver(hid_t access_list);

/// The descriptor of an open file; -1 when there is none.
[[nodiscard]] int disk_descriptor(hid_t file) noexcept;

/// From now on nothing is written to `file`, and nothing fails.
void let_go(hid_t file) noexcept;

}  // namespace latticed::record
