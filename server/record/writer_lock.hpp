// SPDX-License-Identifier: GPL-3.0-or-later
// Says of a file that somebody writes it, so that nobody mends it meanwhile. HDF5's own lock ends
// when readers may come (SWMR); this one is of another kind (fcntl, of the open file) and keeps no
// reader away. It is gone with its process, however that ended.
#pragma once

#include <string>

#include "drivers/kit/result.hpp"

namespace latticed::record {

/// For as long as the descriptor, or a duplicate of it, is open. failed_precondition: another
/// writer has it. A file system that knows no locks gives none, without an error.
Result<void> lock_as_writer(int descriptor, const std::string& path);

/// Whether a process writes the file now.
[[nodiscard]] bool is_being_written(const std::string& path);

}  // namespace latticed::record
