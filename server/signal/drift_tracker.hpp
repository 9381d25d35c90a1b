// SPDX-License-Identifier: GPL-3.0-or-later
// Drift of every frame relative to the first, from one spectrum a frame. Remembers: a running
// template (drift-corrected mean spectrum), an anchor that is made once and keeps the template from
// wandering, a velocity for the prediction, and which reflections move by themselves.
//
// A frame is matched near its prediction (drift_match.hpp) over the bins that say most
// (drift_bins.hpp). When the match is worse than the template promises, or film and edge deny the
// cell or pull away from it, the whole field is searched (field_search.hpp) and the places are
// weighed until one leads (cell_doubt.hpp); until then frames are flagged, never silently chosen.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "server/frame/measurements.hpp"
#include "server/signal/cell_doubt.hpp"
#include "server/signal/drift_anchor.hpp"
#include "server/signal/drift_bins.hpp"
#include "server/signal/drift_landing.hpp"
#include "server/signal/drift_match.hpp"
#include "server/signal/field_search.hpp"
#include "server/signal/filling_lattice.hpp"
#include "server/signal/film_reference.hpp"
#include "server/signal/frame_fft.hpp"
#include "server/signal/match_fit.hpp"
#include "server/signal/peak_detect.hpp"
#include "server/signal/running_template.hpp"
#include "server/signal/template_place.hpp"
#include "server/signal/usual_fit.hpp"

namespace latticed::signal {

struct DriftConfig {
  int template_memory_frames = 32;  // 4 to 1024: the running mean's length
  int anchor_frames = 24;           // 4 to 1024: frames in the anchor
  int max_match_bins = 32768;       // 1024 to 262144: bins of the match
};

/// Where the specimen is, for a tracker that goes on from another one: cells, from the
/// acquisition's first frame.
struct DriftPlace {
  Vector2 drift, sigma;
  Vector2 velocity;         // cells per frame
  double innovation = 0.0;  // usual distance between measured and predicted
};

class DriftTracker {
 public:
  /// Takes grid and taper from the transform; keeps no reference to it.
  DriftTracker(const FrameFft& fft, const DriftConfig& config);

  /// The drift of this frame, in cells (not raw pixels). noise: as detected in this frame; peaks:
  /// its spots, used when the list of bins is renewed. Frames in sequence order. No allocation.
  DriftMeasurement track(const Spectrum& frame, const RingNoise& noise,
                         std::span<const Peak> peaks);

  /// A frame that cannot be matched (lost, blanked, constant): the prediction, with its doubt.
  DriftMeasurement skip();

  /// Forget the field, not the way: the next frame begins a new template at this place, whose
  /// sigma adds to that of all that follow. Does not allocate.
  void restart(const DriftPlace& place);
  /// Where the last frame was.
  [[nodiscard]] DriftPlace place() const noexcept;
  /// Where the next frame is expected, with the doubt of a frame that was not matched.
  [[nodiscard]] DriftPlace expected_place() const noexcept;
  /// The template as it is now is what frames are held to (see Weak anchor, decision 7). False:
  /// nothing has been learnt yet.
  bool set_reference();

 private:
  struct Verdict {
    double match = 0.0;         // J over its expectation
    double significance = 0.0;  // J over its noise
    bool is_accepted = false;
  };

  struct Found {
    MatchResult match;
    bool is_strange = false;  // other places are worth a look
  };

