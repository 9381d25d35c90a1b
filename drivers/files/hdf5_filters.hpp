// SPDX-License-Identifier: GPL-3.0-or-later
// The compression our own recordings may have (Blosc, filter 32001), readable without the plug-in
// that HDF5 would otherwise look for on this machine.
#pragma once

#include <cstddef>
#include <span>

namespace latticed::files {

inline constexpr int kBloscFilter = 32001;  // as registered with The HDF Group

/// From now on this process reads datasets with the filter. Any thread, any number of times.
void use_filters();

/// One chunk of that filter, unpacked into all of `out`. False: it is damaged, or of another size.
[[nodiscard]] bool unpack_blosc(std::span<const std::byte> chunk, std::span<std::byte> out);

}  // namespace latticed::files
