// SPDX-License-Identifier: GPL-3.0-or-later
#include <algorithm>
#include <array>
#include <cctype>
#include <cstring>
#include <exception>
#include <filesystem>
#include <utility>

#include "drivers/files/file.hpp"
#include "drivers/files/hdf5_reader.hpp"
#include "drivers/files/limits.hpp"
#include "drivers/files/movie_reader.hpp"
#include "drivers/files/mrc_reader.hpp"
#include "drivers/files/tiff_directories.hpp"
#include "drivers/files/tiff_reader.hpp"

namespace latticed {
namespace {

using files::File;

enum class Format { unknown, mrc, tiff, hdf5 };

constexpr unsigned char kHdf5Mark[] = {0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n'};

bool begins_with(std::span<const std::byte> head, std::span<const unsigned char> mark) {
  return head.size() >= mark.size() && std::memcmp(head.data(), mark.data(), mark.size()) == 0;
}

/// The HDF5 mark may stand behind a user block of 512, 1024, 2048 ... bytes.
bool has_hdf5_mark(const File& file) {
  std::array<std::byte, sizeof(kHdf5Mark)> mark;
  for (std::uint64_t at = 0; at < file.size() && at <= (1u << 20); at = at == 0 ? 512 : at * 2) {
    auto count = file.read_at(at, mark);
    if (count && *count == mark.size() && begins_with(mark, kHdf5Mark)) return true;
  }
  return false;
}

Format format_by_extension(const std::string& path) {
  std::string extension = std::filesystem::path(path).extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const auto is_one_of = [&](std::initializer_list<const char*> names) {
    return std::find(names.begin(), names.end(), extension) != names.end();
  };
  if (is_one_of({".mrc", ".mrcs", ".map", ".st", ".ali"})) return Format::mrc;
  if (is_one_of({".tif", ".tiff"})) return Format::tiff;
  if (is_one_of({".hspy", ".nxs", ".h5", ".hdf5", ".emd"})) return Format::hdf5;
  return Format::unknown;
}

Result<Format> format_of(const File& file) {
  std::array<std::byte, 256> bytes;
  auto count = file.read_at(0, bytes);
  if (!count) return count.error();
  const auto head = std::span<const std::byte>(bytes).first(*count);
  if (head.empty())
    return files::open_error(ErrorCode::data_loss, file.path(), "the file is empty");
  if (files::has_mrc_mark(head)) return Format::mrc;
  if (files::has_tiff_mark(head)) return Format::tiff;
  if (has_hdf5_mark(file)) return Format::hdf5;
  return format_by_extension(file.path());
}

}  // namespace

Result<std::unique_ptr<MovieReader>> open_movie(const std::string& path) try {
  auto file = File::open(path);
  if (!file) return file.error();
  auto format = format_of(*file);
  if (!format) return format.error();
  switch (*format) {
    case Format::mrc:
      return files::open_mrc(std::move(*file));
    case Format::tiff:
      return files::open_tiff(std::move(*file));
    case Format::hdf5:
      return files::open_hdf5(*file);
    case Format::unknown:
      break;
  }
  return files::open_error(ErrorCode::invalid_argument, path,
                           "no movie format this reads, expected mrc, tiff, hspy, nexus or hdf5");
} catch (const std::exception& problem) {
  return files::open_error(ErrorCode::resource_exhausted, path, problem.what());
}

}  // namespace latticed
