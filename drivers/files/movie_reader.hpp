// SPDX-License-Identifier: GPL-3.0-or-later
// A recorded movie as numbered frames of one geometry, whatever file it lies in. The replay driver
// and `latticed analyze` read through this; nothing here knows about time or pace.
//
//   auto movie = open_movie("drift.mrc");                 // Result<std::unique_ptr<MovieReader>>
//   std::vector<std::byte> pixels((*movie)->info().geometry.bytes());
//   auto read = (*movie)->read(0, pixels);                // rows packed, row 0 first, little
//   endian
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "drivers/kit/frame_header.hpp"
#include "drivers/kit/result.hpp"

namespace latticed {

struct MovieInfo {
  std::string format;             // "mrc", "tiff", "hspy", "nexus", "hdf5"
  FrameGeometry geometry;         // of every frame, after conversion to a PixelType
  std::uint64_t frame_count = 0;  // all the file should have, those that cannot be read included
  double pixel_size_nm = 0.0;     // 0 = unknown, or not a length in real space
  double pixel_size_sigma_ratio = 0.0;  // relative sigma of it; 0 = unknown
  std::string pixel_size_source;        // the calibration it is from, in words; empty = unknown
  double scan_line_time_s = 0.0;        // from row to row; 0 = not scanned, or unknown
  double frame_period_s = 0.0;          // 0 = unknown
  double exposure_s = 0.0;              // 0 = unknown
  std::vector<std::int64_t> time_ns;    // UTC since the Unix epoch, one per frame; or empty
  std::vector<std::string> remarks;     // what was odd and how it was taken, for the log
};

/// Owner's thread only; two readers of the same file do not disturb each other.
class MovieReader {
 public:
  virtual ~MovieReader() = default;
  MovieReader() = default;
  MovieReader(const MovieReader&) = delete;
  MovieReader& operator=(const MovieReader&) = delete;

  [[nodiscard]] virtual const MovieInfo& info() const noexcept = 0;

  /// Frame `index` into `pixels`, which must hold geometry.bytes(). Errors are those loss_reason()
  /// knows, or invalid_argument for a buffer that is too small. After an error other frames can
  /// still be read; `pixels` then holds nothing of use.
  virtual Result<void> read(std::uint64_t index, std::span<std::byte> pixels) = 0;
};

/// What an Error of MovieReader::read means for the frame: out_of_range is the end of the file
/// (truncated), failed_precondition another size (wrong_size), everything else unreadable.
[[nodiscard]] constexpr LossReason loss_reason(ErrorCode code) noexcept {
  if (code == ErrorCode::out_of_range) return LossReason::truncated;
  if (code == ErrorCode::failed_precondition) return LossReason::wrong_size;
  return LossReason::unreadable;
}

/// Opens by what the file says, and by its extension where it says nothing.
Result<std::unique_ptr<MovieReader>> open_movie(const std::string& path);

}  // namespace latticed