  void begin(const Spectrum& frame, const RingNoise& noise, std::span<const Peak> peaks);
  void renew_list(const RingNoise& noise, std::span<const Peak> peaks);
  [[nodiscard]] FitNoise fit_noise() const noexcept;
  [[nodiscard]] double expected_aperiodic_j() const;
  [[nodiscard]] Verdict judge(const MatchResult& match) const;
  [[nodiscard]] Vector2 aperiodic_pull(const MatchResult& match) const;
  bool is_strange(const MatchResult& match);
  bool is_better_next_door(const MatchResult& match, Vector2 pull);
  [[nodiscard]] FixedVector<Vector2, 8> cells_around() const;
  [[nodiscard]] bool is_leap(double step) const noexcept;
  static constexpr std::size_t kPlacesEach = 4;  // of the whole field, from either surface
  // Near, here, found, the best and those around it.
  static_assert(CellDoubt::kMostPlaces >= 2 + 2 * kPlacesEach + 9);
  void open_doubt(const Spectrum& frame, Vector2 predicted, const MatchResult& near);
  [[nodiscard]] double place_nats(const MatchResult& match) const;
  [[nodiscard]] double shared_part(Vector2 shift) const noexcept;
  [[nodiscard]] double usual_step() const noexcept;
  bool weigh_places(MatchResult& match);
  [[nodiscard]] int longest_memory() const noexcept;
  void learn(const Spectrum& frame, const MatchResult& match, bool is_laid);
  [[nodiscard]] bool is_same_cell(Vector2 a, Vector2 b) const noexcept;
  MatchResult reweighed(const Spectrum& frame, const MatchResult& first);
  [[nodiscard]] bool is_foreign(const MatchResult& match) const;
  [[nodiscard]] bool has_aperiodic(double least_j) const noexcept;
  [[nodiscard]] bool is_aperiodic_told(const MatchResult& match) const;
  void doubt_place(Vector2 sigma) noexcept;
  void take_mean_motion(const Spectrum& frame, MatchResult& match);
  void reset();
  void make_anchor();
  void follow_lattice(const Spectrum& frame, const MatchResult& match);
  DriftMeasurement report(const MatchResult& match, const Verdict& verdict, bool is_ambiguous);
  DriftMeasurement doubtful(Vector2 shift) const;
  MatchResult match_near(std::uint32_t labels, Vector2 start);
  Found match_expected(const Spectrum& frame, Vector2 predicted);
  DriftMeasurement lose(const Spectrum& frame, const RingNoise& noise, std::span<const Peak> peaks,
                        double match);
  void step_to(const MatchResult& match, Vector2 predicted);
  bool settle(const Spectrum& frame, MatchResult& match);
  [[nodiscard]] bool is_far(Vector2 shift) const noexcept;
  bool settle_far(const Spectrum& frame, MatchResult& match);
  [[nodiscard]] bool is_astray(const MatchResult& match) const noexcept;
  bool land(const Spectrum& frame, MatchResult& match, DriftLanding::To to);
  MatchResult fit_at(Vector2 shift);
  void doubt_landing(const MatchResult& match);
  [[nodiscard]] Vector2 place_sigma(Vector2 shift) const noexcept;
  [[nodiscard]] Vector2 scale_variance() const noexcept;
  [[nodiscard]] double half_cell() const noexcept;

  AnalysisGrid grid_;
  DriftConfig config_;
  WindowOverlap window_;
  double taper_excess_;  // variance of the match over what its bins say

  // Across frames.
  RunningTemplate template_;
  DriftBins bins_;
  MatchList list_;
  UsualFit usual_;
  DriftAnchor anchor_;
  FilmReference film_;
  FillingLattice filling_lattice_;
  std::array<FillingReflection, kLabels> filling_{};
  TemplatePlace place_;
  DriftLanding landing_;
  int frames_since_renewal_ = 0, frames_lost_ = 0;
  int frames_ambiguous_ = 0;  // in a row
  bool was_reweighed_ = false;
  bool has_jumped_ = false;  // and the template is still of the field that was left
  double white_ = 0.0;       // this frame's noise power
  double last_white_ = 0.0, usual_white_ = 0.0;  // of the frame before, and its running mean
  int frames_of_beam_ = 0;                       // since the beam was turned up or down
  Vector2 last_sigma_;                           // as reported of the last frame
  Vector2 sure_shift_;                           // of the last frame whose cell was not in doubt
  Vector2 shift_, velocity_;                     // cells from the template's zero, cells per frame
  CellDoubt doubt_;
  std::array<double, kLabels> doubt_misfit_{};  // of film and edge where they fit best
  double innovation_ = 0.0;                     // running mean of |measured - predicted|, cells

  // Scratch of one frame.
  PhaseRamps ramps_;
  GridSearch grid_search_;
  FieldSearch field_search_;
};

}  // namespace latticed::signal
