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

SpotTable SpotTable::create(Hdf5Author& author, hid_t group, const std::string& meaning) {
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
      {"overlapped", offsetof(SpotRow, overlapped), H5T_NATIVE_UINT8},
      {"lattice_id", offsetof(SpotRow, lattice), H5T_NATIVE_UINT32},
      {"harmonic_of", offsetof(SpotRow, harmonic_of), H5T_NATIVE_UINT32},
      {"h", offsetof(SpotRow, h), H5T_NATIVE_INT8},
      {"k", offsetof(SpotRow, k), H5T_NATIVE_INT8},
      {"sigma_amplitude", offsetof(SpotRow, sigma_amplitude), H5T_NATIVE_DOUBLE},
      {"harmonic_ratio", offsetof(SpotRow, harmonic_ratio), H5T_NATIVE_DOUBLE},
      {"sigma_harmonic_ratio", offsetof(SpotRow, sigma_harmonic_ratio), H5T_NATIVE_DOUBLE},
      {"d_lattice_nm", offsetof(SpotRow, d_lattice_nm), H5T_NATIVE_DOUBLE},
      {"sigma_d_lattice_nm", offsetof(SpotRow, sigma_d_lattice_nm), H5T_NATIVE_DOUBLE},
      {"d_track_nm", offsetof(SpotRow, d_track_nm), H5T_NATIVE_DOUBLE},
      {"sigma_d_track_nm", offsetof(SpotRow, sigma_d_track_nm), H5T_NATIVE_DOUBLE},
  };
  const std::string all =
      meaning +
      "; id is one reflection's through the run; sigma is one standard deviation of the random "
      "error, sigma_sys what is systematic; amplitude C and phase p in I0 (1 + sum C cos(2 pi g.r "
      "+ p)), r from the image's centre; lengths in nm are NaN where the pixel size is unknown; h, "
      "k, "
      "d_lattice_nm by the lattice of that id (0: none), d_track_nm filtered over the frames so "
      "far";
  SpotTable table;
  table.rows_ =
      make_compound_rows(author, group, {"spots", sizeof(SpotRow), 4096, all.c_str()}, members);
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
  row.overlapped = spot.is_overlapped;
  row.lattice = spot.lattice;
  row.harmonic_of = spot.harmonic_of;
  row.h = spot.h;
  row.k = spot.k;
  row.sigma_amplitude = spot.sigma_amplitude;
  row.harmonic_ratio = spot.harmonic_ratio;
  row.sigma_harmonic_ratio = spot.sigma_harmonic_ratio;
  row.d_lattice_nm = spot.d_lattice_nm * nm;
  row.sigma_d_lattice_nm = spot.sigma_d_lattice_nm * nm;
  row.d_track_nm = spot.d_track_nm * nm;
  row.sigma_d_track_nm = spot.sigma_d_track_nm * nm;
  waiting_.push_back(row);
}

Result<void> SpotTable::write() { return write_all(rows_, waiting_); }

SumTable SumTable::create(Hdf5Author& author, hid_t group) {
  const Member members[] = {
      {"seq", offsetof(SumRow, seq), H5T_NATIVE_UINT64},
      {"first_seq", offsetof(SumRow, first_seq), H5T_NATIVE_UINT64},
      {"last_seq", offsetof(SumRow, last_seq), H5T_NATIVE_UINT64},
      {"frames_added", offsetof(SumRow, frames_added), H5T_NATIVE_UINT32},
      {"frames_left_out", offsetof(SumRow, frames_left_out), H5T_NATIVE_UINT32},
      {"effective_seq", offsetof(SumRow, effective_seq), H5T_NATIVE_DOUBLE},
      {"effective_time_ns", offsetof(SumRow, effective_time_ns), H5T_NATIVE_INT64},
      {"drift_x_px", offsetof(SumRow, drift_x_px), H5T_NATIVE_DOUBLE},
      {"drift_y_px", offsetof(SumRow, drift_y_px), H5T_NATIVE_DOUBLE},
      {"mean_counts", offsetof(SumRow, mean_counts), H5T_NATIVE_DOUBLE},
      {"crystallinity", offsetof(SumRow, crystallinity), H5T_NATIVE_DOUBLE},
      {"scan_affine_xx", offsetof(SumRow, scan_xx), H5T_NATIVE_DOUBLE},
      {"scan_affine_xy", offsetof(SumRow, scan_xy), H5T_NATIVE_DOUBLE},
      {"scan_affine_yx", offsetof(SumRow, scan_yx), H5T_NATIVE_DOUBLE},
      {"scan_affine_yy", offsetof(SumRow, scan_yy), H5T_NATIVE_DOUBLE},
  };
  SumTable table;
  table.rows_ = make_compound_rows(
      author, group,
      {"sums", sizeof(SumRow), 256,
       "one row per running sum: frames turned back by their drift and added; seq is the frame "
       "that "
       "finished it, first_seq to last_seq those in it; effective_seq and effective_time_ns "
       "(mid-exposure, UTC since 1970; the smallest integer: unknown) are their means; drift_px is "
       "the specimen's mean place; sums that share frames share noise; scan_affine: of scanned "
       "frames, A of their mean velocity"},
      members);
  table.waiting_.reserve(kExpectedSpots);
  return table;
}

