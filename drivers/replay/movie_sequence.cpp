// SPDX-License-Identifier: GPL-3.0-or-later
#include "drivers/replay/movie_sequence.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace latticed {
namespace {

std::string describe(const FrameGeometry& geometry) {
  return std::to_string(geometry.width) + " x " + std::to_string(geometry.height) + " " +
         std::string(to_string(geometry.type));
}

}  // namespace

Result<std::unique_ptr<MovieSequence>> MovieSequence::open(const std::vector<std::string>& paths) {
  if (paths.empty()) return Error{ErrorCode::invalid_argument, "open a movie: no file was named"};
  auto sequence = std::make_unique<MovieSequence>();
  for (const std::string& path : paths) {
    auto reader = open_movie(path);
    if (!reader) return reader.error();
    sequence->append(path, std::move(*reader));
  }
  return sequence;
}

void MovieSequence::append(const std::string& path, std::unique_ptr<MovieReader> reader) {
  const MovieInfo& info = reader->info();
  if (parts_.empty()) {
    info_ = info;
    info_.frame_count = 0;
    info_.time_ns.clear();
  } else {
    info_.remarks.insert(info_.remarks.end(), info.remarks.begin(), info.remarks.end());
    remark_differences(path, info);
  }
  Part part;
  part.path = path;
  part.first = info_.frame_count;
  part.count = info.frame_count;
  part.geometry = info.geometry;
  part.time_ns = info.time_ns;
  info_.frame_count += info.frame_count;
  if (parts_.size() < kMaxOpenFiles) part.reader = std::move(reader);
  parts_.push_back(std::move(part));
}

void MovieSequence::remark_differences(const std::string& path, const MovieInfo& other) {
  if (other.geometry != info_.geometry) {
    info_.remarks.push_back("'" + path + "': frames of " + describe(other.geometry) +
                            ", the first file has " + describe(info_.geometry) +
                            "; its frames count as lost");
  } else if (std::abs(other.pixel_size_nm - info_.pixel_size_nm) > 1e-3 * info_.pixel_size_nm) {
    info_.remarks.push_back(
        "'" + path + "': pixel size " + std::to_string(other.pixel_size_nm) +
        " nm, that of the first file is used: " + std::to_string(info_.pixel_size_nm) + " nm");
  }
}

std::size_t MovieSequence::part_of(std::uint64_t index) const noexcept {
  const auto after =
      std::upper_bound(parts_.begin(), parts_.end(), index,
                       [](std::uint64_t wanted, const Part& part) { return wanted < part.first; });
  return static_cast<std::size_t>(after - parts_.begin()) - 1;
}

Result<MovieReader*> MovieSequence::reader_of(std::size_t part) {
  if (parts_[part].reader) return parts_[part].reader.get();
  if (reopened_ >= kMaxOpenFiles) parts_[reopened_].reader.reset();
  reopened_ = part;
  auto reader = open_movie(parts_[part].path);
  if (!reader) return Error{ErrorCode::data_loss, reader.error().message};
  if ((*reader)->info().geometry != parts_[part].geometry) {
    return Error{ErrorCode::failed_precondition,
                 "open '" + parts_[part].path + "': the file has changed since the start"};
  }
  parts_[part].reader = std::move(*reader);
  return parts_[part].reader.get();
}

Result<void> MovieSequence::read(std::uint64_t index, std::span<std::byte> pixels) {
  if (index >= info_.frame_count) {
    return Error{ErrorCode::out_of_range, "read frame " + std::to_string(index) + ": there are " +
                                              std::to_string(info_.frame_count)};
  }
  const std::size_t part = part_of(index);
  if (parts_[part].geometry != info_.geometry) {
    return Error{ErrorCode::failed_precondition,
                 "read frame " + std::to_string(index) + " of '" + parts_[part].path + "': " +
                     describe(parts_[part].geometry) + ", expected " + describe(info_.geometry)};
  }
  auto reader = reader_of(part);
  if (!reader) return reader.error();
  return (*reader)->read(index - parts_[part].first, pixels);
}

std::int64_t MovieSequence::time_ns(std::uint64_t index) const noexcept {
  if (index >= info_.frame_count) return kUnknownTime;
  const Part& part = parts_[part_of(index)];
  const std::uint64_t local = index - part.first;
  return local < part.time_ns.size() ? part.time_ns[local] : kUnknownTime;
}

}  // namespace latticed
