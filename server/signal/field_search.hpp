// SPDX-License-Identifier: GPL-3.0-or-later
// Where in the whole field may this frame be? The log-likelihood of every whole shift at once (an
// inverse transform of the weighted products of frame and template), and its highest peaks.
//
// Used by the drift tracker when the match near the prediction is in doubt. No threads, no
// allocation after the constructor.
#pragma once

#include <span>
#include <vector>

#include "server/frame/measurements.hpp"
#include "server/signal/analysis_grid.hpp"
#include "server/signal/drift_bins.hpp"
#include "server/signal/frame_fft.hpp"

namespace latticed::signal {

/// A peak of the surface.
struct FieldPlace {
  Vector2 shift_cells;
  double score = 0.0;  // the surface there, over the share of the field both frames show
};

class FieldSearch {
 public:
  explicit FieldSearch(const AnalysisGrid& grid);

  /// What is compared, and with which noise (power per bin).
  struct Problem {
    const Spectrum& frame;
    const Spectrum& mean;
    double template_noise = 0.0, white = 0.0;
    const DriftBins& bins;
    bool is_aperiodic = false;  // leave out the reflections and their wings
    Vector2 centre_cells;       // where the template's own field lies
  };
  /// The highest peaks within 0.45 of the field from the centre, at least `apart_cells` from each
  /// other, best first. Returns how many of `found` were filled.
  std::size_t find(const Problem& problem, double apart_cells, std::span<FieldPlace> found);

 private:
  void make_surface(const Problem& problem);
  [[nodiscard]] bool is_top(int column, int row) const noexcept;
  std::size_t collect_peaks(double apart_cells, std::span<FieldPlace> found) const;

  AnalysisGrid grid_;
  PhaseRamps ramps_;
  SurfaceIfft surface_ifft_;
  AlignedBuffer<Complex> surface_half_;
  AlignedBuffer<float> surface_;
  std::vector<float> powers_;          // of one column's rows, and one more at either end
  std::vector<float> one_over_share_;  // by row: over the part of the field that is shared
};

}  // namespace latticed::signal
