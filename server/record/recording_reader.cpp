// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/record/recording_reader.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <limits>
#include <utility>

#include "drivers/files/hdf5_filters.hpp"
#include "drivers/files/hdf5_probe.hpp"
#include "server/record/paths.hpp"

namespace latticed::record {
namespace {

using files::Handle;
using files::QuietHdf5;

const std::string kEntry = "/entry";
const std::string kInfo = kFrameInfo;
const std::string kDetector = "/entry/measurement/instrument/detector1";
constexpr std::size_t kMostNames = 10'000;  // of columns or sensors
constexpr double kKilovolt = 1000.0;

Error said(ErrorCode code, const std::string& path, const std::string& why) {
  return {code, fmt::format("reading the recording {}: {}", path, why)};
}

/// Complete, or still being written, or left by a writer that was killed.
Result<Handle> open_file(const std::string& path, bool& is_being_written) {
  if (::access(path.c_str(), R_OK) != 0)
    return said(ErrorCode::unavailable, path, std::strerror(errno));
  is_being_written = false;
  Handle file(H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT));
  if (file) return file;
  const std::string reason = files::hdf5_error();
  file = Handle(H5Fopen(path.c_str(), H5F_ACC_RDONLY | H5F_ACC_SWMR_READ, H5P_DEFAULT));
  is_being_written = static_cast<bool>(file);
  if (file) return file;
  return said(ErrorCode::data_loss, path, "not a whole HDF5 file: " + reason);
}

Result<void> check_layout(hid_t file, const std::string& path) {
  const auto layout = files::text_attribute(file, "latticed_layout");
  if (!layout)
    return said(ErrorCode::invalid_argument, path,
                "not written by latticed (it has no attribute latticed_layout)");
  if (!layout->starts_with("1."))
    return said(ErrorCode::invalid_argument, path,
                fmt::format("its layout is {}, this version of latticed reads 1.x", *layout));
  return {};
}

std::optional<PixelType> pixel_type_of(hid_t images) {
  const Handle stored(H5Dget_type(images));
  const std::size_t bytes = H5Tget_size(stored);
  if (H5Tget_class(stored) == H5T_FLOAT)
    return bytes == sizeof(float) ? std::optional(PixelType::f32) : std::nullopt;
  if (H5Tget_class(stored) != H5T_INTEGER) return std::nullopt;
  const bool is_signed = H5Tget_sign(stored) == H5T_SGN_2;
  if (bytes == 1) return is_signed ? PixelType::i8 : PixelType::u8;
  if (bytes == 2) return is_signed ? PixelType::i16 : PixelType::u16;
  if (bytes == 4) return is_signed ? PixelType::i32 : PixelType::u32;
  return std::nullopt;
}

hid_t native_type_of(PixelType type) {
  switch (type) {
    case PixelType::u8:
      return H5T_NATIVE_UINT8;
    case PixelType::i8:
      return H5T_NATIVE_INT8;
    case PixelType::u16:
      return H5T_NATIVE_UINT16;
    case PixelType::i16:
      return H5T_NATIVE_INT16;
    case PixelType::u32:
      return H5T_NATIVE_UINT32;
    case PixelType::i32:
      return H5T_NATIVE_INT32;
    case PixelType::f32:
      break;
  }
  return H5T_NATIVE_FLOAT;
}

Result<FrameGeometry> geometry_of(hid_t images, const std::string& path) {
  const auto extent = files::extent_of(images);
  const auto type = pixel_type_of(images);
  constexpr hsize_t kMostSide = 1 << 20;
  if (extent.size() != 3 || !type || extent[1] == 0 || extent[2] == 0 || extent[1] > kMostSide ||
      extent[2] > kMostSide)
    return said(ErrorCode::data_loss, path, std::string(kImages) + " is no stack of images");
  return FrameGeometry{static_cast<int>(extent[2]), static_cast<int>(extent[1]), *type};
}

/// Rows that the images and every column have: a writer may be between two of them.
Result<std::uint64_t> complete_rows(hid_t file, hid_t images, const std::string& path) {
  hsize_t rows = files::extent_of(images).front();
  const Handle info(H5Gopen2(file, kInfo.c_str(), H5P_DEFAULT));
  if (!info) return said(ErrorCode::data_loss, path, "it has no " + kInfo);
  for (const std::string& name : files::link_names(info, kMostNames)) {
    const Handle column(H5Dopen2(info, name.c_str(), H5P_DEFAULT));
    const auto extent = column ? files::extent_of(column) : std::vector<hsize_t>{};
    if (extent.size() != 1)
      return said(ErrorCode::data_loss, path, fmt::format("{}/{} is no column", kInfo, name));
    rows = std::min(rows, extent.front());
  }
  return rows;
}

/// What nobody on this machine can unpack; empty: nothing.
std::string missing_filter_of(hid_t images) {
  constexpr H5Z_filter_t kBlosc = 32001;
  const Handle creation(H5Dget_create_plist(images));
  for (int i = 0; i < H5Pget_nfilters(creation); ++i) {
    std::size_t values = 0;
    char name[64] = {};
    const H5Z_filter_t filter = H5Pget_filter2(creation, static_cast<unsigned>(i), nullptr, &values,
                                               nullptr, sizeof name, name, nullptr);
    if (filter < 0 || H5Zfilter_avail(filter) > 0) continue;
    return fmt::format(
        "its images are compressed with HDF5 filter {} ({}), which is not installed here{}", filter,
        filter == kBlosc ? "blosc" : name,
        filter == kBlosc ? ": Debian's package is hdf5-filter-plugin-blosc-serial" : "");
  }
  return {};
}

std::string text_of(hid_t file, const std::string& path) {
  return files::read_text(file, path).value_or("");
}

/// Of "2026-11-24T03:00:00.123456789Z".
std::int64_t nanoseconds_of(const std::string& iso) {
  std::tm utc{};
  long long rest = 0;
  if (std::sscanf(iso.c_str(), "%d-%d-%dT%d:%d:%d.%9lldZ", &utc.tm_year, &utc.tm_mon, &utc.tm_mday,
                  &utc.tm_hour, &utc.tm_min, &utc.tm_sec, &rest) != 7)
    return kUnknownTime;
  utc.tm_year -= 1900;
  utc.tm_mon -= 1;
  return std::int64_t{timegm(&utc)} * 1'000'000'000 + rest;
}

double frame_period_of(hid_t file) {
  const Handle axis(H5Gopen2(file, "/Experiments/frames/axis-0", H5P_DEFAULT));
  const auto scale = axis ? files::number_attribute(axis, "scale") : std::nullopt;
  return scale && *scale > 0.0 ? *scale : 0.0;
}

ReadFacts facts_of(hid_t file, const std::string& path) {
  ReadFacts facts;
  facts.path = path;
  facts.name = text_of(file, kEntry + "/title");
  facts.sample = text_of(file, kEntry + "/sample1/name");
  facts.operator_name = text_of(file, kEntry + "/user1/name");
  facts.comment = text_of(file, kEntry + "/experiment_description");
  facts.detector = text_of(file, kDetector + "/local_name");
  facts.started = text_of(file, kEntry + "/start_time");
  facts.started_ns = nanoseconds_of(facts.started);
  facts.pixel_size_nm =
      std::max(0.0, files::read_number(file, kDetector + "/pixel_size_at_specimen").value_or(0.0));
  facts.frame_period_s = frame_period_of(file);
  facts.latticed_version = text_of(file, kEntry + "/latticed/version");
  facts.ended_by = text_of(file, kEntry + "/latticed/ended_by");
  facts.is_simulation =
      files::read_number(file, kEntry + "/sample1/is_simulation").value_or(0.0) != 0.0;
  const auto voltage = files::read_number(
      file, "/entry/measurement/instrument/ebeam_column/electron_source/voltage");
  if (voltage) facts.high_tension_v = *voltage * kKilovolt;
  return facts;
}

/// HDF5's own reading of a file that is damaged may not come back: every chunk is looked at once.
void touch_all_chunks(hid_t images) {
  hsize_t chunks = 0;
  const Handle space(H5Dget_space(images));
  H5Dget_num_chunks(images, space, &chunks);
}

}  // namespace

