// SPDX-License-Identifier: GPL-3.0-or-later
// Columns of a recording as numbers. What is missing, or of another shape, is empty.
#pragma once

#include <string>
#include <vector>

#include "server/record/compound.hpp"

namespace latticed::record {

/// A dataset of one dimension, converted to Value.
template <class Value>
[[nodiscard]] std::vector<Value> read_column(hid_t file, const std::string& path) {
  const QuietHdf5 quiet;
  const Handle column(H5Dopen2(file, path.c_str(), H5P_DEFAULT));
  const auto extent = column ? files::extent_of(column) : std::vector<hsize_t>{};
  std::vector<Value> values(extent.size() == 1 ? static_cast<std::size_t>(extent[0]) : 0);
  if (!values.empty() &&
      H5Dread(column, native_type<Value>(), H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()) < 0)
    values.clear();
  return values;
}

/// One member of every row of a table.
[[nodiscard]] std::vector<std::uint64_t> read_member(hid_t file, const std::string& path,
                                                     const char* member);

/// Of a dataset, the first dimension; nothing where there is none.
[[nodiscard]] std::optional<std::uint64_t> rows_of(hid_t file, const std::string& path);

}  // namespace latticed::record
