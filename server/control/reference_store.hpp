// SPDX-License-Identifier: GPL-3.0-or-later
// Dark and gain references taken by the daemon: dated files in one folder (TIFF, 32-bit float, any
// image program opens them) with a JSON file beside each that says what it is, and which of them
// the next run uses. Control thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "drivers/kit/frame_header.hpp"
#include "server/config/config.hpp"

namespace latticed {

enum class ReferenceKind : std::uint8_t { dark, gain };
[[nodiscard]] constexpr std::string_view to_string(ReferenceKind kind) noexcept {
  return kind == ReferenceKind::dark ? "dark" : "gain";
}

struct ReferenceRecord {
  std::string detector;
  ReferenceKind kind = ReferenceKind::dark;
  std::string file;
  std::int64_t time_ns = 0;               // UTC; 0 = unknown
  std::uint32_t frames = 0;               // averaged; 0 = unknown
  double mean = 0.0;                      // counts, or 1
  int width = 0, height = 0;              // pixels
  std::vector<std::uint32_t> hot_pixels;  // raw indices, ascending
  bool is_in_use = false;
};

/// Frames of one reference run, averaged.
struct MeanImage {
  FrameGeometry geometry;
  std::uint32_t frames = 0;
  std::uint32_t blanked = 0;  // of them taken with the beam blanked
  std::vector<float> mean;    // counts per raw pixel
};

class ReferenceStore {
 public:
  /// Makes the folder, reads what is there. `detectors`' references are set to those last in use.
  static Result<ReferenceStore> open(std::string directory, std::vector<DetectorConfig>& detectors);

  /// Writes it and uses it from now on. A gain reference is made with the dark one in use: error
  /// failed_precondition without one.
  Result<ReferenceRecord> add(DetectorConfig& detector, ReferenceKind kind, const MeanImage& image);
  /// `file` as list() says it; empty = none.
  Result<void> use(DetectorConfig& detector, ReferenceKind kind, const std::string& file);
  /// Newest first, those of the configuration last.
  [[nodiscard]] std::vector<ReferenceRecord> list(
      const std::vector<DetectorConfig>& detectors) const;

 private:
  explicit ReferenceStore(std::string directory) : directory_(std::move(directory)) {}
  Result<void> set(DetectorConfig& detector, ReferenceKind kind, const std::string& file);

  std::string directory_;
  std::vector<ReferenceRecord> records_;
  struct InUse {
    std::string detector;
    ReferenceKind kind;
    std::string file;
  };
  std::vector<InUse> in_use_;  // what was chosen here, over the configuration's
};

}  // namespace latticed
