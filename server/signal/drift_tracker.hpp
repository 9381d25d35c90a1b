// SPDX-License-Identifier: GPL-3.0-or-later
// Drift of every frame relative to the first, from one spectrum a frame. Remembers: a running
// template (drift-corrected mean spectrum), an anchor that is made once and keeps the template from
// wandering, a velocity for the prediction, and which reflections move by themselves.
//
// A frame is matched near its prediction (drift_match.hpp). When the match is worse than the
// template promises, or its aperiodic part denies the cell, the whole field is searched again; what
// cannot be decided is flagged, never silently chosen.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "server/frame/measurements.hpp"
#include "server/signal/drift_leak.hpp"
#include "server/signal/drift_match.hpp"
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
  struct Candidate {
    Vector2 shift;
    double score = 0.0;      // log-likelihood (in collect_peaks: the surface over the shared field)
    double aperiodic = 0.0;  // the same of the aperiodic part alone
    double fit = 0.0;        // J of the lattice over the shared part of the field
    MatchResult match;
  };
  struct Verdict {
    double match = 0.0;         // J over its expectation
    double significance = 0.0;  // J over its noise
    bool is_accepted = false;
    bool is_cell_denied = false;  // the aperiodic part says: not this cell
    bool is_suspect = false;      // the aperiodic part fits worse than it has done
  };

  void begin(const Spectrum& frame, const RingNoise& noise, std::span<const Peak> peaks);
  void renew_list(const RingNoise& noise, std::span<const Peak> peaks);
  [[nodiscard]] std::pair<std::uint8_t, double> nearest_reflection(MatchBlock block) const;
  [[nodiscard]] bool is_strong(MatchBlock block, double power, const RingNoise& noise) const;
  void label_neighbourhoods(std::span<const Peak> peaks);
  void order_blocks();
  [[nodiscard]] static double aperiodic_j(const MatchResult& match) noexcept;
  [[nodiscard]] double expected_aperiodic_j() const noexcept;
  void measure_cell(std::span<const Peak> peaks);
  [[nodiscard]] Verdict judge(const MatchResult& match) const;
  static constexpr std::size_t kCandidates = 8;  // peaks of the whole-field surface, refined
  void likelihood_surface(const Spectrum& frame, bool is_aperiodic);
  std::size_t collect_peaks(std::array<Candidate, kCandidates>& found, std::size_t first,
                            std::size_t limit) const;
  bool reacquire(const Spectrum& frame, Vector2 predicted, MatchResult& match, bool& is_ambiguous);
  void learn(const Spectrum& frame, const MatchResult& match);
  [[nodiscard]] double misfit_of(const MatchResult& match, std::size_t label) const;
  MatchResult reweighed(const Spectrum& frame, const MatchResult& first);
  [[nodiscard]] double typical_misfit(const MatchResult& match) const;
  [[nodiscard]] double reflections_match(const MatchResult& match) const;
  [[nodiscard]] bool is_one_row() const noexcept;
  [[nodiscard]] bool is_aperiodic_told(const MatchResult& match) const;
  void doubt_place() noexcept;
  bool average_of_reflections(const Spectrum& frame, MatchResult& match);
  void watch_reflections(const MatchResult& match);
  [[nodiscard]] static bool can_stand_alone(const MatchList& list);
  Vector2 anchored(const Spectrum& frame, Vector2 shift);
  void reset();
  void make_anchor();
  void make_film();
  void follow_lattice(const Spectrum& frame, const MatchResult& match);
  DriftMeasurement report(const MatchResult& match, const Verdict& verdict, bool is_ambiguous);
  DriftMeasurement doubtful(Vector2 shift) const;
  MatchResult match_near(std::uint32_t labels, Vector2 start);
  [[nodiscard]] double half_cell() const noexcept;

  AnalysisGrid grid_;
  DriftConfig config_;
  WindowOverlap window_;
  double taper_excess_;  // variance of the match over what its bins say
  std::size_t max_blocks_;

  // Across frames.
  Spectrum template_;
  MatchList list_, anchor_;
  MatchList film_;  // film and edge as they were: never updated
  DeformationGauge gauge_;
  CrystalMap crystal_;
  LatticeLeak leak_;
  Vector2 film_place_, film_mean_;  // as anchor_place_ and anchor_mean_
  double film_white_ = 0.0;         // frame noise its variances were worked out with
  int frames_without_film_ = 0;     // in a row: film asked, and not found
  bool has_film_ = false;
  int frames_learnt_ = 0, frames_since_renewal_ = 0, frames_lost_ = 0, stripe_ = 0;
  int frames_ambiguous_ = 0;  // in a row
  bool has_anchor_ = false, was_reweighed_ = false;
  double template_noise_ = 0.0;                // E|noise of T|^2 in the list
  double full_noise_ = 0.0;                    // and in the rest of the full template
  double white_ = 0.0;                         // this frame's noise power
  std::array<double, kLabels> misfit_{};       // frame residual over shot noise, >= 1
  std::array<double, kLabels> label_phase_{};  // running mean of the residual phase, rad
  std::uint32_t used_labels_ = 1;
  FixedVector<Peak, kLabels> reflections_;  // label l is reflections_[l - 1]
  double shortest_period_cells_ = 0.0;      // shortest lattice translation; 0 = no lattice seen
  double finest_period_cells_ = 0.0;        // d of the highest plain reflection
  Vector2 anchor_place_;                    // the shift at which the anchor was made
  Vector2 template_mean_, anchor_mean_;     // mean shift of the frames in template and anchor
  Vector2 origin_;                          // where this template's zero lies, cells from frame 0
  Vector2 origin_sigma_;                    // one standard deviation of that
  Vector2 last_sigma_;                      // as reported of the last frame
  Vector2 shift_, velocity_;                // cells from the template's zero, cells per frame
  double usual_aperiodic_ = 1.0;            // running mean of the aperiodic match
  double usual_scatter_ = 0.0;              // and of its distance from that
  double innovation_ = 0.0;                 // running rms of |measured - predicted|, cells

  // Scratch of one frame.
  PhaseRamps ramps_;
  GridSearch grid_search_;
  struct Scored {
    float score;
    std::uint32_t block;  // kx * blocks_per_column + row / kBlock
  };
  std::vector<Scored> scored_;
  std::vector<MatchBlock> chosen_;
  std::vector<std::uint8_t> label_of_block_;
  std::vector<std::uint8_t> is_wing_;  // by block: of its label's wings
  struct BlockRows {
    std::array<float, kBlock> row{};  // fy^2 of its rows, cycles^2 per cell^2
    double nearest = 1.0;             // the smallest of them
  };
  std::vector<BlockRows> block_fy2_;   // blocks of one column
  std::vector<float> powers_;          // of one column's rows, and one more at either end
  std::vector<float> one_over_share_;  // by row: how much of the field is not shared
  std::array<std::uint32_t, kLabels + 1> label_begin_{};
  SurfaceIfft surface_ifft_;
  AlignedBuffer<Complex> surface_half_;
  AlignedBuffer<float> surface_;
};

}  // namespace latticed::signal
