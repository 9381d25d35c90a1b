// SPDX-License-Identifier: GPL-3.0-or-later
// The tables that have any number of rows per frame: `spots`, every reflection of every frame (and
// again of every running sum), `lattices` (likewise) and `superlattice`, `sums`, the running sums,
// and `lost`, the frames that never came. Rows wait in memory until write().
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "server/process/sink.hpp"
#include "server/record/compound.hpp"

namespace latticed::record {

struct SpotRow {
  std::uint64_t seq = 0;
  std::uint32_t id = 0, age_frames = 0;
  std::uint8_t confirmed = 0, watched = 0, harmonic_order = 1;
  double g_x_per_nm, g_y_per_nm, d_nm, sigma_d_nm, sigma_d_sys_nm;  // NaN without a pixel size
  double g_x_per_px, g_y_per_px, d_px;
  double snr, amplitude, phase_rad;
  std::uint8_t overlapped = 0;
  std::uint32_t lattice = 0, harmonic_of = 0;  // 0 = none
  std::int8_t h = 0, k = 0;
  double sigma_amplitude, harmonic_ratio, sigma_harmonic_ratio;
  double d_lattice_nm, sigma_d_lattice_nm, d_track_nm, sigma_d_track_nm;
};

struct LatticeRow {
  std::uint64_t seq = 0;
  std::uint32_t id = 0, age_frames = 0, spots = 0;
  std::uint8_t confirmed = 0, main = 0;
  double a_nm, b_nm, gamma_deg, sigma_a_nm, sigma_b_nm,
      sigma_gamma_deg;  // NaN without a pixel size
  double sigma_a_sys_nm, sigma_b_sys_nm;
  double g1_x_per_nm, g1_y_per_nm, g2_x_per_nm, g2_y_per_nm;
};

struct SuperlatticeRow {
  std::uint64_t seq = 0;
  std::uint32_t lattice = 0;
  double h, k, snr, amplitude, sigma_amplitude, false_alarm;
};

struct SumRow {
  std::uint64_t seq = 0;  // of the frame that finished it
  std::uint64_t first_seq = 0, last_seq = 0;
  std::uint32_t frames_added = 0, frames_left_out = 0;
  double effective_seq;
  std::int64_t effective_time_ns;
  double drift_x_px, drift_y_px, mean_counts, crystallinity;
  double scan_xx, scan_xy, scan_yx, scan_yy;  // NaN where nothing is scanned
};

struct LostRow {
  std::uint64_t seq = 0, count = 0;  // seq .. seq + count - 1
  std::uint64_t before_image = 0;    // the image that follows in the movie
  char reason[24] = {};
};

class SpotTable {
 public:
  /// `meaning` of the rows; that of the columns is added.
  static SpotTable create(Hdf5Author& author, hid_t group, const std::string& meaning);
  void add(std::uint64_t seq, const Spot& spot, double pixel_size_nm);
  Result<void> write();
  [[nodiscard]] std::uint64_t count() const noexcept { return rows_.count() + waiting_.size(); }
  [[nodiscard]] bool has_news() const noexcept { return !waiting_.empty(); }

 private:
  Rows rows_;
  std::vector<SpotRow> waiting_;
};

class SumTable {
 public:
  static SumTable create(Hdf5Author& author, hid_t group);
  void add(std::uint64_t seq, const SumMeasurement& sum);
  Result<void> write();
  [[nodiscard]] bool has_news() const noexcept { return !waiting_.empty(); }

 private:
  Rows rows_;
  std::vector<SumRow> waiting_;
};

class LatticeTable {
 public:
  /// `meaning` of the rows; that of the columns is added.
  static LatticeTable create(Hdf5Author& author, hid_t group, const std::string& meaning);
  void add(std::uint64_t seq, const Lattice& lattice, double pixel_size_nm);
  Result<void> write();
  [[nodiscard]] bool has_news() const noexcept { return !waiting_.empty(); }

 private:
  Rows rows_;
  std::vector<LatticeRow> waiting_;
};

class SuperlatticeTable {
 public:
  static SuperlatticeTable create(Hdf5Author& author, hid_t group);
  void add(std::uint64_t seq, const SuperlatticeSpot& spot);
  Result<void> write();
  [[nodiscard]] bool has_news() const noexcept { return !waiting_.empty(); }

 private:
  Rows rows_;
  std::vector<SuperlatticeRow> waiting_;
};

class LostTable {
 public:
  static LostTable create(Hdf5Author& author, hid_t group);
  void add(const Frame& entry, std::uint64_t before_image);
  Result<void> write();
  /// Frames, not rows.
  [[nodiscard]] std::uint64_t frames() const noexcept { return frames_; }
  [[nodiscard]] bool has_news() const noexcept { return !waiting_.empty(); }

 private:
  Rows rows_;
  std::vector<LostRow> waiting_;
  std::uint64_t frames_ = 0;
};

}  // namespace latticed::record
