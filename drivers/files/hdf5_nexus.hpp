// SPDX-License-Identifier: GPL-3.0-or-later
// The NXdata group of a NeXus file that holds the movie, by the `default` attributes or by search.
#pragma once

#include <hdf5.h>

#include <optional>

#include "drivers/files/hdf5_layout.hpp"

namespace latticed::files {

std::optional<Hdf5Layout> find_nexus(hid_t file);

}  // namespace latticed::files
