// SPDX-License-Identifier: GPL-3.0-or-later
// What is known of each recorded frame, one dataset a column, row i for image i. Rows wait in
// memory until write(); then each column is written at once. What the holder did at mid-exposure
// may be corrected later, when it is final.
#pragma once

#include <cstdint>
#include <vector>

#include "server/frame/frame.hpp"
#include "server/holder/holder_log.hpp"
#include "server/process/sink.hpp"
#include "server/record/hdf5_author.hpp"

namespace latticed::record {

/// frame_info/flags. The text of the dataset's attribute `meaning` says the same.
enum FrameInfoFlags : std::uint32_t {
  kInfoGap = 1u << 0,                // frames are missing directly before this one: see `lost`
  kInfoSaturated = 1u << 1,          // more than 1 % of the pixels at the detector's ceiling
  kInfoDriftLost = 1u << 2,          // drift is a prediction
  kInfoSimulated = 1u << 3,          // from the simulated world
  kInfoBlanked = 1u << 4,            // taken with the beam blanked
  kInfoHolderProvisional = 1u << 5,  // bias, current, temperature: the last sample before, not
                                     // interpolated
  kInfoCellAmbiguous = 1u << 6,      // another lattice cell explains the drift nearly as well
  kInfoDamaged = 1u << 7,            // the image is not the bytes that were recorded
};

struct HolderColumns {
  double bias_v = kNotMeasured, current_a = kNotMeasured, temperature_k = kNotMeasured;
  float age_s = 0.0f;  // of the sample used, when provisional
};

struct FrameRow {
  std::uint64_t frame_id = 0, hardware_sequence = 0;
  std::int64_t image = 0;  // the row itself: the movie's first axis
  std::int64_t time_ns = kUnknownTime;
  double time_s = kNotMeasured;  // since the run's start
  float time_uncertainty_s = std::numeric_limits<float>::quiet_NaN();
  float exposure_s = std::numeric_limits<float>::quiet_NaN();
  std::uint32_t flags = 0, crc32c = 0, repaired_pixels = 0;
  std::uint8_t quality = 0, drift_state = 0;
  double mean_counts = kNotMeasured;
  Vector2 drift_nm{kNotMeasured, kNotMeasured}, drift_px, sigma_drift_px, sigma_drift_sys_px;
  double drift_quality = kNotMeasured, crystallinity = kNotMeasured;
  // Of a scanned frame: true g = A^T g as seen.
  double scan_xx = kNotMeasured, scan_xy = kNotMeasured, scan_yx = kNotMeasured,
         scan_yy = kNotMeasured;
  HolderColumns holder;
  double dose_rate = kNotMeasured, dose_total = kNotMeasured;  // e/nm2/s, e/nm2
};

/// What frame and run say; image, crc32c, the gap and the holder are the caller's.
[[nodiscard]] FrameRow row_of(const Frame& frame, const RunInfo& run, std::int64_t started_ns);

class FrameTable {
 public:
  /// Makes the columns in `group`; `images` is where indices_image belongs. `start` in ISO 8601.
  static FrameTable create(Hdf5Author& author, hid_t group, hid_t images, const std::string& start);

  /// Rows that may wait; more are refused by add().
  static constexpr std::size_t kBuffered = 4096;

  /// False when there is no room: write() first.
  bool add(const FrameRow& row);
  /// Of a row added before. Written at the next write().
  void correct(std::uint64_t row, const HolderColumns& holder, std::uint32_t flags);
  Result<void> write();

  /// Added so far, those that wait included.
  [[nodiscard]] std::uint64_t count() const noexcept { return written_ + waiting_.size(); }
  [[nodiscard]] bool has_news() const noexcept {
    return !waiting_.empty() || !corrections_.empty();
  }

 private:
  struct Correction {
    std::uint64_t row = 0;
    HolderColumns holder;
    std::uint32_t flags = 0;
  };
  Result<void> write_waiting();
  Result<void> write_corrections();
  Result<void> write_run(std::span<const Correction> run);

  std::vector<Rows> columns_;
  std::vector<FrameRow> waiting_;
  std::vector<Correction> corrections_;
  std::vector<std::byte> scratch_;
  std::uint64_t written_ = 0;
};

/// Names of all columns below frame_info.
[[nodiscard]] std::vector<std::string> frame_column_names();

}  // namespace latticed::record
