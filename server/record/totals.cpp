// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/record/totals.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <optional>
#include <utility>
#include <vector>

#include "server/record/frame_table.hpp"
#include "server/record/hdf5_author.hpp"
#include "server/record/holder_logs_writer.hpp"
#include "server/record/paths.hpp"
#include "server/record/reading.hpp"

namespace latticed::record {
namespace {

std::string column(const std::string& name) { return fmt::format("{}/{}", kFrameInfo, name); }

// Seconds from frame to frame; nothing when no two frames have a time.
std::optional<double> median_period(hid_t file) {
  const auto times = read_column<std::int64_t>(file, column("time_ns"));
  const auto ids = read_column<std::uint64_t>(file, column("frame_id"));
  std::vector<double> periods;
  for (std::size_t i = 1; i < std::min(times.size(), ids.size()); ++i) {
    if (times[i] == kUnknownTime || times[i - 1] == kUnknownTime || ids[i] <= ids[i - 1]) continue;
    periods.push_back(1e-9 * static_cast<double>(times[i] - times[i - 1]) /
                      static_cast<double>(ids[i] - ids[i - 1]));
  }
  if (periods.empty()) return std::nullopt;
  const auto middle = periods.begin() + static_cast<std::ptrdiff_t>(periods.size() / 2);
  std::nth_element(periods.begin(), middle, periods.end());
  if (!(*middle > 0.0)) return std::nullopt;
  return *middle;
}

std::uint64_t count_holder_samples(hid_t file) {
  constexpr std::size_t kMostSensors = 1000;
  const std::string path = fmt::format("{}/instrument", kEvent);
  const Handle instrument(H5Gopen2(file, path.c_str(), H5P_DEFAULT));
  std::uint64_t samples = 0;
  if (!instrument) return samples;
  for (const std::string& sensor : files::link_names(instrument, kMostSensors)) {
    if (!sensor.starts_with("sensor_bias_voltage")) continue;  // all of a holder share their times
    const Handle times(H5Dopen2(instrument, (sensor + "/value_log/time").c_str(), H5P_DEFAULT));
    const auto extent = times ? files::extent_of(times) : std::vector<hsize_t>{};
    if (!extent.empty()) samples += extent[0];
  }
  return samples;
}

// A log nobody wrote to says no more than one that is not there, and HyperSpy 1.7 opens no file
// with an empty dataset in its metadata.
Result<void> remove_silent_sensors(hid_t file) {
  constexpr std::size_t kMostSensors = 1000;
  const Handle instrument(
      H5Gopen2(file, fmt::format("{}/instrument", kEvent).c_str(), H5P_DEFAULT));
  if (!instrument) return {};
  for (const std::string& sensor : files::link_names(instrument, kMostSensors)) {
    if (!sensor.starts_with("sensor_")) continue;
    if (rows_of(instrument, sensor + "/value_log/time") != 0u) continue;
    if (H5Ldelete(instrument, sensor.c_str(), H5P_DEFAULT) < 0)
      return hdf5_failure("removing " + sensor + ", which has no sample");
  }
  return {};
}

// When the run ended, as far as the file says; empty: it does not.
std::string end_of(hid_t file, std::int64_t ended_ns) {
  if (ended_ns != kUnknownTime) return iso8601(ended_ns);
  const auto times = read_column<std::int64_t>(file, column("time_ns"));
  if (times.empty() || times.back() == kUnknownTime) return {};
  return iso8601(times.back());
}

// Images, and all that has a row for each.
std::vector<std::string> paths_of_rows() {
  std::vector<std::string> paths{kImages, fmt::format("{}/indices_image", kStack)};
  for (const std::string& name : frame_column_names()) paths.push_back(column(name));
  return paths;
}

}  // namespace

Result<void> enter_totals(hid_t file, const RecordingTotals& totals) {
  const QuietHdf5 quiet;
  const Handle entry(H5Gopen2(file, "/entry", H5P_DEFAULT)),
      event(H5Gopen2(file, kEvent, H5P_DEFAULT)), own(H5Gopen2(file, kOwn, H5P_DEFAULT)),
      axis(H5Gopen2(file, "/Experiments/frames/axis-0", H5P_DEFAULT));
  if (!entry || !event || !own || !axis) return hdf5_failure("opening the groups of a recording");
  const std::string ended = end_of(file, totals.ended_ns);
  if (auto ok = replace_text_field(entry, "end_time", ended); !ok) return ok;
  if (auto ok = replace_text_field(event, "end_time", ended); !ok) return ok;
  if (auto ok = replace_text_field(own, "ended_by", totals.ended_by); !ok) return ok;
  if (auto ok = replace_boolean_field(own, "recovered", totals.is_recovered); !ok) return ok;
  const std::pair<const char*, std::uint64_t> counts[] = {
      {"images", totals.images},
      {"damaged", totals.damaged},
      {"lost", totals.lost},
      {"events", totals.events},
      {"events_missed", totals.events_missed},
      {"holder_samples", totals.holder_samples},
      {"holder_samples_missed", totals.holder_samples_missed}};
  for (const auto& [name, count] : counts)
    if (auto ok = replace_integer_field(own, name, count); !ok) return ok;
  if (auto ok = remove_silent_sensors(file); !ok) return ok;
  if (const auto period = median_period(file))
    if (auto ok = replace_number(axis, "scale", *period); !ok) return ok;
  return replace_integer(axis, "size", static_cast<std::int64_t>(totals.images));
}

Result<std::uint64_t> complete_images(hid_t file) {
  const QuietHdf5 quiet;
  std::uint64_t rows = std::numeric_limits<std::uint64_t>::max();
  for (const std::string& path : paths_of_rows()) {
    const auto there = rows_of(file, path);
    if (!there) return hdf5_failure("opening " + path);
    rows = std::min(rows, *there);
  }
  return rows;
}

Result<void> cut_images(hid_t file, std::uint64_t images) {
  const QuietHdf5 quiet;
  for (const std::string& path : paths_of_rows()) {
    const Handle dataset(H5Dopen2(file, path.c_str(), H5P_DEFAULT));
    auto extent = dataset ? files::extent_of(dataset) : std::vector<hsize_t>{};
    if (extent.empty()) return hdf5_failure("opening " + path);
    if (extent.front() <= images) continue;
    extent.front() = images;
    if (H5Dset_extent(dataset, extent.data()) < 0) return hdf5_failure("cutting " + path);
  }
  return {};
}

Result<void> trim_and_count(hid_t file, RecordingTotals& totals) {
  const QuietHdf5 quiet;
  const Result<std::uint64_t> images = complete_images(file);
  if (!images) return images.error();
  if (auto ok = cut_images(file, *images); !ok) return ok;
  totals.images = *images;
  const auto lost = read_member(file, kLost, "count");
  totals.lost = std::accumulate(lost.begin(), lost.end(), std::uint64_t{0});
  const auto events = read_member(file, kEvents, "id");
  totals.events = events.empty() ? 0 : events.back() + 1;
  totals.holder_samples = count_holder_samples(file);
  return {};
}

}  // namespace latticed::record
