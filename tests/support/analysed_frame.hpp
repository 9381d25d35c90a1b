// SPDX-License-Identifier: GPL-3.0-or-later
// The stateless half of the pipeline for one image at a time, without frames, pools and threads:
// binning, transform, detection, as Preparer does it.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "server/process/prepared.hpp"
#include "server/signal/bin_image.hpp"
#include "server/signal/frame_fft.hpp"
#include "server/signal/peak_detect.hpp"

namespace latticed::test {

struct AnalysisOptions {
  int bin = 1;
  double taper = 0.25, band = 0.8;
  signal::DetectConfig detect;
};

class FrameAnalysis {
 public:
  FrameAnalysis(int width, int height, const AnalysisOptions& options = {})
      : geometry_{width, height, PixelType::f32},
        grid_(signal::make_grid(geometry_, options.bin, {}, options.band).value()),
        fft_(grid_, options.taper),
        detector_(grid_, options.detect, fft_.moments().hann_noise_ratio),
        row_(static_cast<std::size_t>(width)),
        cells_(static_cast<std::size_t>(grid_.width) * static_cast<std::size_t>(grid_.height)),
        fft_work_(fft_.make_workspace()),
        detect_work_(detector_.make_workspace()) {
    prepared_.spectrum = signal::Spectrum(grid_.spectrum_size());
  }

  const Prepared& operator()(const std::vector<float>& image) {
    prepared_.statistics = signal::bin_image(std::as_bytes(std::span(image)), geometry_, grid_, {},
                                             {}, 0.0, row_, cells_);
    struct Survey final : signal::ColumnVisitor {
      FrameAnalysis& all;
      explicit Survey(FrameAnalysis& analysis) : all(analysis) {}
      void visit(int kx, const signal::Complex* column) override {
        all.detector_.survey(kx, column, all.detect_work_);
      }
    } survey(*this);
    fft_.execute(cells_.data(), prepared_.statistics.plane, fft_work_, prepared_.spectrum, &survey);
    detector_.detect(prepared_.spectrum, detect_work_, prepared_.peaks);
    return prepared_;
  }

  [[nodiscard]] const signal::AnalysisGrid& grid() const { return grid_; }
  [[nodiscard]] const FrameGeometry& geometry() const { return geometry_; }
  [[nodiscard]] const signal::FrameFft& fft() const { return fft_; }

 private:
  FrameGeometry geometry_;
  signal::AnalysisGrid grid_;
  signal::FrameFft fft_;
  signal::PeakDetector detector_;
  std::vector<float> row_, cells_;
  signal::FrameFft::Workspace fft_work_;
  signal::PeakDetector::Workspace detect_work_;
  Prepared prepared_;
};

}  // namespace latticed::test
