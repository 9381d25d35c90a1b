// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/record/recording.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "server/record/completion.hpp"
#include "server/record/file_names.hpp"
#include "server/record/page_log.hpp"
#include "server/record/run_events.hpp"
#include "server/record/writer_lock.hpp"

namespace latticed::record {
Result<std::unique_ptr<Recording>> Recording::create(const std::string& directory,
                                                     RecordingFacts facts) {
  const std::string stem = (std::filesystem::path(directory) / facts.name).string();
  for (int number = 1; number < kMostNumbers; ++number) {
    const std::string base = numbered(stem, number), part = base + std::string(kPart);
    if (is_taken(base + std::string(kFinal))) continue;
    Result<Hdf5File> file = Hdf5File::create(part);
    if (!file) {
      if (file.error().code == ErrorCode::failed_precondition) continue;
      return file.error();
    }
    Result<RecordingTables> tables = make_layout(file->id(), facts);
    Result<void> ok = tables ? file->start_swmr() : Result<void>(tables.error());
    if (ok) ok = lock_as_writer(file->descriptor(), part);
    if (!ok) {
      ::unlink(part.c_str());
      return ok.error();
    }
    return std::unique_ptr<Recording>(
        new Recording(std::move(*file), std::move(*tables), std::move(facts), part));
  }
  return Error{ErrorCode::failed_precondition, "no number is free for " + stem};
}

Recording::Recording(Hdf5File file, RecordingTables tables, RecordingFacts facts,
                     std::string part_path)
    : facts_(std::move(facts)),
      part_path_(std::move(part_path)),
      file_(std::move(file)),
      tables_(std::move(tables)),
      states_(facts_.holders) {
  add(event_of_first_rules(facts_.run, facts_.started_ns));
}

Recording::~Recording() {
  // Not finished: it stays a .part, as after a power cut.
  const QuietHdf5 quiet;
  tables_ = {};
  file_ = Hdf5File();
}

Result<void> Recording::add(const Frame& frame, const StoredImage& image) {
  if (frame.change) add(event_of_change(frame));
  if (!frame.has_pixels()) {
    tables_.lost.add({frame, images_});
    lost_frames_ += frame.header.lost_count;
    follows_gap_ = true;
    return {};
  }
  if (auto ok = add_image(frame, image); !ok) return ok;
  FrameRow row = row_of(frame, facts_.run, facts_.started_ns);
  row.crc32c = image.crc32c;
  if (follows_gap_) row.flags |= kInfoGap;
  follows_gap_ = false;
  states_.enter(row, images_ - 1);
  if (!tables_.frames.add(row)) {
    if (auto ok = tables_.frames.write(); !ok) return ok;
    tables_.frames.add(row);
  }
  for (const Spot& spot : frame.measurements.spots)
    tables_.spots.add({frame.seq, spot, facts_.run.pixel_size_nm});
  for (const Lattice& lattice : frame.measurements.lattices)
    tables_.lattices.add({frame.seq, lattice, facts_.run.pixel_size_nm});
  for (const SuperlatticeSpot& spot : frame.measurements.superlattice)
    tables_.superlattice.add({frame.seq, spot});
  if (const auto& sum = frame.measurements.sum) {
    tables_.sums.add({frame.seq, *sum});
    for (const Spot& spot : sum->spots)
      tables_.sum_spots.add({frame.seq, spot, facts_.run.pixel_size_nm});
    if (sum->lattice)
      tables_.sum_lattices.add({frame.seq, *sum->lattice, facts_.run.pixel_size_nm});
  }
  for (const AlertEvent& alert : frame.measurements.alerts)
    add(event_of(alert, frame, facts_.run.rules));
  return {};
}

Result<void> Recording::add_image(const Frame& frame, const StoredImage& image) {
  const FrameGeometry& geometry = facts_.run.configuration.geometry;
  if (!(frame.geometry == geometry))
    return Error{ErrorCode::failed_precondition,
                 fmt::format("frame {} has another size than the recording", frame.seq)};
  const bool has_filter = facts_.profile == RecordingProfile::compact;
  if (image.is_packed ? !has_filter : image.bytes.size() != geometry.bytes())
    return Error{
        ErrorCode::internal,
        fmt::format("frame {} has {} bytes, packed: {}, for a recording of profile {}", frame.seq,
                    image.bytes.size(), image.is_packed, to_string(facts_.profile))};
  // A bit set in the mask: this chunk is without that filter.
  const std::uint32_t mask = has_filter && !image.is_packed ? 1 : 0;
  const QuietHdf5 quiet;
  const hsize_t extent[] = {images_ + 1, static_cast<hsize_t>(geometry.height),
                            static_cast<hsize_t>(geometry.width)},
                at[] = {images_, 0, 0};
  if (H5Dset_extent(tables_.images, extent) < 0 ||
      H5Dwrite_chunk(tables_.images, H5P_DEFAULT, mask, at, image.bytes.size(),
                     image.bytes.data()) < 0)
    return hdf5_failure(fmt::format("writing frame {}", frame.seq));
  ++images_;
  stored_bytes_ += image.bytes.size();
  return {};
}

std::string Recording::directory() const {
  return std::filesystem::path(part_path_).parent_path().string();
}

Result<bool> Recording::follow() {
  struct stat here {
  }, named{};
  if (::fstat(descriptor(), &here) != 0)
    return Error{ErrorCode::data_loss,
                 fmt::format("looking for {}: {}", part_path_, std::strerror(errno))};
  if (::stat(part_path_.c_str(), &named) == 0 && named.st_ino == here.st_ino &&
      named.st_dev == here.st_dev)
    return false;
  std::error_code problem;
  const auto now =
      std::filesystem::read_symlink(fmt::format("/proc/self/fd/{}", descriptor()), problem);
  if (here.st_nlink == 0 || problem)
    return Error{ErrorCode::data_loss,
                 fmt::format("{} was removed while it was written", part_path_)};
  remove_page_log(part_path_);  // where the log was not moved along
  part_path_ = now.string();
  return true;
}

bool Recording::has_news() const {
  return tables_.frames.has_news() || tables_.spots.has_news() || tables_.lattices.has_news() ||
         tables_.superlattice.has_news() || tables_.sums.has_news() ||
         tables_.sum_spots.has_news() || tables_.sum_lattices.has_news() ||
         tables_.lost.has_news() || tables_.events.has_news() || tables_.holders.has_news();
}

Result<void> Recording::flush() {
  if (auto ok = tables_.holders.write(); !ok) return ok;
  states_.settle(tables_.frames);
  if (auto ok = tables_.frames.write(); !ok) return ok;
  if (auto ok = tables_.spots.write(); !ok) return ok;
  if (auto ok = tables_.lattices.write(); !ok) return ok;
  if (auto ok = tables_.superlattice.write(); !ok) return ok;
  if (auto ok = tables_.sums.write(); !ok) return ok;
  if (auto ok = tables_.sum_spots.write(); !ok) return ok;
  if (auto ok = tables_.sum_lattices.write(); !ok) return ok;
  if (auto ok = tables_.lost.write(); !ok) return ok;
  if (auto ok = tables_.events.write(); !ok) return ok;
  return file_.flush();
}

RecordingTotals Recording::totals(const End& end) const {
  RecordingTotals out;
  out.ended_ns = end.ended_ns;
  out.ended_by = end.why;
  out.images = images_;
  out.lost = lost_frames_;
  out.events = tables_.events.count();
  out.events_missed = end.events_missed;
  out.holder_samples = tables_.holders.samples();
  out.holder_samples_missed = tables_.holders.missed();
  return out;
}

Result<std::string> Recording::finish(const End& end) {
  const QuietHdf5 quiet;
  if (auto ok = tables_.holders.write(); !ok) return ok.error();
  states_.settle_for_good(tables_.frames);
  if (auto ok = flush(); !ok) return ok.error();
  RecordingTotals all = totals(end);
  tables_ = {};
  if (auto ok = file_.close(); !ok) return ok.error();
  return complete(part_path_, all);
}

Result<std::string> Recording::rescue(const End& end) {
  const QuietHdf5 quiet;
  // What still goes to the disk goes; from there on nothing may.
  if (file_.is_open()) (void)flush();
  RecordingTotals all = totals(end);
  file_.abandon();
  tables_ = {};
  Result<std::string> path = complete_what_is_there(part_path_, all);
  images_ = all.images;
  return path;
}

void Recording::discard() {
  const QuietHdf5 quiet;
  tables_ = {};
  file_ = Hdf5File();
  ::unlink(part_path_.c_str());
  remove_page_log(part_path_);
}

}  // namespace latticed::record
