// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/record/measured_tables.hpp"

#include <array>
#include <limits>

#include "drivers/kit/holder_sample.hpp"

namespace latticed::record {
namespace {

// Without a pixel size the measured lengths are in pixels (see Spot).
double nm(double pixel_size_nm) { return pixel_size_nm > 0.0 ? 1.0 : kNotMeasured; }
double px(double pixel_size_nm) { return pixel_size_nm > 0.0 ? pixel_size_nm : 1.0; }

ScanAffine scan(const SumMeasurement& sum) {
  return sum.scan_affine.value_or(
      ScanAffine{kNotMeasured, kNotMeasured, kNotMeasured, kNotMeasured});
}

template <std::size_t Bytes>
std::array<char, Bytes> text(std::string_view from) {
  std::array<char, Bytes> to;
  fill_text(to, from);
  return to;
}

const std::vector<Column<FoundSpot>>& spot_columns() {
  static const std::vector<Column<FoundSpot>> columns = {
      {"seq", [](const FoundSpot& f) { return f.seq; }},
      {"id", [](const FoundSpot& f) { return f.spot.id; }},
      {"age_frames", [](const FoundSpot& f) { return f.spot.age_frames; }},
      {"confirmed",
       [](const FoundSpot& f) { return static_cast<std::uint8_t>(f.spot.is_confirmed); }},
      {"watched", [](const FoundSpot& f) { return static_cast<std::uint8_t>(f.spot.is_watched); }},
      {"harmonic_order", [](const FoundSpot& f) { return f.spot.harmonic_order; }},
      {"g_x_per_nm", [](const FoundSpot& f) { return f.spot.g_per_nm.x * nm(f.pixel_size_nm); }},
      {"g_y_per_nm", [](const FoundSpot& f) { return f.spot.g_per_nm.y * nm(f.pixel_size_nm); }},
      {"d_nm", [](const FoundSpot& f) { return f.spot.d_nm * nm(f.pixel_size_nm); }},
      {"sigma_d_nm", [](const FoundSpot& f) { return f.spot.sigma_d_nm * nm(f.pixel_size_nm); }},
      {"sigma_d_sys_nm",
       [](const FoundSpot& f) { return f.spot.sigma_d_sys_nm * nm(f.pixel_size_nm); }},
      {"g_x_per_px", [](const FoundSpot& f) { return f.spot.g_per_nm.x * px(f.pixel_size_nm); }},
      {"g_y_per_px", [](const FoundSpot& f) { return f.spot.g_per_nm.y * px(f.pixel_size_nm); }},
      {"d_px", [](const FoundSpot& f) { return f.spot.d_nm / px(f.pixel_size_nm); }},
      {"snr", [](const FoundSpot& f) { return f.spot.snr; }},
      {"amplitude", [](const FoundSpot& f) { return f.spot.amplitude; }},
      {"phase_rad", [](const FoundSpot& f) { return f.spot.phase_rad; }},
      {"overlapped",
       [](const FoundSpot& f) { return static_cast<std::uint8_t>(f.spot.is_overlapped); }},
      {"lattice_id", [](const FoundSpot& f) { return f.spot.lattice; }},
      {"harmonic_of", [](const FoundSpot& f) { return f.spot.harmonic_of; }},
      {"h", [](const FoundSpot& f) { return f.spot.h; }},
      {"k", [](const FoundSpot& f) { return f.spot.k; }},
      {"sigma_amplitude", [](const FoundSpot& f) { return f.spot.sigma_amplitude; }},
      {"harmonic_ratio", [](const FoundSpot& f) { return f.spot.harmonic_ratio; }},
      {"sigma_harmonic_ratio", [](const FoundSpot& f) { return f.spot.sigma_harmonic_ratio; }},
      {"d_lattice_nm",
       [](const FoundSpot& f) { return f.spot.d_lattice_nm * nm(f.pixel_size_nm); }},
      {"sigma_d_lattice_nm",
       [](const FoundSpot& f) { return f.spot.sigma_d_lattice_nm * nm(f.pixel_size_nm); }},
      {"d_track_nm", [](const FoundSpot& f) { return f.spot.d_track_nm * nm(f.pixel_size_nm); }},
      {"sigma_d_track_nm",
       [](const FoundSpot& f) { return f.spot.sigma_d_track_nm * nm(f.pixel_size_nm); }},
  };
  return columns;
}

const std::vector<Column<FoundLattice>>& lattice_columns() {
  static const std::vector<Column<FoundLattice>> columns = {
      {"seq", [](const FoundLattice& f) { return f.seq; }},
      {"id", [](const FoundLattice& f) { return f.lattice.id; }},
      {"age_frames", [](const FoundLattice& f) { return f.lattice.age_frames; }},
      {"spots", [](const FoundLattice& f) { return f.lattice.spots; }},
      {"confirmed",
       [](const FoundLattice& f) { return static_cast<std::uint8_t>(f.lattice.is_confirmed); }},
      {"main", [](const FoundLattice& f) { return static_cast<std::uint8_t>(f.lattice.is_main); }},
      {"a_nm", [](const FoundLattice& f) { return f.lattice.a_nm * nm(f.pixel_size_nm); }},
      {"b_nm", [](const FoundLattice& f) { return f.lattice.b_nm * nm(f.pixel_size_nm); }},
      {"gamma_deg", [](const FoundLattice& f) { return f.lattice.gamma_deg; }},
      {"sigma_a_nm",
       [](const FoundLattice& f) { return f.lattice.sigma_a_nm * nm(f.pixel_size_nm); }},
      {"sigma_b_nm",
       [](const FoundLattice& f) { return f.lattice.sigma_b_nm * nm(f.pixel_size_nm); }},
      {"sigma_gamma_deg", [](const FoundLattice& f) { return f.lattice.sigma_gamma_deg; }},
      {"sigma_a_sys_nm",
       [](const FoundLattice& f) { return f.lattice.sigma_a_sys_nm * nm(f.pixel_size_nm); }},
      {"sigma_b_sys_nm",
       [](const FoundLattice& f) { return f.lattice.sigma_b_sys_nm * nm(f.pixel_size_nm); }},
      {"g1_x_per_nm",
       [](const FoundLattice& f) { return f.lattice.g1_per_nm.x * nm(f.pixel_size_nm); }},
      {"g1_y_per_nm",
       [](const FoundLattice& f) { return f.lattice.g1_per_nm.y * nm(f.pixel_size_nm); }},
      {"g2_x_per_nm",
       [](const FoundLattice& f) { return f.lattice.g2_per_nm.x * nm(f.pixel_size_nm); }},
      {"g2_y_per_nm",
       [](const FoundLattice& f) { return f.lattice.g2_per_nm.y * nm(f.pixel_size_nm); }},
  };
  return columns;
}

const std::vector<Column<FoundSuperlattice>>& superlattice_columns() {
  static const std::vector<Column<FoundSuperlattice>> columns = {
      {"seq", [](const FoundSuperlattice& f) { return f.seq; }},
      {"lattice_id", [](const FoundSuperlattice& f) { return f.spot.lattice; }},
      {"h", [](const FoundSuperlattice& f) { return f.spot.index.x; }},
      {"k", [](const FoundSuperlattice& f) { return f.spot.index.y; }},
      {"snr", [](const FoundSuperlattice& f) { return f.spot.snr; }},
      {"amplitude", [](const FoundSuperlattice& f) { return f.spot.amplitude; }},
      {"sigma_amplitude", [](const FoundSuperlattice& f) { return f.spot.sigma_amplitude; }},
      {"false_alarm", [](const FoundSuperlattice& f) { return f.spot.false_alarm; }},
  };
  return columns;
}

const std::vector<Column<FinishedSum>>& sum_columns() {
  static const std::vector<Column<FinishedSum>> columns = {
      {"seq", [](const FinishedSum& f) { return f.seq; }},
      {"first_seq", [](const FinishedSum& f) { return f.sum.first_seq; }},
      {"last_seq", [](const FinishedSum& f) { return f.sum.last_seq; }},
      {"frames_added", [](const FinishedSum& f) { return f.sum.frames_added; }},
      {"frames_left_out", [](const FinishedSum& f) { return f.sum.frames_left_out; }},
      {"effective_seq", [](const FinishedSum& f) { return f.sum.effective_seq; }},
      {"effective_time_ns",
       [](const FinishedSum& f) { return f.sum.effective_time_ns.value_or(kUnknownTime); }},
      {"drift_x_px", [](const FinishedSum& f) { return f.sum.drift_px.x; }},
      {"drift_y_px", [](const FinishedSum& f) { return f.sum.drift_px.y; }},
      {"mean_counts", [](const FinishedSum& f) { return f.sum.mean_counts; }},
      {"crystallinity",
       [](const FinishedSum& f) { return f.sum.crystallinity.value_or(kNotMeasured); }},
      {"scan_affine_xx", [](const FinishedSum& f) { return scan(f.sum).xx; }},
      {"scan_affine_xy", [](const FinishedSum& f) { return scan(f.sum).xy; }},
      {"scan_affine_yx", [](const FinishedSum& f) { return scan(f.sum).yx; }},
      {"scan_affine_yy", [](const FinishedSum& f) { return scan(f.sum).yy; }},
  };
  return columns;
}

const std::vector<Column<LostFrames>>& lost_columns() {
  static const std::vector<Column<LostFrames>> columns = {
      {"seq", [](const LostFrames& f) { return f.entry.seq; }},
      {"count", [](const LostFrames& f) { return f.entry.header.lost_count; }},
      {"before_image", [](const LostFrames& f) { return f.before_image; }},
      {"reason", [](const LostFrames& f) { return text<24>(to_string(f.entry.header.loss)); }},
  };
  return columns;
}

}  // namespace

SpotTable make_spot_table(Hdf5Author& author, hid_t group, const std::string& meaning) {
  return SpotTable::create(
      author, group,
      {"spots", 4096,
       meaning +
           "; id is one reflection's through the run; sigma is one standard deviation of the "
           "random "
           "error, sigma_sys what is systematic; amplitude C and phase p in I0 (1 + sum C cos(2 pi "
           "g.r + p)), r from the image's centre; lengths in nm are NaN where the pixel size is "
           "unknown; h, k, d_lattice_nm by the lattice of that id (0: none), d_track_nm filtered "
           "over the frames so far"},
      spot_columns());
}

LatticeTable make_lattice_table(Hdf5Author& author, hid_t group, const std::string& meaning) {
  return LatticeTable::create(
      author, group,
      {"lattices", 1024,
       meaning +
           "; a, b, gamma: the reduced cell in real space, a <= b, 60 to 120 degrees; spot (h, k) "
           "is at h g1 + k g2; sigma is one standard deviation of the random error, sigma_sys what "
           "is systematic; main: the strongest; lengths in nm are NaN where the pixel size is "
           "unknown"},
      lattice_columns());
}

SuperlatticeTable make_superlattice_table(Hdf5Author& author, hid_t group) {
  return SuperlatticeTable::create(
      author, group,
      {"superlattice", 4096,
       "one row per place and frame: what is at the fractional index (h, k) of the main lattice, "
       "without a search; false_alarm: the probability that noise alone gives as much"},
      superlattice_columns());
}

SumTable make_sum_table(Hdf5Author& author, hid_t group) {
  return SumTable::create(
      author, group,
      {"sums", 256,
       "one row per running sum: frames turned back by their drift and added; seq is the frame "
       "that finished it, first_seq to last_seq those in it; effective_seq and effective_time_ns "
       "(mid-exposure, UTC since 1970; the smallest integer: unknown) are their means; drift_px is "
       "the specimen's mean place; sums that share frames share noise; scan_affine: of scanned "
       "frames, A of their mean velocity"},
      sum_columns());
}

LostTable make_lost_table(Hdf5Author& author, hid_t group) {
  return LostTable::create(
      author, group,
      {"frames", 256,
       "frames that never came: seq to seq + count - 1, directly before the image before_image"},
      lost_columns());
}

}  // namespace latticed::record
