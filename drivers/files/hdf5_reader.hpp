// SPDX-License-Identifier: GPL-3.0-or-later
// Movies in HDF5 files, one frame read as one hyperslab. A file that was cut off is opened all the
// same, and those frames of it that are there are read.
#pragma once

#include <memory>
#include <string>

#include "drivers/files/file.hpp"
#include "drivers/files/movie_reader.hpp"

namespace latticed::files {

Result<std::unique_ptr<MovieReader>> open_hdf5(const File& file);

}  // namespace latticed::files
