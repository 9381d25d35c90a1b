// SPDX-License-Identifier: GPL-3.0-or-later
// HDF5 1.10 itself crashes or never returns on some damaged files (its heap of variable-length
// strings, for one), and no check of ours can stand in front of it. So a file is first read in a
// child process: what happens there happens to nobody else, and reading is deterministic.
#pragma once

#include <functional>
#include <string>

#include "drivers/kit/result.hpp"

namespace latticed::files {

/// Runs `attempt` in a child process with at most kProbeCpuSeconds of processor time. Error
/// data_loss, for the file `path`, if the child does not come back from it.
Result<void> survive_in_a_child(const std::string& path, const std::function<void()>& attempt);

inline constexpr int kProbeCpuSeconds = 5;         // a million chunks are listed in less than one
inline constexpr int kProbePatienceSeconds = 120;  // of a slow network file system

}  // namespace latticed::files
