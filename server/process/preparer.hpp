// SPDX-License-Identifier: GPL-3.0-or-later
// The stateless half of a frame's analysis: correct, bin, taper, one forward FFT, detect spots.
// Const after it was made; any number of workers share one, each with its own Scratch.
#pragma once

#include <memory>

#include "server/frame/frame.hpp"
#include "server/process/prepared.hpp"
#include "server/signal/frame_fft.hpp"

namespace latticed {

struct PrepareConfig {
  int bin = 0;              // 0 = smallest power of two that brings the frame to <= 1024; 1-16
  signal::Region region;    // raw pixels; width 0 = whole frame
  double taper = 0.25;      // Tukey alpha, 0 to 1
  double band = 0.8;        // analysed part of the spectrum, fraction of Nyquist, 0.2 to 1
  double saturation = 0.0;  // counts; 0 = the pixel type's largest value
  signal::DetectConfig detect;
};

class Preparer {
 public:
  struct Scratch {
    signal::AlignedBuffer<float> row, cells;
    signal::FrameFft::Workspace fft;
    signal::PeakDetector::Workspace detect;
  };

  /// Error invalid_argument: the region is not inside the frame or smaller than a bin, maps of
  /// another size or with a value that is no number.
  static Result<std::unique_ptr<Preparer>> make(const FrameGeometry& geometry,
                                                const PrepareConfig& config,
                                                signal::CorrectionMaps maps);
  /// The same, with maps that other preparers of this geometry use too.
  static Result<std::unique_ptr<Preparer>> make_sharing(
      const FrameGeometry& geometry, const PrepareConfig& config,
      std::shared_ptr<const signal::CorrectionMaps> maps);

  [[nodiscard]] Scratch make_scratch() const;
  /// Allocates what one Prepared needs; before the run.
  void reserve(Prepared& prepared) const;

  /// One frame. Any worker. Does not allocate, lock or wait.
  void prepare(const Frame& frame, Scratch& scratch, Prepared& out) const noexcept;

  [[nodiscard]] const signal::AnalysisGrid& grid() const noexcept { return grid_; }
  [[nodiscard]] const signal::CorrectionMaps& maps() const noexcept { return *maps_; }
  /// Null when the grid is too small to measure.
  [[nodiscard]] const signal::FrameFft* fft() const noexcept { return fft_.get(); }

 private:
  Preparer() = default;
  [[nodiscard]] FrameQuality judge(const Frame& frame,
                                   const signal::ImageStatistics& statistics) const noexcept;

  PrepareConfig config_;
  FrameGeometry geometry_;
  signal::AnalysisGrid grid_;
  std::shared_ptr<const signal::CorrectionMaps> maps_;
  signal::CompactMaps compact_;
  signal::HotPixelRepair repair_;
  std::uint32_t hot_pixels_ = 0;  // inside the grid
  std::unique_ptr<signal::FrameFft> fft_;
  std::unique_ptr<signal::PeakDetector> detector_;
};

}  // namespace latticed