RecordingReader::RecordingReader(Handle file, ReadFacts facts, Handle images)
    : file_(std::move(file)),
      facts_(std::move(facts)),
      images_(std::move(images)),
      missing_filter_(missing_filter_of(images_)) {}

Result<RecordingReader> RecordingReader::open(const std::string& path) {
  files::use_filters();  // before the child, so that it has them too
  const auto survived = files::survive_in_a_child(path, [&path] {
    const Result<RecordingReader> tried = open_unprobed(path);
    if (tried) touch_all_chunks(tried->images_);
  });
  if (!survived) return survived.error();
  return open_unprobed(path);
}

Result<RecordingReader> RecordingReader::open_unprobed(const std::string& path) {
  const QuietHdf5 quiet;
  bool is_being_written = false;
  Result<Handle> file = open_file(path, is_being_written);
  if (!file) return file.error();
  if (auto ok = check_layout(*file, path); !ok) return ok.error();
  ReadFacts facts = facts_of(*file, path);
  facts.is_complete = !is_being_written && !path.ends_with(".part");
  Handle images(H5Dopen2(*file, kImages, H5P_DEFAULT));
  if (!images) return said(ErrorCode::data_loss, path, std::string("it has no ") + kImages);
  const auto geometry = geometry_of(images, path);
  if (!geometry) return geometry.error();
  facts.geometry = *geometry;
  const auto rows = complete_rows(*file, images, path);
  if (!rows) return rows.error();
  facts.images = *rows;
  return RecordingReader(std::move(*file), std::move(facts), std::move(images));
}

