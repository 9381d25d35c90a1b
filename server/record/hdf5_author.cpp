// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/record/hdf5_author.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

namespace latticed::record {
namespace {

Handle fixed_text(std::size_t bytes) {
  Handle type(H5Tcopy(H5T_C_S1));
  H5Tset_size(type, std::max<std::size_t>(bytes, 1));
  H5Tset_strpad(type, H5T_STR_NULLPAD);
  H5Tset_cset(type, H5T_CSET_UTF8);
  return type;
}

std::string padded(std::string_view value, std::size_t bytes) {
  std::string out(value.substr(0, bytes));
  out.resize(std::max<std::size_t>(bytes, 1), '\0');
  return out;
}

// h5py's bool.
Handle boolean_type() {
  Handle type(H5Tenum_create(H5T_STD_I8LE));
  signed char value = 0;
  H5Tenum_insert(type, "FALSE", &value);
  value = 1;
  H5Tenum_insert(type, "TRUE", &value);
  return type;
}

Result<void> outcome(herr_t code, const char* what, const char* name) {
  if (code < 0) return hdf5_failure(fmt::format("{} {}", what, name));
  return {};
}

Handle opened_attribute(hid_t object, const char* name) {
  return Handle(H5Aopen(object, name, H5P_DEFAULT));
}

}  // namespace

void Hdf5Author::note(bool is_done, const char* what, const char* name) {
  if (!is_done && !error_) error_ = hdf5_failure(fmt::format("making {} {}", what, name));
}

Handle Hdf5Author::noted(hid_t made, const char* what, const char* name) {
  note(made >= 0, what, name);
  return Handle(made);
}

Handle Hdf5Author::group(hid_t in, const char* name, std::string_view nx_class) {
  if (has_failed()) return {};
  Handle made =
      noted(H5Gcreate2(in, name, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT), "the group", name);
  if (!nx_class.empty()) text(made, "NX_class", nx_class);
  return made;
}

void Hdf5Author::attribute(hid_t object, const char* name, hid_t type, const void* value) {
  if (has_failed()) return;
  const Handle space(H5Screate(H5S_SCALAR));
  const Handle made =
      noted(H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT), "the attribute", name);
  if (made) note(H5Awrite(made, type, value) >= 0, "the attribute", name);
}

void Hdf5Author::field(hid_t group, const char* name, hid_t type, const void* value) {
  if (has_failed()) return;
  const Handle space(H5Screate(H5S_SCALAR));
  const Handle made =
      noted(H5Dcreate2(group, name, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT),
            "the field", name);
  if (made)
    note(H5Dwrite(made, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, value) >= 0, "the field", name);
}

void Hdf5Author::text(hid_t object, const char* name, std::string_view value, std::size_t room) {
  const std::size_t bytes = std::max(value.size(), room);
  attribute(object, name, fixed_text(bytes), padded(value, bytes).data());
}

void Hdf5Author::texts(hid_t object, const char* name, std::span<const std::string_view> values) {
  if (has_failed()) return;
  std::size_t bytes = 1;
  for (const std::string_view value : values) bytes = std::max(bytes, value.size());
  std::string all;
  for (const std::string_view value : values) all += padded(value, bytes);
  const hsize_t count = values.size();
  const Handle space(H5Screate_simple(1, &count, nullptr)), type = fixed_text(bytes);
  const Handle made =
      noted(H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT), "the attribute", name);
  if (made) note(H5Awrite(made, type, all.data()) >= 0, "the attribute", name);
}

void Hdf5Author::variable_text(hid_t object, const char* name, const std::string& value) {
  const Handle type(H5Tcopy(H5T_C_S1));
  H5Tset_size(type, H5T_VARIABLE);
  H5Tset_cset(type, H5T_CSET_UTF8);
  const char* pointer = value.c_str();
  attribute(object, name, type, &pointer);
}

void Hdf5Author::number(hid_t object, const char* name, double value) {
  attribute(object, name, H5T_NATIVE_DOUBLE, &value);
}

void Hdf5Author::integer(hid_t object, const char* name, std::int64_t value) {
  attribute(object, name, H5T_NATIVE_INT64, &value);
}

void Hdf5Author::boolean(hid_t object, const char* name, bool value) {
  const signed char stored = value ? 1 : 0;
  attribute(object, name, boolean_type(), &stored);
}

void Hdf5Author::text_field(hid_t group, const char* name, std::string_view value,
                            std::size_t room) {
  const std::size_t bytes = std::max(value.size(), room);
  field(group, name, fixed_text(bytes), padded(value, bytes).data());
}

void Hdf5Author::number_field(hid_t group, const char* name, double value, std::string_view units) {
  field(group, name, H5T_NATIVE_DOUBLE, &value);
  if (has_failed() || units.empty()) return;
  const Handle made(H5Dopen2(group, name, H5P_DEFAULT));
  text(made, "units", units);
}

