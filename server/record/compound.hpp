// SPDX-License-Identifier: GPL-3.0-or-later
// Rows of several named members, as one HDF5 compound type. In the file they are packed.
#pragma once

#include <cstddef>
#include <span>

#include "server/record/hdf5_author.hpp"

namespace latticed::record {

struct Member {
  const char* name;
  std::size_t offset;
  hid_t type;  // native; read when the compound is made
};

struct CompoundLayout {
  const char* name;
  std::size_t row_bytes;
  hsize_t chunk_rows;
  const char* meaning;
};

/// The table `layout.name` in `group`.
Rows make_compound_rows(Hdf5Author& author, hid_t group, const CompoundLayout& layout,
                        std::span<const Member> members);

/// A text of `bytes` bytes, padded with zeros.
Handle text_type(std::size_t bytes);

/// Copies as many whole UTF-8 characters of `from` as fit, pads, and returns what is left.
std::string_view fill_text(std::span<char> to, std::string_view from);

}  // namespace latticed::record
