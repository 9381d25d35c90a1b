// SPDX-License-Identifier: GPL-3.0-or-later
// The mean of many frames with their drift taken out, on the field of the first frame. Bounded
// memory: sums and a coverage count, never the frames. Frames beyond 1024 pixels are binned first.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "server/frame/measurements.hpp"
#include "server/publish/image_shift.hpp"
#include "server/signal/bin_image.hpp"

namespace latticed {

class AlignedMean {
 public:
  explicit AlignedMean(const FrameGeometry& geometry, signal::CorrectionMaps maps = {});

  /// Adds the frame shifted by -drift with Keys' cubic, where it has pixels to do so.
  void add(std::span<const std::byte> raw, Vector2 drift_px);

  [[nodiscard]] int width() const noexcept { return grid_.width; }    // cells
  [[nodiscard]] int height() const noexcept { return grid_.height; }  // cells
  [[nodiscard]] int bin() const noexcept { return grid_.bin; }        // raw pixels to a cell's side
  [[nodiscard]] std::uint64_t frames() const noexcept { return frames_; }  // that reached the field

  /// Counts per raw pixel; NaN where no frame reached.
  [[nodiscard]] std::vector<float> mean() const;
  /// How many frames reached each cell.
  [[nodiscard]] std::vector<std::uint32_t> coverage() const;

 private:
  [[nodiscard]] std::size_t cells() const noexcept {
    return static_cast<std::size_t>(grid_.width) * static_cast<std::size_t>(grid_.height);
  }

  FrameGeometry geometry_;
  signal::CorrectionMaps maps_;
  signal::AnalysisGrid grid_;
  signal::HotPixelRepair repair_;
  std::vector<float> row_scratch_, cells_;
  ImageShift shift_;
  std::vector<float> row_;
  std::vector<double> sums_;
  std::vector<std::int64_t> corners_;  // +1 and -1 at the corners of what each frame covered
  std::uint64_t frames_ = 0;
};

}  // namespace latticed