void Hdf5Author::integer_field(hid_t group, const char* name, std::uint64_t value) {
  field(group, name, H5T_NATIVE_UINT64, &value);
}

void Hdf5Author::boolean_field(hid_t group, const char* name, bool value) {
  const signed char stored = value ? 1 : 0;
  field(group, name, boolean_type(), &stored);
}

Handle Hdf5Author::axis(hid_t group, const char* name, std::span<const double> values) {
  const hsize_t shape[] = {values.size()};
  return array(group, name, H5T_NATIVE_DOUBLE, shape, values.data());
}

Handle Hdf5Author::array(hid_t group, const char* name, hid_t type, std::span<const hsize_t> shape,
                         const void* values) {
  if (has_failed()) return {};
  const Handle space(H5Screate_simple(static_cast<int>(shape.size()), shape.data(), nullptr));
  Handle made = noted(H5Dcreate2(group, name, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT),
                      "the dataset", name);
  if (made)
    note(H5Dwrite(made, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0, "the dataset", name);
  return made;
}

Handle Hdf5Author::rows(hid_t group, const char* name, hid_t type, hsize_t chunk_rows,
                        const void* fill) {
  if (has_failed()) return {};
  const hsize_t none = 0, endless = H5S_UNLIMITED;
  const Handle space(H5Screate_simple(1, &none, &endless));
  const Handle creation(H5Pcreate(H5P_DATASET_CREATE)), access(H5Pcreate(H5P_DATASET_ACCESS));
  H5Pset_chunk(creation, 1, &chunk_rows);
  if (fill) H5Pset_fill_value(creation, type, fill);
  // No chunk cache: a few rows are written as a few rows, not as their whole chunk each time.
  H5Pset_chunk_cache(access, 0, 0, H5D_CHUNK_CACHE_W0_DEFAULT);
  return noted(H5Dcreate2(group, name, type, space, H5P_DEFAULT, creation, access), "the table",
               name);
}

void Hdf5Author::hard_link(hid_t from, const char* name, hid_t in, const char* new_name) {
  if (has_failed()) return;
  note(H5Lcreate_hard(from, name, in, new_name, H5P_DEFAULT, H5P_DEFAULT) >= 0, "the link",
       new_name);
}

void Hdf5Author::soft_link(const std::string& target, hid_t in, const char* new_name) {
  if (has_failed()) return;
  note(H5Lcreate_soft(target.c_str(), in, new_name, H5P_DEFAULT, H5P_DEFAULT) >= 0, "the link",
       new_name);
}

Result<void> replace_text(hid_t object, const char* attribute, std::string_view value) {
  const QuietHdf5 quiet;
  const Handle there = opened_attribute(object, attribute);
  const Handle type(there ? H5Aget_type(there) : -1);
  if (!type) return hdf5_failure(fmt::format("replacing {}", attribute));
  return outcome(H5Awrite(there, type, padded(value, H5Tget_size(type)).data()), "replacing",
                 attribute);
}

Result<void> replace_number(hid_t object, const char* attribute, double value) {
  const QuietHdf5 quiet;
  const Handle there = opened_attribute(object, attribute);
  return outcome(there ? H5Awrite(there, H5T_NATIVE_DOUBLE, &value) : -1, "replacing", attribute);
}

Result<void> replace_integer(hid_t object, const char* attribute, std::int64_t value) {
  const QuietHdf5 quiet;
  const Handle there = opened_attribute(object, attribute);
  return outcome(there ? H5Awrite(there, H5T_NATIVE_INT64, &value) : -1, "replacing", attribute);
}

Result<void> replace_text_field(hid_t group, const char* name, std::string_view value) {
  const QuietHdf5 quiet;
  const Handle there(H5Dopen2(group, name, H5P_DEFAULT));
  const Handle type(there ? H5Dget_type(there) : -1);
  if (!type) return hdf5_failure(fmt::format("replacing {}", name));
  return outcome(
      H5Dwrite(there, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, padded(value, H5Tget_size(type)).data()),
      "replacing", name);
}

Result<void> replace_integer_field(hid_t group, const char* name, std::uint64_t value) {
  const QuietHdf5 quiet;
  const Handle there(H5Dopen2(group, name, H5P_DEFAULT));
  return outcome(
      there ? H5Dwrite(there, H5T_NATIVE_UINT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, &value) : -1,
      "replacing", name);
}

Result<void> replace_boolean_field(hid_t group, const char* name, bool value) {
  const QuietHdf5 quiet;
  const Handle there(H5Dopen2(group, name, H5P_DEFAULT));
  const signed char stored = value ? 1 : 0;
  return outcome(
      there ? H5Dwrite(there, boolean_type(), H5S_ALL, H5S_ALL, H5P_DEFAULT, &stored) : -1,
      "replacing", name);
}

}  // namespace latticed::record
