// SPDX-License-Identifier: GPL-3.0-or-later
// Rows of several named members, as one HDF5 compound type. In the file they are packed.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>

#include "server/record/hdf5_author.hpp"

namespace latticed::record {

struct Member {
  const char* name;
  std::size_t offset;
  Handle type;  // native
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

/// HDF5's own type of a number.
template <class T>
requires std::integral<T> || std::floating_point<T>
[[nodiscard]] Handle native_type() {
  constexpr bool is_float = std::floating_point<T>;
  const hid_t signed_type = sizeof(T) == 1   ? H5T_NATIVE_INT8
                            : sizeof(T) == 2 ? H5T_NATIVE_INT16
                            : sizeof(T) == 4 ? H5T_NATIVE_INT32
                                             : H5T_NATIVE_INT64;
  const hid_t unsigned_type = sizeof(T) == 1   ? H5T_NATIVE_UINT8
                              : sizeof(T) == 2 ? H5T_NATIVE_UINT16
                              : sizeof(T) == 4 ? H5T_NATIVE_UINT32
                                               : H5T_NATIVE_UINT64;
  const hid_t float_type = sizeof(T) == 4 ? H5T_NATIVE_FLOAT : H5T_NATIVE_DOUBLE;
  return Handle(H5Tcopy(is_float                  ? float_type
                        : std::signed_integral<T> ? signed_type
                                                  : unsigned_type));
}

/// A text of `bytes` bytes, padded with zeros.
Handle text_type(std::size_t bytes);

/// Copies as many whole UTF-8 characters of `from` as fit, pads, and returns what is left.
std::string_view fill_text(std::span<char> to, std::string_view from);

}  // namespace latticed::record
