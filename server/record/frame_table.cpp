// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/record/frame_table.hpp"

#include <algorithm>
#include <cstddef>
#include <cstring>

namespace latticed::record {
namespace {

constexpr hsize_t kChunkRows = 4096;

enum class Type : std::uint8_t { u8, u32, u64, i64, f32, f64 };

std::size_t bytes_of(Type type) {
  constexpr std::size_t kBytes[] = {1, 4, 8, 8, 4, 8};
  return kBytes[static_cast<std::size_t>(type)];
}

hid_t hdf5_type(Type type) {
  switch (type) {
    case Type::u8:
      return H5T_NATIVE_UINT8;
    case Type::u32:
      return H5T_NATIVE_UINT32;
    case Type::u64:
      return H5T_NATIVE_UINT64;
    case Type::i64:
      return H5T_NATIVE_INT64;
    case Type::f32:
      return H5T_NATIVE_FLOAT;
    case Type::f64:
      break;
  }
  return H5T_NATIVE_DOUBLE;
}

struct Column {
  const char* name;
  Type type;
  std::size_t offset;
  const char* units;
  const char* meaning;
};

constexpr const char* kFlagsMeaning =
    "sum of 1: frames are missing directly before, 2: saturated, 4: drift lost, 8: simulated, "
    "16: blanked, 32: holder provisional, 64: lattice cell ambiguous, 128: damaged";

// indices_image is the first one and lies with the images.
#define AT(member) offsetof(FrameRow, member)
constexpr Column kColumns[] = {
    {"indices_image", Type::i64, AT(image), "", "image"},
    {"frame_id", Type::u64, AT(frame_id), "", "number of the frame in its run, lost ones counted"},
    {"hardware_sequence", Type::u64, AT(hardware_sequence), "", "the detector's own count"},
    {"time", Type::f64, AT(time_s), "s", "mid-exposure, since the run's start"},
    {"time_ns", Type::i64, AT(time_ns), "ns",
     "mid-exposure, UTC since 1970, exact; the smallest integer: unknown"},
    {"time_uncertainty", Type::f32, AT(time_uncertainty_s), "s", "one standard deviation"},
    {"exposure", Type::f32, AT(exposure_s), "s", ""},
    {"flags", Type::u32, AT(flags), "", kFlagsMeaning},
    {"crc32c", Type::u32, AT(crc32c), "", "CRC-32C of the image's bytes, row by row"},
    {"quality", Type::u8, AT(quality), "",
     "0: good, 1: blanked, 2: constant, 3: saturated, 4: not finite, 5: too small"},
    {"mean_counts", Type::f64, AT(mean_counts), "counts", "mean of the corrected pixels"},
    {"repaired_pixels", Type::u32, AT(repaired_pixels), "", "replaced by their neighbours"},
    {"drift_x", Type::f64, AT(drift_nm.x), "nm", "where the specimen is, to the right"},
    {"drift_y", Type::f64, AT(drift_nm.y), "nm", "where the specimen is, downwards"},
    {"drift_x_px", Type::f64, AT(drift_px.x), "px", "in pixels of the image"},
    {"drift_y_px", Type::f64, AT(drift_px.y), "px", "in pixels of the image"},
    {"sigma_drift_x_px", Type::f64, AT(sigma_drift_px.x), "px", "random error, one sigma"},
    {"sigma_drift_y_px", Type::f64, AT(sigma_drift_px.y), "px", "random error, one sigma"},
    {"sigma_drift_sys_x_px", Type::f64, AT(sigma_drift_sys_px.x), "px", "systematic error"},
    {"sigma_drift_sys_y_px", Type::f64, AT(sigma_drift_sys_px.y), "px", "systematic error"},
    {"drift_state", Type::u8, AT(drift_state), "", "0: locked, 1: weak, 2: lost"},
    {"drift_quality", Type::f64, AT(drift_quality), "",
     "1: as the template predicts, 0: nothing in common"},
    {"crystallinity", Type::f64, AT(crystallinity), "", "Bragg power over all power"},
    {"scan_affine_xx", Type::f64, AT(scan_xx), "", "A of a scanned frame: true g = A^T g as seen"},
    {"scan_affine_xy", Type::f64, AT(scan_xy), "", "likewise"},
    {"scan_affine_yx", Type::f64, AT(scan_yx), "", "likewise"},
    {"scan_affine_yy", Type::f64, AT(scan_yy), "", "likewise"},
    {"bias_v", Type::f64, AT(holder.bias_v), "V", "holder at mid-exposure"},
    {"current_a", Type::f64, AT(holder.current_a), "A", "holder at mid-exposure"},
    {"temperature_k", Type::f64, AT(holder.temperature_k), "K", "holder at mid-exposure"},
    {"holder_age", Type::f32, AT(holder.age_s), "s", "of the sample used, where provisional"},
    {"dose_rate", Type::f64, AT(dose_rate), "1/(nm^2 s)", "electrons"},
    {"dose_total", Type::f64, AT(dose_total), "1/nm^2", "electrons"},
};
#undef AT
constexpr std::size_t kColumnCount = std::size(kColumns);

constexpr std::size_t index_of(std::string_view name) {
  std::size_t i = 0;
  while (kColumns[i].name != name) ++i;
  return i;
}

// The same value for float columns that were never written as for what is not known.
const void* fill_of(Type type) {
  static constexpr double kNan = kNotMeasured;
  static constexpr float kNanF = std::numeric_limits<float>::quiet_NaN();
  if (type == Type::f64) return &kNan;
  if (type == Type::f32) return &kNanF;
  return nullptr;
}

Rows make_column(Hdf5Author& author, hid_t group, const Column& column, const std::string& start) {
  Handle made = author.rows(group, column.name, hdf5_type(column.type), kChunkRows,
                            column.type == Type::i64 ? nullptr : fill_of(column.type));
  if (*column.units) author.text(made, "units", column.units);
  if (*column.meaning) author.text(made, "meaning", column.meaning);
  if (std::string_view(column.name) == "time") author.text(made, "start", start);
  return {std::move(made), Handle(H5Tcopy(hdf5_type(column.type))), bytes_of(column.type)};
}

}  // namespace

std::vector<std::string> frame_column_names() {
  std::vector<std::string> names;
  for (std::size_t i = 1; i < kColumnCount; ++i) names.emplace_back(kColumns[i].name);
  return names;
}

FrameRow row_of(const Frame& frame, const RunInfo& run, std::int64_t started_ns) {
  const Measurements& m = frame.measurements;
  FrameRow row;
  row.frame_id = frame.seq;
  row.hardware_sequence = frame.header.hardware_sequence;
  row.time_ns = frame.header.time_ns;
  if (row.time_ns != kUnknownTime)
    row.time_s = 1e-9 * static_cast<double>(row.time_ns - started_ns);
  if (frame.header.exposure_s > 0.0) row.exposure_s = static_cast<float>(frame.header.exposure_s);
  row.quality = static_cast<std::uint8_t>(m.quality);
  row.drift_state = static_cast<std::uint8_t>(m.drift.state);
  row.mean_counts = m.mean_counts;
  row.repaired_pixels = m.repaired_pixels;
  row.drift_px = m.drift.drift_px;
  row.sigma_drift_px = m.drift.sigma_drift_px;
  row.sigma_drift_sys_px = m.drift.sigma_drift_sys_px;
  if (run.pixel_size_nm > 0.0)
    row.drift_nm = {m.drift.drift_px.x * run.pixel_size_nm, m.drift.drift_px.y * run.pixel_size_nm};
  row.drift_quality = m.drift.match;
  row.crystallinity = m.crystallinity.value_or(kNotMeasured);
  if (m.scan_affine) {
    row.scan_xx = m.scan_affine->xx;
    row.scan_xy = m.scan_affine->xy;
    row.scan_yx = m.scan_affine->yx;
    row.scan_yy = m.scan_affine->yy;
  }
  if (m.quality == FrameQuality::saturated) row.flags |= kInfoSaturated;
  if (m.drift.state == DriftState::lost) row.flags |= kInfoDriftLost;
  if (m.drift.is_cell_ambiguous) row.flags |= kInfoCellAmbiguous;
  if (frame.header.flags & kFrameSimulated) row.flags |= kInfoSimulated;
  if (frame.header.flags & kFrameBlanked) row.flags |= kInfoBlanked;
  return row;
}

FrameTable FrameTable::create(Hdf5Author& author, hid_t group, hid_t images,
                              const std::string& start) {
  FrameTable table;
  for (std::size_t i = 0; i < kColumnCount; ++i)
    table.columns_.push_back(make_column(author, i == 0 ? images : group, kColumns[i], start));
  table.waiting_.reserve(kBuffered);
  table.corrections_.reserve(kBuffered);
  table.scratch_.resize(kBuffered * sizeof(double));
  return table;
}

bool FrameTable::add(const FrameRow& row) {
  if (waiting_.size() == kBuffered) return false;
  waiting_.push_back(row);
  waiting_.back().image = static_cast<std::int64_t>(count() - 1);
  return true;
}

void FrameTable::correct(std::uint64_t row, const HolderColumns& holder, std::uint32_t flags) {
  if (row >= written_) {
    FrameRow& there = waiting_[static_cast<std::size_t>(row - written_)];
    there.holder = holder;
    there.flags = flags;
  } else {
    corrections_.push_back({row, holder, flags});
  }
}

Result<void> FrameTable::write() {
  if (Result<void> ok = write_waiting(); !ok) return ok;
  return write_corrections();
}

Result<void> FrameTable::write_waiting() {
  for (std::size_t c = 0; c < kColumnCount; ++c) {
    const std::size_t bytes = bytes_of(kColumns[c].type);
    for (std::size_t i = 0; i < waiting_.size(); ++i)
      std::memcpy(&scratch_[i * bytes],
                  reinterpret_cast<const std::byte*>(&waiting_[i]) + kColumns[c].offset, bytes);
    if (Result<void> ok = columns_[c].append(scratch_.data(), waiting_.size()); !ok) return ok;
  }
  written_ += waiting_.size();
  waiting_.clear();
  return {};
}

Result<void> FrameTable::write_corrections() {
  const std::span<const Correction> all(corrections_);
  for (std::size_t first = 0; first < all.size();) {
    std::size_t end = first + 1;
    while (end < all.size() && end - first < kBuffered && all[end].row == all[end - 1].row + 1)
      ++end;
    if (Result<void> ok = write_run(all.subspan(first, end - first)); !ok) return ok;
    first = end;
  }
  corrections_.clear();
  return {};
}

// Corrections of rows that follow each other.
Result<void> FrameTable::write_run(std::span<const Correction> run) {
  const auto put = [&](std::size_t column, const auto& value_of) -> Result<void> {
    std::size_t at = 0;
    for (const Correction& one : run) {
      const auto value = value_of(one);
      std::memcpy(&scratch_[at], &value, sizeof value);
      at += sizeof value;
    }
    return columns_[column].overwrite(run.front().row, scratch_.data(), run.size());
  };
  constexpr std::size_t kBias = index_of("bias_v"), kCurrent = index_of("current_a"),
                        kTemperature = index_of("temperature_k"), kAge = index_of("holder_age"),
                        kFlags = index_of("flags");
  if (auto ok = put(kBias, [](const auto& c) { return c.holder.bias_v; }); !ok) return ok;
  if (auto ok = put(kCurrent, [](const auto& c) { return c.holder.current_a; }); !ok) return ok;
  if (auto ok = put(kTemperature, [](const auto& c) { return c.holder.temperature_k; }); !ok)
    return ok;
  if (auto ok = put(kAge, [](const auto& c) { return c.holder.age_s; }); !ok) return ok;
  return put(kFlags, [](const auto& c) { return c.flags; });
}

}  // namespace latticed::record