Result<void> RecordingReader::read_image(std::uint64_t row, std::span<std::byte> out) const {
  const FrameGeometry& geometry = facts_.geometry;
  if (row >= facts_.images)
    return said(ErrorCode::out_of_range, facts_.path,
                fmt::format("image {} was asked for, it has {}", row, facts_.images));
  if (out.size() != geometry.bytes())
    return said(ErrorCode::invalid_argument, facts_.path,
                fmt::format("room of {} bytes for an image of {}", out.size(), geometry.bytes()));
  if (!missing_filter_.empty())
    return said(ErrorCode::failed_precondition, facts_.path, missing_filter_);
  const QuietHdf5 quiet;
  const hsize_t start[] = {row, 0, 0};
  const hsize_t count[] = {1, static_cast<hsize_t>(geometry.height),
                           static_cast<hsize_t>(geometry.width)};
  hsize_t stored = 0;  // the library fills what was never written with zeros and says nothing
  if (H5Dget_chunk_storage_size(images_, start, &stored) < 0 || stored == 0)
    return said(ErrorCode::data_loss, facts_.path, fmt::format("image {} was never written", row));
  const Handle in_file(H5Dget_space(images_)), in_memory(H5Screate_simple(3, count, nullptr));
  if (H5Sselect_hyperslab(in_file, H5S_SELECT_SET, start, nullptr, count, nullptr) < 0 ||
      H5Dread(images_, native_type_of(geometry.type), in_memory, in_file, H5P_DEFAULT, out.data()) <
          0)
    return said(ErrorCode::data_loss, facts_.path,
                fmt::format("image {}: {}", row, files::hdf5_error()));
  return {};
}

Result<RecordedTable> RecordingReader::frame_info() const {
  const QuietHdf5 quiet;
  const Handle info(H5Gopen2(file_, kInfo.c_str(), H5P_DEFAULT));
  RecordedTable table;
  table.name = "frame_info";
  table.meaning = "one row per image";
  for (const std::string& name : files::link_names(info, kMostNames)) {
    auto column = read_recorded_column(file_, kInfo + "/" + name, facts_.images);
    if (!column) return said(ErrorCode::data_loss, facts_.path, column.error().message);
    table.columns.push_back(std::move(*column));
  }
  return table;
}

Result<RecordedTable> RecordingReader::table(const std::string& path) const {
  auto table = read_table(file_, path);
  if (!table) return said(table.error().code, facts_.path, table.error().message);
  return table;
}

Result<std::vector<ReadLoss>> RecordingReader::lost() const {
  const auto rows = table(kLost);
  if (!rows) return rows.error();
  const auto seq = rows->exact<std::uint64_t>("seq"), count = rows->exact<std::uint64_t>("count"),
             before = rows->exact<std::uint64_t>("before_image");
  const auto reason = rows->exact<std::string>("reason");
  const std::size_t size = rows->rows();
  if (seq.size() != size || count.size() != size || before.size() != size || reason.size() != size)
    return said(ErrorCode::data_loss, facts_.path, "the table of lost frames lacks a column");
  std::vector<ReadLoss> losses;
  for (std::size_t i = 0; i < size; ++i) losses.push_back({seq[i], count[i], before[i], reason[i]});
  return losses;
}

