// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/record/measured_tables.hpp"

#include <cstddef>

#include "drivers/kit/holder_sample.hpp"

namespace latticed::record {
namespace {

constexpr std::size_t kExpectedSpots = 4096;  // between two writes; more is grown into

template <class Row>
Result<void> write_all(Rows& rows, std::vector<Row>& waiting) {
  Result<void> ok = rows.append(waiting.data(), waiting.size());
  if (ok) waiting.clear();
  return ok;
}

}  // namespace

SpotTable SpotTable::create(Hdf5Author& author, hid_t group) {
  const Member members[] = {
      {"seq", offsetof(SpotRow, seq), H5T_NATIVE_UINT64},
      {"id", offsetof(SpotRow, id), H5T_NATIVE_UINT32},
      {"age_frames", offsetof(SpotRow, age_frames), H5T_NATIVE_UINT32},
      {"confirmed", offsetof(SpotRow, confirmed), H5T_NATIVE_UINT8},
      {"watched", offsetof(SpotRow, watched), H5T_NATIVE_UINT8},
      {"harmonic_order", offsetof(SpotRow, harmonic_order), H5T_NATIVE_UINT8},
      {"g_x_per_nm", offsetof(SpotRow, g_x_per_nm), H5T_NATIVE_DOUBLE},
      {"g_y_per_nm", offsetof(SpotRow, g_y_per_nm), H5T_NATIVE_DOUBLE},
      {"d_nm", offsetof(SpotRow, d_nm), H5T_NATIVE_DOUBLE},
      {"sigma_d_nm", offsetof(SpotRow, sigma_d_nm), H5T_NATIVE_DOUBLE},
      {"sigma_d_sys_nm", offsetof(SpotRow, sigma_d_sys_nm), H5T_NATIVE_DOUBLE},
      {"g_x_per_px", offsetof(SpotRow, g_x_per_px), H5T_NATIVE_DOUBLE},
      {"g_y_per_px", offsetof(SpotRow, g_y_per_px), H5T_NATIVE_DOUBLE},
      {"d_px", offsetof(SpotRow, d_px), H5T_NATIVE_DOUBLE},
      {"snr", offsetof(SpotRow, snr), H5T_NATIVE_DOUBLE},
      {"amplitude", offsetof(SpotRow, amplitude), H5T_NATIVE_DOUBLE},
      {"phase_rad", offsetof(SpotRow, phase_rad), H5T_NATIVE_DOUBLE},
  };
  SpotTable table;
  table.rows_ = make_compound_rows(
      author, group,
      {"spots", sizeof(SpotRow), 4096,
       "one row per reflection and frame; seq is frame_info/frame_id; id is one reflection's "
       "through the run; sigma is one standard deviation of the random error, sigma_sys what is "
       "systematic; amplitude C and phase p in I0 (1 + sum C cos(2 pi g.r + p)), r from the "
       "image's centre; lengths in nm are NaN where the pixel size is unknown"},
      members);
  table.waiting_.reserve(kExpectedSpots);
  return table;
}

void SpotTable::add(std::uint64_t seq, const Spot& spot, double pixel_size_nm) {
  // Without a pixel size the measured lengths are in pixels (see Spot).
  const bool is_known = pixel_size_nm > 0.0;
  const double nm = is_known ? 1.0 : kNotMeasured, px = is_known ? pixel_size_nm : 1.0;
  SpotRow row;
  row.seq = seq;
  row.id = spot.id;
  row.age_frames = spot.age_frames;
  row.confirmed = spot.is_confirmed;
  row.watched = spot.is_watched;
  row.harmonic_order = spot.harmonic_order;
  row.g_x_per_nm = spot.g_per_nm.x * nm;
  row.g_y_per_nm = spot.g_per_nm.y * nm;
  row.d_nm = spot.d_nm * nm;
  row.sigma_d_nm = spot.sigma_d_nm * nm;
  row.sigma_d_sys_nm = spot.sigma_d_sys_nm * nm;
  row.g_x_per_px = spot.g_per_nm.x * px;
  row.g_y_per_px = spot.g_per_nm.y * px;
  row.d_px = spot.d_nm / px;
  row.snr = spot.snr;
  row.amplitude = spot.amplitude;
  row.phase_rad = spot.phase_rad;
  waiting_.push_back(row);
}

Result<void> SpotTable::write() { return write_all(rows_, waiting_); }

LostTable LostTable::create(Hdf5Author& author, hid_t group) {
  const Handle reason = text_type(sizeof LostRow::reason);
  const Member members[] = {
      {"seq", offsetof(LostRow, seq), H5T_NATIVE_UINT64},
      {"count", offsetof(LostRow, count), H5T_NATIVE_UINT64},
      {"before_image", offsetof(LostRow, before_image), H5T_NATIVE_UINT64},
      {"reason", offsetof(LostRow, reason), reason},
  };
  LostTable table;
  table.rows_ = make_compound_rows(
      author, group,
      {"lost", sizeof(LostRow), 256,
       "frames that never came: seq to seq + count - 1, directly before the image before_image"},
      members);
  return table;
}

void LostTable::add(const Frame& entry, std::uint64_t before_image) {
  LostRow row;
  row.seq = entry.seq;
  row.count = entry.header.lost_count;
  row.before_image = before_image;
  fill_text(row.reason, to_string(entry.header.loss));
  waiting_.push_back(row);
  frames_ += row.count;
}

Result<void> LostTable::write() { return write_all(rows_, waiting_); }

}  // namespace latticed::record
