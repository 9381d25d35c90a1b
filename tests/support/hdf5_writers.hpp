// SPDX-License-Identifier: GPL-3.0-or-later
// Small HDF5 movies for tests: the three layouts the reader knows, pixels from test_value().
#pragma once

#include <hdf5.h>

#include <functional>
#include <string>
#include <vector>

#include "tests/support/movie_writers.hpp"

namespace latticed::test {

inline void put_text(hid_t object, const char* name, const std::string& text) {
  const hid_t type = H5Tcopy(H5T_C_S1);
  H5Tset_size(type, text.empty() ? 1 : text.size());
  const hid_t space = H5Screate(H5S_SCALAR);
  const hid_t attribute = H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
  H5Awrite(attribute, type, text.c_str());
  H5Aclose(attribute);
  H5Sclose(space);
  H5Tclose(type);
}

/// A variable-length string, as HyperSpy writes them.
inline void put_variable_text(hid_t object, const char* name, const char* text) {
  const hid_t type = H5Tcopy(H5T_C_S1);
  H5Tset_size(type, H5T_VARIABLE);
  const hid_t space = H5Screate(H5S_SCALAR);
  const hid_t attribute = H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
  H5Awrite(attribute, type, &text);
  H5Aclose(attribute);
  H5Sclose(space);
  H5Tclose(type);
}

inline void put_text_list(hid_t object, const char* name, const std::vector<std::string>& texts) {
  constexpr std::size_t kSize = 16;
  std::string bytes;
  for (const auto& text : texts) bytes += text + std::string(kSize - text.size(), '\0');
  const hid_t type = H5Tcopy(H5T_C_S1);
  H5Tset_size(type, kSize);
  const hsize_t count = texts.size();
  const hid_t space = H5Screate_simple(1, &count, nullptr);
  const hid_t attribute = H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
  H5Awrite(attribute, type, bytes.data());
  H5Aclose(attribute);
  H5Sclose(space);
  H5Tclose(type);
}

inline void put_number(hid_t object, const char* name, double value) {
  const hid_t space = H5Screate(H5S_SCALAR);
  const hid_t attribute = H5Acreate2(object, name, H5T_IEEE_F64LE, space, H5P_DEFAULT, H5P_DEFAULT);
  H5Awrite(attribute, H5T_NATIVE_DOUBLE, &value);
  H5Aclose(attribute);
  H5Sclose(space);
}

inline hid_t new_group(hid_t where, const std::string& path) {
  const hid_t links = H5Pcreate(H5P_LINK_CREATE);
  H5Pset_create_intermediate_group(links, 1);
  const hid_t group = H5Gcreate2(where, path.c_str(), links, H5P_DEFAULT, H5P_DEFAULT);
  H5Pclose(links);
  return group;
}

inline void put_axis(hid_t group, const char* name, int count, double step, const char* units) {
  std::vector<double> values;
  for (int i = 0; i < count; ++i) values.push_back(5.0 + step * i);
  const hsize_t extent = values.size();
  const hid_t space = H5Screate_simple(1, &extent, nullptr);
  const hid_t data =
      H5Dcreate2(group, name, H5T_IEEE_F64LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
  H5Dwrite(data, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data());
  put_text(data, "units", units);
  H5Dclose(data);
  H5Sclose(space);
}

/// How a stack is stored. Frames from `written` on are left out of a chunked one.
struct StackStorage {
  hid_t type = H5T_STD_U16LE;
  hsize_t frames_per_chunk = 0;  // 0 = contiguous
  int deflate = 0;
  int written = -1;  // -1 = all
};

inline void put_stack(hid_t group, const char* name, const SmallMovie& movie,
                      const StackStorage& storage = {}) {
  const hsize_t extent[] = {static_cast<hsize_t>(movie.frames), static_cast<hsize_t>(movie.height),
                            static_cast<hsize_t>(movie.width)};
  const hid_t plist = H5Pcreate(H5P_DATASET_CREATE);
  if (storage.frames_per_chunk > 0) {
    const hsize_t chunk[] = {storage.frames_per_chunk, extent[1], extent[2]};
    H5Pset_chunk(plist, 3, chunk);
    if (storage.deflate > 0) H5Pset_deflate(plist, static_cast<unsigned>(storage.deflate));
  }
  const hid_t space = H5Screate_simple(3, extent, nullptr);
  const hid_t data = H5Dcreate2(group, name, storage.type, space, H5P_DEFAULT, plist, H5P_DEFAULT);
  std::vector<int> pixels(extent[1] * extent[2]);
  const hsize_t one[] = {1, extent[1], extent[2]};
  const hid_t memory = H5Screate_simple(3, one, nullptr);
  for (int frame = 0; frame < (storage.written < 0 ? movie.frames : storage.written); ++frame) {
    for (int y = 0; y < movie.height; ++y) {
      for (int x = 0; x < movie.width; ++x) {
        pixels[static_cast<std::size_t>(y * movie.width + x)] = test_value(frame, y, x);
      }
    }
    const hsize_t start[] = {static_cast<hsize_t>(frame), 0, 0};
    H5Sselect_hyperslab(space, H5S_SELECT_SET, start, nullptr, one, nullptr);
    H5Dwrite(data, H5T_NATIVE_INT, memory, space, H5P_DEFAULT, pixels.data());
  }
  H5Sclose(memory);
  H5Dclose(data);
  H5Sclose(space);
  H5Pclose(plist);
}

/// A new file at `path`, filled by `fill`.
inline std::string write_hdf5(const std::string& path, const std::function<void(hid_t)>& fill) {
  const hid_t file = H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  fill(file);
  H5Fclose(file);
  return path;
}

/// HyperSpy's layout with 0.02 nm a pixel and 40 ms a frame.
inline void fill_hspy(hid_t file, const SmallMovie& movie, const StackStorage& storage = {},
                      const char* units = "nm") {
  put_variable_text(file, "file_format", "HyperSpy");
  const hid_t signal = new_group(file, "/Experiments/movie");
  put_stack(signal, "data", movie, storage);
  for (const int axis : {0, 1, 2}) {
    const hid_t group = new_group(signal, "axis-" + std::to_string(axis));
    put_number(group, "scale", axis == 0 ? 40.0 : 0.02);
    put_number(group, "navigate", axis == 0 ? 1.0 : 0.0);
    put_variable_text(group, "units", axis == 0 ? "ms" : units);
    H5Gclose(group);
  }
  H5Gclose(signal);
}

}  // namespace latticed::test
