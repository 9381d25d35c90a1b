// SPDX-License-Identifier: GPL-3.0-or-later
// Pixel sizes measured from standards: dated, kept in one JSON file, and which of them each
// detector uses. A calibration holds for one setting of the microscope, so it is used only where
// detector and configuration say the pixel size they said when it was made. Any thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "drivers/kit/result.hpp"
#include "server/signal/scale_fit.hpp"

namespace latticed {

struct CalibratedSpacing {
  std::string name;
  double d_nm = 0.0;         // the standard's
  double d_px = 0.0;         // measured, raw pixels
  double sigma_ratio = 0.0;  // of the measured
  double residual_ratio = 0.0;
};

struct Calibration {
  std::string detector;
  std::int64_t time_ns = 0;  // UTC
  std::string standard;
  double nominal_pixel_size_nm = 0.0;  // 0 = nobody said
  signal::ScaleFit fit;                // its indices are not kept: see spacings
  std::vector<CalibratedSpacing> spacings;
  std::uint32_t unmatched = 0, frames = 0, epoch = 0;
  std::uint64_t first_seq = 0, last_seq = 0;
  bool is_in_use = false;
};

/// "calibrated by Si, 2026-11-22T18:00:00Z".
[[nodiscard]] std::string words_of(const Calibration& calibration);

class CalibrationStore {
 public:
  /// Reads what is there; a file that cannot be read is an error, for its calibrations are in use.
  static Result<std::unique_ptr<CalibrationStore>> open(std::string path);

  /// Kept, and used from the next configuration on.
  Result<void> add(Calibration calibration);
  /// `detector` uses none any more.
  Result<void> clear(const std::string& detector);
  /// Newest first.
  [[nodiscard]] std::vector<Calibration> list() const;

  /// `detector` is configured and says `nominal_nm` (0 = nothing): what it is to use, if anything.
  /// Remembers what was said.
  std::optional<Calibration> configured(const std::string& detector, double nominal_nm);
  /// What was said last; 0 = nothing.
  [[nodiscard]] double nominal_of(const std::string& detector) const;

 private:
  explicit CalibrationStore(std::string path) : path_(std::move(path)) {}
  [[nodiscard]] Result<void> write() const;

  const std::string path_;
  mutable std::mutex mutex_;               // guards what follows
  std::vector<Calibration> calibrations_;  // oldest first
  std::map<std::string, double> nominal_nm_;
};

}  // namespace latticed