void SumTable::add(std::uint64_t seq, const SumMeasurement& sum) {
  SumRow row;
  row.seq = seq;
  row.first_seq = sum.first_seq;
  row.last_seq = sum.last_seq;
  row.frames_added = sum.frames_added;
  row.frames_left_out = sum.frames_left_out;
  row.effective_seq = sum.effective_seq;
  row.effective_time_ns = sum.effective_time_ns.value_or(kUnknownTime);
  row.drift_x_px = sum.drift_px.x;
  row.drift_y_px = sum.drift_px.y;
  row.mean_counts = sum.mean_counts;
  row.crystallinity = sum.crystallinity.value_or(kNotMeasured);
  row.scan_xx = sum.scan_affine ? sum.scan_affine->xx : kNotMeasured;
  row.scan_xy = sum.scan_affine ? sum.scan_affine->xy : kNotMeasured;
  row.scan_yx = sum.scan_affine ? sum.scan_affine->yx : kNotMeasured;
  row.scan_yy = sum.scan_affine ? sum.scan_affine->yy : kNotMeasured;
  waiting_.push_back(row);
}

Result<void> SumTable::write() { return write_all(rows_, waiting_); }

LatticeTable LatticeTable::create(Hdf5Author& author, hid_t group, const std::string& meaning) {
  const Member members[] = {
      {"seq", offsetof(LatticeRow, seq), H5T_NATIVE_UINT64},
      {"id", offsetof(LatticeRow, id), H5T_NATIVE_UINT32},
      {"age_frames", offsetof(LatticeRow, age_frames), H5T_NATIVE_UINT32},
      {"spots", offsetof(LatticeRow, spots), H5T_NATIVE_UINT32},
      {"confirmed", offsetof(LatticeRow, confirmed), H5T_NATIVE_UINT8},
      {"main", offsetof(LatticeRow, main), H5T_NATIVE_UINT8},
      {"a_nm", offsetof(LatticeRow, a_nm), H5T_NATIVE_DOUBLE},
      {"b_nm", offsetof(LatticeRow, b_nm), H5T_NATIVE_DOUBLE},
      {"gamma_deg", offsetof(LatticeRow, gamma_deg), H5T_NATIVE_DOUBLE},
      {"sigma_a_nm", offsetof(LatticeRow, sigma_a_nm), H5T_NATIVE_DOUBLE},
      {"sigma_b_nm", offsetof(LatticeRow, sigma_b_nm), H5T_NATIVE_DOUBLE},
      {"sigma_gamma_deg", offsetof(LatticeRow, sigma_gamma_deg), H5T_NATIVE_DOUBLE},
      {"sigma_a_sys_nm", offsetof(LatticeRow, sigma_a_sys_nm), H5T_NATIVE_DOUBLE},
      {"sigma_b_sys_nm", offsetof(LatticeRow, sigma_b_sys_nm), H5T_NATIVE_DOUBLE},
      {"g1_x_per_nm", offsetof(LatticeRow, g1_x_per_nm), H5T_NATIVE_DOUBLE},
      {"g1_y_per_nm", offsetof(LatticeRow, g1_y_per_nm), H5T_NATIVE_DOUBLE},
      {"g2_x_per_nm", offsetof(LatticeRow, g2_x_per_nm), H5T_NATIVE_DOUBLE},
      {"g2_y_per_nm", offsetof(LatticeRow, g2_y_per_nm), H5T_NATIVE_DOUBLE},
  };
  const std::string all =
      meaning +
      "; a, b, gamma: the reduced "
      "cell in real space, a <= b, 60 to 120 degrees; spot (h, k) is at h g1 + k g2; sigma is one "
      "standard deviation of the random error, sigma_sys what is systematic; main: the strongest; "
      "lengths in nm are NaN where the pixel size is unknown";
  LatticeTable table;
  table.rows_ = make_compound_rows(author, group,
                                   {"lattices", sizeof(LatticeRow), 1024, all.c_str()}, members);
  table.waiting_.reserve(kExpectedSpots);
  return table;
}

