// SPDX-License-Identifier: GPL-3.0-or-later
#include "drivers/files/hdf5_handle.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace latticed::files {
namespace {

constexpr std::size_t kMaxText = 65536;  // of one attribute string; longer ones are not ours

herr_t keep_innermost(unsigned depth, const H5E_error2_t* error, void* out) {
  if (depth == 0 && error->desc != nullptr) *static_cast<std::string*>(out) = error->desc;
  return 0;
}

std::string trimmed(const char* text, std::size_t size) {
  return {text, std::find(text, text + size, '\0')};
}

std::vector<std::string> variable_texts(hid_t attribute, hid_t type, std::size_t count) {
  std::vector<char*> pointers(count, nullptr);
  std::vector<std::string> texts;
  if (H5Aread(attribute, type, pointers.data()) < 0) return texts;
  for (char* pointer : pointers) {
    texts.emplace_back(pointer != nullptr ? pointer : "");
    H5free_memory(pointer);
  }
  return texts;
}

std::vector<std::string> fixed_texts(hid_t attribute, hid_t type, std::size_t count) {
  const std::size_t size = H5Tget_size(type);
  std::vector<std::string> texts;
  if (size == 0 || size > kMaxText / count) return texts;
  std::vector<char> bytes(size * count);
  if (H5Aread(attribute, type, bytes.data()) < 0) return texts;
  for (std::size_t i = 0; i < count; ++i) texts.push_back(trimmed(&bytes[i * size], size));
  return texts;
}

Handle open_attribute(hid_t object, const char* name) {
  if (H5Aexists(object, name) <= 0) return {};
  return Handle(H5Aopen(object, name, H5P_DEFAULT));
}

std::size_t element_count(hid_t attribute) {
  const Handle space(H5Aget_space(attribute));
  const hssize_t count = H5Sget_simple_extent_npoints(space);
  return count > 0 ? static_cast<std::size_t>(count) : 0;
}

}  // namespace

std::string hdf5_error() {
  std::string text = "no reason given";
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_innermost, &text);
  return text;
}

std::vector<std::string> text_list_attribute(hid_t object, const char* name) {
  const Handle attribute = open_attribute(object, name);
  if (!attribute) return {};
  const std::size_t count = element_count(attribute);
  const Handle type(H5Aget_type(attribute));
  if (count == 0 || count > 64 || H5Tget_class(type) != H5T_STRING) return {};
  return H5Tis_variable_str(type) > 0 ? variable_texts(attribute, type, count)
                                      : fixed_texts(attribute, type, count);
}

std::optional<std::string> text_attribute(hid_t object, const char* name) {
  auto texts = text_list_attribute(object, name);
  if (texts.empty()) return std::nullopt;
  return std::move(texts.front());
}

std::optional<double> number_attribute(hid_t object, const char* name) {
  const Handle attribute = open_attribute(object, name);
  if (!attribute || element_count(attribute) != 1) return std::nullopt;
  const Handle type(H5Aget_type(attribute));
  if (H5Tget_class(type) == H5T_ENUM) {  // h5py's bool
    signed char flag = 0;
    const Handle base(H5Tget_super(type));
    if (H5Tget_size(base) != 1 || H5Aread(attribute, type, &flag) < 0) return std::nullopt;
    return flag;
  }
  double value = 0.0;
  if (H5Aread(attribute, H5T_NATIVE_DOUBLE, &value) < 0) return std::nullopt;
  return value;
}

bool exists(hid_t location, const std::string& path) {
  for (std::size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
    const std::string part = path.substr(0, end);
    if (part != "/" && H5Lexists(location, part.c_str(), H5P_DEFAULT) <= 0) return false;
    if (end == std::string::npos) break;
  }
  return path == "/" || H5Oexists_by_name(location, path.c_str(), H5P_DEFAULT) > 0;
}

std::vector<std::string> link_names(hid_t group, std::size_t limit) {
  std::vector<std::string> names;
  H5G_info_t info{};
  if (H5Gget_info(group, &info) < 0) return names;
  for (hsize_t i = 0; i < info.nlinks && names.size() < limit; ++i) {
    char name[256];
    const ssize_t size = H5Lget_name_by_idx(group, ".", H5_INDEX_NAME, H5_ITER_INC, i, name,
                                            sizeof(name), H5P_DEFAULT);
    if (size > 0 && size < static_cast<ssize_t>(sizeof(name))) names.emplace_back(name);
  }
  return names;
}

std::optional<std::vector<double>> read_numbers(hid_t location, const std::string& path,
                                                std::size_t limit) {
  if (!exists(location, path)) return std::nullopt;
  const Handle dataset(H5Dopen2(location, path.c_str(), H5P_DEFAULT));
  if (!dataset) return std::nullopt;
  const auto extent = extent_of(dataset);
  if (extent.size() != 1 || extent[0] == 0 || extent[0] > limit) return std::nullopt;
  std::vector<double> numbers(static_cast<std::size_t>(extent[0]));
  if (H5Dread(dataset, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, numbers.data()) < 0) {
    return std::nullopt;
  }
  return numbers;
}

namespace {

/// The dataset, if it is one and has one element.
Handle open_single(hid_t location, const std::string& path) {
  if (!exists(location, path)) return Handle(-1);
  Handle dataset(H5Dopen2(location, path.c_str(), H5P_DEFAULT));
  if (!dataset) return Handle(-1);
  const Handle space(H5Dget_space(dataset));
  return H5Sget_simple_extent_npoints(space) == 1 ? std::move(dataset) : Handle(-1);
}

}  // namespace

std::optional<double> read_number(hid_t location, const std::string& path) {
  const Handle dataset = open_single(location, path);
  double value = 0.0;
  if (!dataset || H5Dread(dataset, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, &value) < 0 ||
      !std::isfinite(value))
    return std::nullopt;
  return value;
}

std::optional<std::string> read_text(hid_t location, const std::string& path) {
  constexpr std::size_t kMaxText = 1000;
  const Handle dataset = open_single(location, path);
  if (!dataset) return std::nullopt;
  const Handle type(H5Dget_type(dataset));
  const std::size_t bytes = H5Tget_size(type);
  if (H5Tget_class(type) != H5T_STRING || H5Tis_variable_str(type) != 0 || bytes > kMaxText)
    return std::nullopt;
  std::string text(bytes, '\0');
  if (H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, text.data()) < 0) return std::nullopt;
  text.resize(std::min(text.find('\0'), text.size()));
  return text;
}

std::vector<hsize_t> extent_of(hid_t dataset) {
  const Handle space(H5Dget_space(dataset));
  const int rank = space ? H5Sget_simple_extent_ndims(space) : 0;
  std::vector<hsize_t> extent(static_cast<std::size_t>(std::max(rank, 0)));
  if (rank > 0) H5Sget_simple_extent_dims(space, extent.data(), nullptr);
  return extent;
}

}  // namespace latticed::files
