// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/record/verify.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "server/record/file_names.hpp"
#include "server/record/image_check.hpp"
#include "server/record/paths.hpp"
#include "server/record/reading.hpp"

namespace latticed::record {
namespace {

struct Stretch {
  std::uint64_t first = 0, end = 0;
};

std::uint64_t field(hid_t file, const char* name) {
  const Handle dataset(H5Dopen2(file, fmt::format("{}/{}", kOwn, name).c_str(), H5P_DEFAULT));
  std::uint64_t value = 0;
  if (dataset) H5Dread(dataset, H5T_NATIVE_UINT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, &value);
  return value;
}

bool flag(hid_t file, const char* name) {
  const Handle dataset(H5Dopen2(file, fmt::format("{}/{}", kOwn, name).c_str(), H5P_DEFAULT));
  signed char value = 0;
  if (dataset) {
    const Handle type(H5Dget_type(dataset));
    H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, &value);
  }
  return value != 0;
}

// Frames and entries of lost ones, as stretches in order of number.
std::vector<Stretch> stretches_of(const std::vector<std::uint64_t>& ids,
                                  const std::vector<std::uint64_t>& lost_first,
                                  const std::vector<std::uint64_t>& lost_count) {
  std::vector<Stretch> out;
  for (const std::uint64_t id : ids) {
    if (!out.empty() && out.back().end == id)
      ++out.back().end;
    else
      out.push_back({id, id + 1});
  }
  for (std::size_t i = 0; i < std::min(lost_first.size(), lost_count.size()); ++i)
    out.push_back({lost_first[i], lost_first[i] + lost_count[i]});
  std::sort(out.begin(), out.end(),
            [](const Stretch& a, const Stretch& b) { return a.first < b.first; });
  return out;
}

// Each number once, from the first to the last.
void check_numbers(const std::vector<Stretch>& stretches, std::vector<std::string>& problems) {
  for (std::size_t i = 1; i < stretches.size(); ++i) {
    const std::uint64_t end = stretches[i - 1].end, next = stretches[i].first;
    if (next > end)
      problems.push_back(
          fmt::format("frames {} to {} are neither there nor listed as lost", end, next - 1));
    if (next < end)
      problems.push_back(fmt::format("frames {} to {} are there twice", next,
                                     std::min(end, stretches[i].end) - 1));
  }
}

void check_columns(hid_t file, std::uint64_t images, std::vector<std::string>& problems) {
  const QuietHdf5 quiet;
  const Handle info(H5Gopen2(file, kFrameInfo, H5P_DEFAULT));
  constexpr std::size_t kMostColumns = 1000;
  for (const std::string& name : files::link_names(info, kMostColumns)) {
    const auto rows = rows_of(info, name);
    if (rows.value_or(0) != images)
      problems.push_back(
          fmt::format("frame_info/{} has {} rows for {} images", name, rows.value_or(0), images));
  }
}

void check_counts(hid_t file, const Verification& found, std::vector<std::string>& problems) {
  for (const auto& [name, wanted] : {std::pair{"images", found.images}, {"lost", found.lost}})
    if (field(file, name) != wanted)
      problems.push_back(
          fmt::format("{} {} according to its totals, {} in it", field(file, name), name, wanted));
}

std::string first_of(const std::vector<std::uint64_t>& numbers, std::uint64_t all) {
  std::string out;
  for (const std::uint64_t number : numbers)
    out += fmt::format("{}{}", out.empty() ? "" : ", ", number);
  return all > numbers.size() ? out + ", ..." : out;
}

Result<Handle> open_to_read(const std::string& path) {
  if (::access(path.c_str(), R_OK) != 0)
    return Error{ErrorCode::unavailable, fmt::format("{}: {}", path, std::strerror(errno))};
  Handle file(H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT));
  // Being written, or its writer was killed.
  if (!file) file = Handle(H5Fopen(path.c_str(), H5F_ACC_RDONLY | H5F_ACC_SWMR_READ, H5P_DEFAULT));
  if (!file) return Error{ErrorCode::data_loss, fmt::format("{}: {}", path, files::hdf5_error())};
  return file;
}

}  // namespace

Result<Verification> verify(const std::string& path, const ImageProgress& progress) {
  const QuietHdf5 quiet;
  Result<Handle> opened = open_to_read(path);
  if (!opened) return opened.error();
  const hid_t file = *opened;
  if (!files::exists(file, kOwn))
    return Error{ErrorCode::data_loss, path + ": no recording of latticed"};
  Result<ImageCheck> check = ImageCheck::open(file);
  if (!check) return Error{check.error().code, path + ": " + check.error().message};

  Verification out;
  out.is_recovered = flag(file, "recovered");
  out.is_complete = !path.ends_with(kPart) &&
                    !files::read_text(file, std::string(kOwn) + "/ended_by").value_or("").empty();
  if (!out.is_complete) out.problems.push_back("it is not complete: see latticectl recover");
  out.images = rows_of(file, kImages).value_or(0);
  const auto ids = read_column<std::uint64_t>(file, std::string(kFrameInfo) + "/frame_id");
  const auto lost_first = read_member(file, kLost, "seq"),
             lost_count = read_member(file, kLost, "count");
  for (const std::uint64_t count : lost_count) out.lost += count;
  if (lost_count.size() != rows_of(file, kLost).value_or(0))
    out.problems.push_back("the list of lost frames cannot be read");
  if (check->images() != out.images)
    out.problems.push_back(fmt::format("{} checksums for {} images", check->images(), out.images));
  if (out.is_complete) {  // of a file that grows, columns are written one after the other
    check_columns(file, out.images, out.problems);
    check_counts(file, out, out.problems);
  }
  check_numbers(stretches_of(ids, lost_first, lost_count), out.problems);
  for (std::uint64_t row = 0; row < check->images(); ++row) {
    if (!may_go_on(progress, row, check->images()))
      return Error{ErrorCode::cancelled, path + ": not verified to its end"};
    if (check->is_as_recorded(row)) continue;
    if (++out.damaged <= Verification::kMostNamed && row < ids.size())
      out.damaged_frames.push_back(ids[row]);
  }
  {
    const Handle images(H5Dopen2(file, kImages, H5P_DEFAULT));
    out.bytes = H5Dget_storage_size(images);
  }
  if (out.damaged > 0)
    out.problems.push_back(fmt::format("{} images are not what was recorded: frames {}",
                                       out.damaged, first_of(out.damaged_frames, out.damaged)));
  return out;
}

}  // namespace latticed::record
