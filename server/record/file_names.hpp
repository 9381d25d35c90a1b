// SPDX-License-Identifier: GPL-3.0-or-later
// NAME.nxs.part while a recording is written, NAME.nxs when it is complete, with a number behind
// NAME where that is taken.
#pragma once

#include <string>
#include <string_view>

#include "drivers/kit/result.hpp"

namespace latticed::record {

inline constexpr std::string_view kFinal = ".nxs", kPart = ".nxs.part";
inline constexpr int kMostNumbers = 10000;  // of recordings of one name in one directory

/// `stem` itself for 1.
[[nodiscard]] std::string numbered(const std::string& stem, int number);
[[nodiscard]] bool is_taken(const std::string& path);
/// Has the disk keep the file, or the directory with its names.
Result<void> sync_path(const std::string& path, int flags);
/// Renames NAME.nxs.part to the first NAME.nxs that is free, for good. That name.
Result<std::string> give_final_name(const std::string& part_path);

}  // namespace latticed::record
