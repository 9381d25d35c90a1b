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
#include <vector>

#include "server/frame/measurements.hpp"
#include "server/signal/cell_doubt.hpp"
#include "server/signal/drift_bins.hpp"
#include "server/signal/drift_landing.hpp"
#include "server/signal/drift_leak.hpp"
#include "server/signal/drift_match.hpp"
#include "server/signal/field_search.hpp"
#include "server/signal/filling_lattice.hpp"
#include "server/signal/frame_fft.hpp"
#include "server/signal/peak_detect.hpp"

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

  void begin(const Spectrum& frame, const RingNoise& noise, std::span<const Peak> peaks);
  void renew_list(const RingNoise& noise, std::span<const Peak> peaks);
  [[nodiscard]] static double aperiodic_j(const MatchResult& match) noexcept;
  [[nodiscard]] double expected_aperiodic_j() const noexcept;
  [[nodiscard]] Expectation expected_j() const noexcept;
  [[nodiscard]] Verdict judge(const MatchResult& match) const;
  [[nodiscard]] Vector2 aperiodic_pull(const MatchResult& match) const;
  [[nodiscard]] bool is_cell_strange(const MatchResult& match) const;
  [[nodiscard]] bool is_leap(double step) const noexcept;
  static constexpr std::size_t kPlacesEach = 4;  // of the whole field, from either surface
  static_assert(CellDoubt::kMostPlaces >= 2 + 2 * kPlacesEach + 8);  // near, here, found, around
  void open_doubt(const Spectrum& frame, Vector2 predicted, const MatchResult& near);
  [[nodiscard]] double place_nats(const MatchResult& match) const;
  [[nodiscard]] double shared_part(Vector2 shift) const noexcept;
  [[nodiscard]] double usual_step() const noexcept;
  bool weigh_places(MatchResult& match);
  [[nodiscard]] int longest_memory() const noexcept;
  void learn(const Spectrum& frame, const MatchResult& match);
  [[nodiscard]] double misfit_of(const MatchResult& match, std::size_t label) const;
  MatchResult reweighed(const Spectrum& frame, const MatchResult& first);
  [[nodiscard]] bool is_foreign(const MatchResult& match) const;
  [[nodiscard]] double typical_misfit(const MatchResult& match) const;
  [[nodiscard]] double reflections_match(const MatchResult& match) const;
  [[nodiscard]] bool has_aperiodic(double least_j) const noexcept;
  [[nodiscard]] bool is_aperiodic_told(const MatchResult& match) const;
  void doubt_place(Vector2 sigma) noexcept;
  bool average_of_reflections(const Spectrum& frame, MatchResult& match);
  void watch_reflections(const MatchResult& match);
  [[nodiscard]] static bool can_stand_alone(const MatchList& list);
  [[nodiscard]] static bool is_filled(const MatchList& list);
  [[nodiscard]] std::uint32_t anchor_labels(bool is_far) const;
  Vector2 anchored(const Spectrum& frame, Vector2 shift);
  void reset();
  void make_anchor();
  void make_film();
  void follow_lattice(const Spectrum& frame, const MatchResult& match);
  DriftMeasurement report(const MatchResult& match, const Verdict& verdict, bool is_ambiguous);
  DriftMeasurement doubtful(Vector2 shift) const;
  MatchResult match_near(std::uint32_t labels, Vector2 start);
  MatchResult match_expected(const Spectrum& frame, Vector2 predicted);
  DriftMeasurement lose(const Spectrum& frame, const RingNoise& noise, std::span<const Peak> peaks,
                        double match);
  void step_to(const MatchResult& match, Vector2 predicted);
  void settle(const Spectrum& frame, MatchResult& match);
  [[nodiscard]] bool is_astray(const MatchResult& match) const noexcept;
  bool land(const Spectrum& frame, MatchResult& match);
  void doubt_landing(const MatchResult& match) noexcept;
  [[nodiscard]] Vector2 place_sigma(Vector2 shift) const noexcept;
  [[nodiscard]] Vector2 scale_variance() const noexcept;
  [[nodiscard]] double half_cell() const noexcept;

  AnalysisGrid grid_;
  DriftConfig config_;
  WindowOverlap window_;
  double taper_excess_;  // variance of the match over what its bins say

  // Across frames.
  Spectrum template_;
  DriftBins bins_;
  MatchList list_, anchor_;
  MatchList film_;  // film and edge as they were: never updated
  FillingLattice filling_lattice_;
  std::array<FillingReflection, kLabels> filling_{};
  Vector2 scale_variance_;  // of the way over a lattice that fills the field, per way^2
  DriftLanding landing_;
  DeformationGauge gauge_;
  CrystalMap crystal_;
  LatticeLeak leak_;
  Vector2 film_place_, film_mean_;  // as anchor_place_ and anchor_mean_
  double film_white_ = 0.0;         // frame noise its variances were worked out with
  int frames_without_film_ = 0;     // in a row: film asked, and not found
  bool has_film_ = false;
  int frames_learnt_ = 0, frames_since_renewal_ = 0, frames_lost_ = 0, stripe_ = 0;
  int frames_ambiguous_ = 0;  // in a row
  int memory_ = 1;            // frames in the running mean
  bool has_anchor_ = false, was_reweighed_ = false;
  bool has_jumped_ = false;       // and the template is still of the field that was left
  bool is_behind_ = false;        // the field has moved on since the template was made
  int frames_landed_ = 0;         // since the last landing
  int astray_rest_ = 0;           // of those frames, until a badly known place is asked again
  int filling_memory_ = 1;        // and in that of a lattice that fills the field: no jump ends it
  TemplateNoise template_noise_;  // in the list
  double full_noise_ = 0.0;       // and in the rest of the full template
  double white_ = 0.0;            // this frame's noise power
  double last_white_ = 0.0, usual_white_ = 0.0;  // of the frame before, and its running mean
  int frames_of_beam_ = 0;                       // since the beam was turned up or down
  double template_white_ = 0.0;                  // and its mean over the frames of the template
  std::array<double, kLabels> misfit_{};         // frame residual over shot noise, >= 1
  std::array<double, kLabels> label_phase_{};    // running mean of the residual phase, rad
  std::uint32_t used_labels_ = 1;
  FixedVector<Peak, kLabels> anchor_reflections_;  // label l is [l - 1]
  Vector2 anchor_place_;                           // the shift at which the anchor was made
  Vector2 template_mean_, anchor_mean_;    // mean shift of the frames in template and anchor
  Vector2 origin_;                         // where this template's zero lies, cells from frame 0
  Vector2 origin_sigma_;                   // one standard deviation of that
  Vector2 home_;                           // the field that jumps are counted from
  Vector2 home_variance_, away_variance_;  // of its place, and of the template's now, cells^2
  Vector2 last_sigma_;                     // as reported of the last frame
  Vector2 sure_shift_;                     // of the last frame whose cell was not in doubt
  Vector2 shift_, velocity_;               // cells from the template's zero, cells per frame
  double usual_aperiodic_ = 1.0;           // running mean of the aperiodic match
  double usual_scatter_ = 0.0;             // and of its distance from that
  Vector2 usual_pull_;                     // running mean of the pull of film and edge
  double usual_pull_scatter_ = 1.0;        // and of its distance from that
  CellDoubt doubt_;
  std::array<double, kLabels> doubt_misfit_{};  // of film and edge where they fit best
  double innovation_ = 0.0;                     // running mean of |measured - predicted|, cells

  // Scratch of one frame.
  PhaseRamps ramps_;
  GridSearch grid_search_;
  FieldSearch field_search_;
  std::vector<MatchBlock> film_blocks_;
};

}  // namespace latticed::signal
