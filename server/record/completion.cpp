// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/record/completion.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "server/record/file_names.hpp"
#include "server/record/frame_table.hpp"
#include "server/record/image_check.hpp"
#include "server/record/page_log.hpp"
#include "server/record/paths.hpp"
#include "server/record/reading.hpp"
#include "server/record/writer_lock.hpp"

namespace latticed::record {
namespace {

// What was written before the last fdatasync cannot be damaged by a crash: one a second is asked
// for, and an overloaded disk needs its time.
constexpr std::int64_t kTail_ns = 30'000'000'000;
constexpr std::uint64_t kLeastTail = 256;  // frames

Result<std::string> seal(Hdf5File file, const std::string& part_path,
                         const RecordingTotals& totals) {
  if (auto ok = lock_as_writer(file.descriptor(), part_path); !ok) return ok.error();
  if (auto ok = enter_totals(file.id(), totals); !ok) return ok.error();
  if (auto ok = file.close(); !ok) return ok.error();
  if (auto ok = sync_path(part_path, O_RDONLY); !ok) return ok.error();
  Result<std::string> path = give_final_name(part_path);
  if (path) remove_page_log(part_path);
  return path;
}

// Whether pages of the file may be older or newer than others: its machine was switched off.
bool may_have_lost_pages(const std::string& part_path) {
  const std::string boot = boot_of_log(page_log_of(part_path));
  return !boot.empty() && boot != boot_id();
}

Result<void> flag_as_damaged(hid_t file, const std::vector<std::uint64_t>& rows) {
  const QuietHdf5 quiet;
  const Handle flags(H5Dopen2(file, (std::string(kFrameInfo) + "/flags").c_str(), H5P_DEFAULT));
  for (const hsize_t row : rows) {
    const hsize_t one = 1;
    const Handle at(H5Dget_space(flags)), memory(H5Screate_simple(1, &one, nullptr));
    std::uint32_t value = 0;
    if (H5Sselect_hyperslab(at, H5S_SELECT_SET, &row, nullptr, &one, nullptr) < 0 ||
        H5Dread(flags, H5T_NATIVE_UINT32, memory, at, H5P_DEFAULT, &value) < 0)
      return hdf5_failure("reading the flags of a damaged image");
    value |= kInfoDamaged;
    if (H5Dwrite(flags, H5T_NATIVE_UINT32, memory, at, H5P_DEFAULT, &value) < 0)
      return hdf5_failure("flagging a damaged image");
  }
  return {};
}

// The first row to be looked at.
std::uint64_t tail_of(hid_t file, std::uint64_t images) {
  const auto times = read_column<std::int64_t>(file, std::string(kFrameInfo) + "/time_ns");
  std::uint64_t first = images > kLeastTail ? images - kLeastTail : 0;
  if (times.size() < images || images == 0 || times[images - 1] == kUnknownTime) return first;
  while (first > 0 && times[first - 1] > times[images - 1] - kTail_ns) --first;
  return first;
}

}  // namespace

Result<std::string> complete(const std::string& part_path, const RecordingTotals& totals) {
  Result<Hdf5File> file = Hdf5File::reopen(part_path);
  if (!file) return file.error();
  return seal(std::move(*file), part_path, totals);
}

Result<std::string> complete_what_is_there(const std::string& part_path, RecordingTotals& totals) {
  Result<Hdf5File> file = Hdf5File::reopen(part_path);
  if (!file) return file.error();
  if (auto ok = trim_and_count(file->id(), totals); !ok) return ok.error();
  return seal(std::move(*file), part_path, totals);
}

Result<Recovered> recover(const std::string& part_path, const RecoverOptions& options) {
  if (is_being_written(part_path))
    return Error{ErrorCode::failed_precondition, part_path + ": it is being written"};
  if (options.was_switched_off.value_or(may_have_lost_pages(part_path))) {
    const Result<PutBack> done = put_back(page_log_of(part_path), part_path);
    if (!done) return done.error();
  }
  Result<Hdf5File> file = Hdf5File::reopen(part_path);
  if (!file) return file.error();
  if (auto ok = lock_as_writer(file->descriptor(), part_path); !ok) return ok.error();
  const QuietHdf5 quiet;
  if (!files::exists(file->id(), std::string(kOwn) + "/recovered"))
    return Error{ErrorCode::data_loss, part_path +
                                           ": no recording of latticed, or its writer was "
                                           "killed before it could hold a frame"};
  const Result<std::uint64_t> there = complete_images(file->id());
  if (!there) return there.error();
  Result<ImageCheck> check = ImageCheck::open(file->id());
  if (!check) return check.error();
  const std::uint64_t before = rows_of(file->id(), kImages).value_or(0);
  std::vector<std::uint64_t> damaged;
  const std::uint64_t first = options.checks_all ? 0 : tail_of(file->id(), *there);
  for (std::uint64_t row = first; row < *there; ++row) {
    if (!may_go_on(options.progress, row - first, *there - first))
      return Error{ErrorCode::cancelled, part_path + ": not recovered, nothing is changed"};
    if (!check->is_as_recorded(row)) damaged.push_back(row);
  }
  std::uint64_t images = *there;
  while (!damaged.empty() && damaged.back() + 1 == images) {
    --images;
    damaged.pop_back();
  }
  check = Error{};  // closed before the file is
  if (auto ok = cut_images(file->id(), images); !ok) return ok.error();
  if (auto ok = flag_as_damaged(file->id(), damaged); !ok) return ok.error();
  RecordingTotals totals;
  if (auto ok = trim_and_count(file->id(), totals); !ok) return ok.error();
  totals.is_recovered = true;
  totals.damaged = damaged.size();
  const std::uint64_t cut = std::max(before, *there) - images;
  totals.ended_by = fmt::format(
      "its writer ended without completing it; recovered, {} incomplete "
      "images cut off its end",
      cut);
  const Result<std::string> path = seal(std::move(*file), part_path, totals);
  if (!path) return path.error();
  return Recovered{*path, images, totals.lost, cut, damaged.size()};
}

}  // namespace latticed::record