Result<std::vector<ReadEvent>> RecordingReader::events() const {
  const auto rows = table(kEntry + "/events");
  if (!rows) return rows.error();
  const auto time = rows->exact<std::int64_t>("time_ns");
  const auto id = rows->exact<std::uint64_t>("id"),
             first = rows->exact<std::uint64_t>("frame_first"),
             last = rows->exact<std::uint64_t>("frame_last");
  const auto kind = rows->exact<std::string>("kind"),
             severity = rows->exact<std::string>("severity"),
             source = rows->exact<std::string>("source"), text = rows->exact<std::string>("text");
  const std::size_t size = rows->rows();
  for (const std::size_t have : {time.size(), id.size(), first.size(), last.size(), kind.size(),
                                 severity.size(), source.size(), text.size()})
    if (have != size)
      return said(ErrorCode::data_loss, facts_.path, "the table of events lacks a column");
  std::vector<ReadEvent> events;
  for (std::size_t i = 0; i < size; ++i) {
    if (!events.empty() && events.back().id == id[i])
      events.back().text += text[i];  // a long text goes on in the next row
    else
      events.push_back(
          {time[i], id[i], first[i], last[i], kind[i], severity[i], source[i], text[i]});
  }
  return events;
}

Result<std::vector<SensorLog>> RecordingReader::sensors() const {
  const QuietHdf5 quiet;
  const std::string path = std::string(kEvent) + "/instrument";
  const Handle instrument(H5Gopen2(file_, path.c_str(), H5P_DEFAULT));
  std::vector<SensorLog> logs;
  if (!instrument) return logs;
  for (const std::string& sensor : files::link_names(instrument, kMostNames)) {
    if (!sensor.starts_with("sensor_")) continue;
    const std::string group = path + "/" + sensor;
    RecordedTable log;
    for (const char* name : {"time", "time_ns", "state", "value"}) {
      auto column = read_recorded_column(file_, group + "/value_log/" + name,
                                         std::numeric_limits<std::uint64_t>::max());
      if (!column) return said(ErrorCode::data_loss, facts_.path, column.error().message);
      log.columns.push_back(std::move(*column));
    }
    // While it is written, values come before their times.
    std::size_t rows = log.columns.front().rows();
    for (const RecordedColumn& column : log.columns) rows = std::min(rows, column.rows());
    const auto first = [&](auto values) {
      return values.subspan(0, std::min(rows, values.size()));
    };
    const auto time_s = first(log.exact<double>("time")), value = first(log.exact<double>("value"));
    const auto time_ns = first(log.exact<std::int64_t>("time_ns"));
    const auto state = first(log.exact<std::uint64_t>("state"));
    logs.push_back({sensor,
                    text_of(file_, group + "/name"),
                    text_of(file_, group + "/measurement"),
                    log.find("value")->units,
                    {time_s.begin(), time_s.end()},
                    {time_ns.begin(), time_ns.end()},
                    {state.begin(), state.end()},
                    {value.begin(), value.end()}});
  }
  return logs;
}

std::string RecordingReader::configuration() const {
  const QuietHdf5 quiet;
  constexpr std::size_t kMostBytes = std::size_t{64} << 20;
  const std::string path = kEntry + "/latticed/config";
  if (!files::exists(file_, path)) return {};
  const Handle field(H5Dopen2(file_, path.c_str(), H5P_DEFAULT));
  const Handle type(field ? H5Dget_type(field) : H5I_INVALID_HID);
  const Handle space(field ? H5Dget_space(field) : H5I_INVALID_HID);
  const std::size_t bytes = type ? H5Tget_size(type) : 0;
  if (bytes == 0 || bytes > kMostBytes || H5Tget_class(type) != H5T_STRING ||
      H5Tis_variable_str(type) != 0 || H5Sget_simple_extent_npoints(space) != 1)
    return {};
  std::string text(bytes, '\0');
  if (H5Dread(field, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, text.data()) < 0) return {};
  text.resize(std::min(text.find('\0'), text.size()));
  return text;
}

}  // namespace latticed::record
