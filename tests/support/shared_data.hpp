// SPDX-License-Identifier: GPL-3.0-or-later
// Files of real instruments, which lie beside the project and not in it.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

namespace latticed::test {

/// The file's path: below $LATTICED_SHARED_DATA, or ../shared/data of the source tree.
inline std::string shared_data(const std::string& name) {
  const char* given = std::getenv("LATTICED_SHARED_DATA");
  const std::filesystem::path folder =
      given != nullptr ? std::filesystem::path(given)
                       : std::filesystem::path(LATTICED_SOURCE_DIR) / "../shared/data";
  return (folder / name).lexically_normal().string();
}

}  // namespace latticed::test

/// Skips the test, with the reason, where the file is absent.
#define LATTICED_NEEDS_FILE(path)     \
  if (!std::filesystem::exists(path)) \
  GTEST_SKIP() << "no real file " << path << " (set LATTICED_SHARED_DATA)"
