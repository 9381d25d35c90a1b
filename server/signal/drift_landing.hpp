// SPDX-License-Identifier: GPL-3.0-or-later
// Where a frame has come to lie after a jump, and the template of the field it shows now.
//
// The frame is held to a field that is known, under the window of what both show
// (field_mosaic.hpp): to the *home* field, as long as the frame still shows enough of it, so that
// errors do not add up over jumps to and fro, else to the field that was left. Six transforms where
// the first field fits, four more for each that does not or is not as bright: the next landing has
// to wait (is_rested()). No threads, no allocation after the constructor.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "server/frame/measurements.hpp"
#include "server/signal/analysis_grid.hpp"
#include "server/signal/drift_match.hpp"
#include "server/signal/field_mosaic.hpp"
#include "server/signal/frame_fft.hpp"
#include "server/signal/match_fit.hpp"

namespace latticed::signal {

class DriftLanding {
 public:
  DriftLanding(const FrameFft& fft, std::size_t max_blocks);

  /// Of a template: shift is the mean shift of its frames, cells.
  struct Field {
    Vector2 shift;
    double noise = 0.0;       // E|noise|^2 per bin of the match
    double full_noise = 0.0;  // and of all others
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
    bool is_far = false;  // so far that film and edge are to tell the cell again
    std::span<const Vector2> cells_around{};  // the ways there, one of each opposite two
  };
  struct Landing {
    Vector2 shift_cells;
    Covariance covariance;  // of the frame's shift, the windows' share included
    Field field;            // that of the joined template, its place that of the field held to
  };

  /// Which fields a frame may be held to.
  enum class To { any, home };
  /// `mean`: the template of the field that was left, `left`; becomes that of the field the frame
  /// shows. Nothing: the frame does not fit any of the fields, `mean` is as it was.
  std::optional<Landing> land(const Jump& jump, const Field& left, To to, Spectrum& mean);

  /// A frame that was matched.
  void pass_frame() noexcept { frames_ = std::min(frames_ + 1, kLongestRest); }
  /// Eight frames lie between two landings, twice as many after each frame that was vain.
  [[nodiscard]] bool is_rested() const noexcept { return frames_ >= rest_; }
  /// The field is another one: what was vain may not be so again.
  void jumped() noexcept { rest_ = kShortestRest; }
  void was_vain() noexcept { rest_ = std::min(2 * rest_, kLongestRest); }

  /// Whether a frame at this shift shows enough of a field whose place is known better than this.
  [[nodiscard]] bool is_near_home(Vector2 shift, Vector2 variance) const noexcept;

  /// The specimen is another one.
  void forget() noexcept;

 private:
  struct Known {
    Spectrum mean;
    Field field;
    int refused = 0;  // frames in a row that did not fit
    bool is_known = false;
  };
  struct Found {
    Vector2 shift_cells;
    Covariance covariance;
    double share = 0.0;
    double noise = 0.0, full_noise = 0.0;  // of the field held to, as bright as the frame
  };
  [[nodiscard]] bool is_in_reach(const Known& known, Vector2 shift) const noexcept;
  struct Cut {
    MatchResult match;
    FitNoise noise;
    double aperiodic_j = 0.0;  // that film and edge promise before anything is reweighed
  };
  Cut match_cut(const Jump& jump, const Known& known, double gain);
  [[nodiscard]] bool has_cell(const Jump& jump, const Cut& cut);
  [[nodiscard]] bool is_middle_cell(const Jump& jump, Vector2 at, double here);
  [[nodiscard]] bool is_same(const Jump& jump, const Cut& cut);
  std::optional<Found> find(const Jump& jump, const Known& known);
  std::optional<Found> ask(const Jump& jump, const Field& left, Known& known);
  static void keep(const Field& field, const Spectrum& mean, Known& known);

  static constexpr int kShortestRest = 8, kLongestRest = 1024;  // frames

  WindowOverlap window_;
  FieldMosaic mosaic_;
  PhaseRamps ramps_;
  MatchList list_;
  Spectrum mean_cut_, frame_cut_;
  Known first_, there_;
  int frames_ = kShortestRest, rest_ = kShortestRest;
  bool is_new_frame_ = true;  // the last land() was the first since pass_frame()
};

}  // namespace latticed::signal