void LatticeTable::add(std::uint64_t seq, const Lattice& lattice, double pixel_size_nm) {
  const double nm = pixel_size_nm > 0.0 ? 1.0 : kNotMeasured;
  LatticeRow row;
  row.seq = seq;
  row.id = lattice.id;
  row.age_frames = lattice.age_frames;
  row.spots = lattice.spots;
  row.confirmed = lattice.is_confirmed;
  row.main = lattice.is_main;
  row.a_nm = lattice.a_nm * nm;
  row.b_nm = lattice.b_nm * nm;
  row.gamma_deg = lattice.gamma_deg;
  row.sigma_a_nm = lattice.sigma_a_nm * nm;
  row.sigma_b_nm = lattice.sigma_b_nm * nm;
  row.sigma_gamma_deg = lattice.sigma_gamma_deg;
  row.sigma_a_sys_nm = lattice.sigma_a_sys_nm * nm;
  row.sigma_b_sys_nm = lattice.sigma_b_sys_nm * nm;
  row.g1_x_per_nm = lattice.g1_per_nm.x * nm;
  row.g1_y_per_nm = lattice.g1_per_nm.y * nm;
  row.g2_x_per_nm = lattice.g2_per_nm.x * nm;
  row.g2_y_per_nm = lattice.g2_per_nm.y * nm;
  waiting_.push_back(row);
}

Result<void> LatticeTable::write() { return write_all(rows_, waiting_); }

SuperlatticeTable SuperlatticeTable::create(Hdf5Author& author, hid_t group) {
  const Member members[] = {
      {"seq", offsetof(SuperlatticeRow, seq), H5T_NATIVE_UINT64},
      {"lattice_id", offsetof(SuperlatticeRow, lattice), H5T_NATIVE_UINT32},
      {"h", offsetof(SuperlatticeRow, h), H5T_NATIVE_DOUBLE},
      {"k", offsetof(SuperlatticeRow, k), H5T_NATIVE_DOUBLE},
      {"snr", offsetof(SuperlatticeRow, snr), H5T_NATIVE_DOUBLE},
      {"amplitude", offsetof(SuperlatticeRow, amplitude), H5T_NATIVE_DOUBLE},
      {"sigma_amplitude", offsetof(SuperlatticeRow, sigma_amplitude), H5T_NATIVE_DOUBLE},
      {"false_alarm", offsetof(SuperlatticeRow, false_alarm), H5T_NATIVE_DOUBLE},
  };
  SuperlatticeTable table;
  table.rows_ = make_compound_rows(
      author, group,
      {"superlattice", sizeof(SuperlatticeRow), 4096,
       "one row per place and frame: what is at the fractional index (h, k) of the main lattice, "
       "without a search; false_alarm: the probability that noise alone gives as much"},
      members);
  table.waiting_.reserve(kExpectedSpots);
  return table;
}

void SuperlatticeTable::add(std::uint64_t seq, const SuperlatticeSpot& spot) {
  waiting_.push_back({seq, spot.lattice, spot.index.x, spot.index.y, spot.snr, spot.amplitude,
                      spot.sigma_amplitude, spot.false_alarm});
}

Result<void> SuperlatticeTable::write() { return write_all(rows_, waiting_); }

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
