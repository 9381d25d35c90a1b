// SPDX-License-Identifier: GPL-3.0-or-later
// Pictures of the frames of one run: corrected, aligned, against the running mean, as Fourier
// transform; binned by whole numbers, grey levels chosen, coded. One thread.
#pragma once

#include <latticed/v1/preview.pb.h>

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "server/live/fourier_view.hpp"
#include "server/live/running_mean.hpp"
#include "server/process/sink.hpp"

namespace latticed {

/// What is asked for: who asks for the same gets the same picture.
struct View {
  v1::ImageKind kind = v1::IMAGE_KIND_RAW;
  int size = 512;  // longest side at most
  v1::Encoding encoding = v1::ENCODING_GRAY8;
  std::optional<double> black, white;
  bool operator==(const View&) const = default;

  [[nodiscard]] bool needs_mean() const noexcept {
    return kind == v1::IMAGE_KIND_RUNNING_MEAN || kind == v1::IMAGE_KIND_DIFFERENCE;
  }
};

/// A frame to be shown; `raw` is looked at until the next one is.
struct ShownFrame {
  std::span<const std::byte> raw;
  std::uint64_t seq = 0;
  std::int64_t time_ns = kUnknownTime;
  Vector2 drift_px;
};

class PreviewRenderer {
 public:
  /// Keeps its own copy of the corrections: it may outlive the run.
  explicit PreviewRenderer(const RunInfo& run);

  void show(const ShownFrame& frame);
  /// Raw pixels to a pixel's side at this size.
  [[nodiscard]] int bin_for(int size) const;
  /// The shown frame into the running mean at this binning.
  void accumulate(int bin);
  /// Means of other binnings are given up: nobody wants them any more.
  void keep_means(std::span<const int> bins);

  /// Of the shown frame. Not stamp, detector and skipped. Nothing when there is none: no mean yet,
  /// a frame too small to be transformed.
  [[nodiscard]] std::optional<v1::Image> render(const View& view);

 private:
  struct Scale {  // everything at one binning
    Scale(const FrameGeometry& geometry, int bin, const signal::CorrectionMaps& maps);
    signal::AnalysisGrid grid;
    signal::HotPixelRepair repair;
    std::vector<float> row_scratch, cells, aligned;
    ImageShift shift;
    ImageShift::Covered covered;
    bool has_cells = false, has_aligned = false;  // of the shown frame
    RunningMean mean;
  };
  struct Picture {
    int width = 0, height = 0;
    std::span<const float> values;  // NaN = nothing there; until the next is made
  };
  Scale& scale_of(int bin);
  const Scale& with_cells(int bin);
  Scale& with_aligned(int bin);
  std::optional<Picture> picture_of(const View& view, int bin);
  std::optional<v1::Image> fourier(const View& view);
  static void encode(const Picture& picture, const View& view, v1::Image& out);

  const RunInfo run_;
  const signal::CorrectionMaps maps_;
  ShownFrame frame_;
  std::map<int, Scale> scales_;  // by binning
  std::vector<float> values_;    // of a picture that is none of theirs
  std::unique_ptr<FourierView> fourier_;
};

}  // namespace latticed
