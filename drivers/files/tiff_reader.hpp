// SPDX-License-Identifier: GPL-3.0-or-later
// TIFF stacks: a directory for each frame in whatever packing libtiff knows, or ImageJ's large
// stacks with one directory and the frames one behind the other.
#pragma once

#include <memory>

#include "drivers/files/file.hpp"
#include "drivers/files/movie_reader.hpp"

namespace latticed::files {

Result<std::unique_ptr<MovieReader>> open_tiff(File file);

}  // namespace latticed::files
