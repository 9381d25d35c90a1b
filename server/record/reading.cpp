// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/record/reading.hpp"

namespace latticed::record {

std::vector<std::uint64_t> read_member(hid_t file, const std::string& path, const char* member) {
  const QuietHdf5 quiet;
  const Handle table(H5Dopen2(file, path.c_str(), H5P_DEFAULT));
  const Handle type(H5Tcreate(H5T_COMPOUND, sizeof(std::uint64_t)));
  H5Tinsert(type, member, 0, H5T_NATIVE_UINT64);
  const auto extent = table ? files::extent_of(table) : std::vector<hsize_t>{};
  std::vector<std::uint64_t> values(extent.size() == 1 ? static_cast<std::size_t>(extent[0]) : 0);
  if (!values.empty() && H5Dread(table, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()) < 0)
    values.clear();
  return values;
}

std::optional<std::uint64_t> rows_of(hid_t file, const std::string& path) {
  const QuietHdf5 quiet;
  const Handle dataset(H5Dopen2(file, path.c_str(), H5P_DEFAULT));
  const auto extent = dataset ? files::extent_of(dataset) : std::vector<hsize_t>{};
  if (extent.empty()) return std::nullopt;
  return extent.front();
}

}  // namespace latticed::record
