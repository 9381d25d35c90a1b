// SPDX-License-Identifier: GPL-3.0-or-later
// Where a frame has come to lie after a jump, and the template of the field it shows now.
//
// The frame is held to a field that is known, under the window of what both show
// (field_mosaic.hpp): to the *home* field, as long as the frame still shows enough of it, so that
// errors do not add up over jumps to and fro, else to the field that was left, which becomes the
// home. No threads, no allocation after the constructor.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "server/frame/measurements.hpp"
#include "server/signal/analysis_grid.hpp"
#include "server/signal/drift_match.hpp"
#include "server/signal/field_mosaic.hpp"
#include "server/signal/frame_fft.hpp"

namespace latticed::signal {

class DriftLanding {
 public:
  DriftLanding(const FrameFft& fft, std::size_t max_blocks);

  /// Of a template: shift is the mean shift of its frames, cells.
  struct Field {
    Vector2 shift;
    double noise = 0.0;       // E|noise|^2 per bin of the match
    double full_noise = 0.0;  // and of all others
    double white = 0.0;       // mean noise power of its frames: how bright they were
    Vector2 variance;         // of its place, cells^2
    Vector2 leak;             // of the lattice (drift_leak.hpp), cells: another, and it has swelled
  };
  struct Jump {
    const Spectrum& frame;
    Vector2 near_cells;        // where the frame matches the template, to a fraction of a cell
    double sigma_cells = 0.0;  // of that, the better axis
    const MatchList& list;     // the bins of the match
    std::uint32_t used = 0;    // their labels that count
    double white = 0.0;        // the frame's noise power
    const std::array<double, kLabels>& misfit;  // residual over shot noise, as usual
    double most_step_cells = 0.0;
  };
  struct Landing {
    Vector2 shift_cells;
    Covariance covariance;  // of the frame's shift, the windows' share included
    Field field;            // that of the joined template, its place that of the field held to
  };

  /// `mean`: the template of the field that was left, `left`; becomes that of the field the frame
  /// shows. Nothing: the frame does not fit either field, `mean` is as it was.
  std::optional<Landing> land(const Jump& jump, const Field& left, Spectrum& mean);

  /// Whether a frame at this shift shows enough of a field whose place is known better than this.
  [[nodiscard]] bool is_near_home(Vector2 shift, Vector2 variance) const noexcept;

  /// The specimen is another one.
  void forget() noexcept { first_.is_known = there_.is_known = false; }

 private:
  struct Known {
    Spectrum mean;
    Field field;
    bool is_known = false;
  };
  struct Found {
    Vector2 shift_cells;
    Covariance covariance;
    double share = 0.0;
    double noise = 0.0, full_noise = 0.0;  // of the field held to, as bright as the frame
  };
  [[nodiscard]] bool is_in_reach(const Known& known, Vector2 shift) const noexcept;
  std::optional<Found> find(const Jump& jump, const Known& known);
  static void keep(const Field& field, const Spectrum& mean, Known& known);

  WindowOverlap window_;
  FieldMosaic mosaic_;
  PhaseRamps ramps_;
  MatchList list_;
  Spectrum mean_cut_, frame_cut_;
  Known first_, there_;
};

}  // namespace latticed::signal
