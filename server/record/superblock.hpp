// SPDX-License-Identifier: GPL-3.0-or-later
// The first 48 bytes of an HDF5 file with SWMR, where its writer notes that it is open and how long
// it is. After a writer that was killed, or that met a full disk, neither is true.
#pragma once

#include <string>

#include "drivers/kit/result.hpp"

namespace latticed::record {

/// Takes back that the file is open, and claims no more bytes than there are. SWMR writes what is
/// pointed at before the pointer, so what lies beyond is pointed at by nothing. For a file nobody
/// has open. Error data_loss when this is no such file, or its beginning is damaged.
Result<void> mend_superblock(const std::string& path);

}  // namespace latticed::record
