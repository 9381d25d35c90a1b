// SPDX-License-Identifier: GPL-3.0-or-later
// Recordings read back in C++: columns and fields by their path.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <type_traits>
#include <vector>

#include "drivers/files/hdf5_handle.hpp"

namespace latticed::test {

class ReadRecording {
 public:
  explicit ReadRecording(const std::string& path)
      : file_(H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT)) {
    EXPECT_TRUE(file_) << path;
  }
  [[nodiscard]] hid_t id() const { return file_; }

  template <class Value>
  [[nodiscard]] std::vector<Value> column(const std::string& path) const {
    const files::Handle dataset(H5Dopen2(file_, path.c_str(), H5P_DEFAULT));
    EXPECT_TRUE(dataset) << path;
    const files::Handle space(H5Dget_space(dataset));
    const hssize_t count = H5Sget_simple_extent_npoints(space);
    std::vector<Value> values(count > 0 ? static_cast<std::size_t>(count) : 0);
    if (!values.empty()) {
      EXPECT_GE(H5Dread(dataset, type_of<Value>(), H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()),
                0);
    }
    return values;
  }
  template <class Value>
  [[nodiscard]] std::vector<Value> info(const std::string& name) const {
    return column<Value>("/entry/measurement/event1/frame_info/" + name);
  }
  [[nodiscard]] std::string text(const std::string& path) const {
    const files::Handle dataset(H5Dopen2(file_, path.c_str(), H5P_DEFAULT));
    const files::Handle type(H5Dget_type(dataset));
    std::string bytes(H5Tget_size(type), '\0');
    EXPECT_GE(H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, bytes.data()), 0) << path;
    return bytes.c_str();
  }
  /// One member of every row of a table.
  template <class Value>
  [[nodiscard]] std::vector<Value> member(const std::string& path, const char* name) const {
    const files::Handle dataset(H5Dopen2(file_, path.c_str(), H5P_DEFAULT));
    const files::Handle type(H5Tcreate(H5T_COMPOUND, sizeof(Value)));
    H5Tinsert(type, name, 0, type_of<Value>());
    const auto extent = files::extent_of(dataset);
    std::vector<Value> values(static_cast<std::size_t>(extent.at(0)));
    if (!values.empty()) {
      EXPECT_GE(H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()), 0) << name;
    }
    return values;
  }
  [[nodiscard]] std::vector<std::string> member_texts(const std::string& path,
                                                      const char* name) const {
    const files::Handle dataset(H5Dopen2(file_, path.c_str(), H5P_DEFAULT));
    const files::Handle text(H5Tcopy(H5T_C_S1));
    H5Tset_size(text, 1024);
    H5Tset_cset(text, H5T_CSET_UTF8);
    const files::Handle type(H5Tcreate(H5T_COMPOUND, 1024));
    H5Tinsert(type, name, 0, text);
    const auto extent = files::extent_of(dataset);
    std::vector<char> bytes(1024 * static_cast<std::size_t>(extent.at(0)));
    if (!bytes.empty()) {
      EXPECT_GE(H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, bytes.data()), 0) << name;
    }
    std::vector<std::string> texts;
    for (std::size_t i = 0; i < bytes.size(); i += 1024) texts.emplace_back(&bytes[i]);
    return texts;
  }

 private:
  template <class Value>
  static hid_t type_of() {
    if constexpr (std::is_same_v<Value, signed char>) {  // h5py's bool
      static const hid_t boolean = [] {
        const hid_t type = H5Tenum_create(H5T_NATIVE_SCHAR);
        signed char value = 0;
        H5Tenum_insert(type, "FALSE", &value);
        value = 1;
        H5Tenum_insert(type, "TRUE", &value);
        return type;
      }();
      return boolean;
    }
    if constexpr (std::is_same_v<Value, double>) return H5T_NATIVE_DOUBLE;
    if constexpr (std::is_same_v<Value, float>) return H5T_NATIVE_FLOAT;
    if constexpr (std::is_same_v<Value, std::uint8_t>) return H5T_NATIVE_UINT8;
    if constexpr (std::is_same_v<Value, std::uint16_t>) return H5T_NATIVE_UINT16;
    if constexpr (std::is_same_v<Value, std::uint32_t>) return H5T_NATIVE_UINT32;
    if constexpr (std::is_same_v<Value, std::uint64_t>) return H5T_NATIVE_UINT64;
    if constexpr (std::is_same_v<Value, std::int64_t>) return H5T_NATIVE_INT64;
  }
  files::Handle file_;
};

}  // namespace latticed::test
