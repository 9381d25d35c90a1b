// SPDX-License-Identifier: GPL-3.0-or-later
// Reflections followed from frame to frame: each detection is refined without bin bias, gets an
// identity, is confirmed when seen in 3 of 5 frames and dropped after 5 misses. A confirmed spot
// that detection missed is still measured at its last place, so a fading lattice keeps its series.
// A watched spot, one that somebody pointed at, is reported in every good frame, however faint.
// What spots have in common is found here too: the one q of the orders of a row, the lattices they
// belong to, and what is at a lattice's superlattice places. docs/decisions/0013-lattice.md.
#pragma once

#include <span>
#include <vector>

#include "server/process/stage.hpp"
#include "server/signal/lattice_tracker.hpp"
#include "server/signal/scan_distortion.hpp"
#include "server/signal/spot_refine.hpp"
#include "server/signal/streak.hpp"

namespace latticed {

/// What a user may say about lattices.
struct LatticeSettings {
  /// Fractional indices (h, k) of the main lattice that are looked at in every frame, at most
  /// kMaxSuperlattice; none of them whole. As given here: the three corners of a honeycomb's first
  /// zone, and halves.
  std::vector<Vector2> superlattice = {{1.0 / 3, 1.0 / 3}, {-2.0 / 3, 1.0 / 3}, {1.0 / 3, -2.0 / 3},
                                       {1.0 / 2, 0.0},     {0.0, 1.0 / 2},      {1.0 / 2, 1.0 / 2}};
};

struct LatticeConfig {
  double min_fringes = 6.0;             // as in DetectConfig: where the rings of noise begin
  double pixel_size_nm = 0.0;           // raw pixel; 0 = unknown: lengths are then in raw pixels
  double pixel_size_sigma_ratio = 0.0;  // relative uncertainty of it, 0 to 0.5; goes into sigma_sys
  double scan_line_time_s = 0.0;        // from line to line; 0 = not scanned
  double frame_period_s = 0.0;          // 0 = unknown
  LatticeSettings settings = {};
};

class LatticeStage final : public TrackStage {
 public:
  LatticeStage(const signal::FrameFft& fft, const FrameGeometry& geometry,
               const LatticeConfig& config);

  [[nodiscard]] Stage stage() const noexcept override { return Stage::lattice; }
  void process(const Frame& frame, const Prepared& prepared, Measurements& out) noexcept override;
  void skip(const Frame& lost) noexcept override;
  /// The same of a sum of frames, in which the specimen had this mean velocity. A stage follows
  /// frames or sums, not both.
  void process_sum(const Prepared& sum, const signal::MeanVelocity& velocity,
                   Measurements& out) noexcept;

  // Between two frames; none allocates.
  /// Follows the spot nearest to `g` (per nm, within `tolerance`), or what is there below the
  /// detection's threshold, until forget(). Its id. Error out_of_range: outside the analysed band;
  /// resource_exhausted: kMaxSpots are followed already.
  Result<std::uint32_t> watch(Vector2 g_per_nm, double tolerance_per_nm);
  /// It is then followed as any other spot. False: this id is not watched.
  bool forget(std::uint32_t id) noexcept;
  /// All spots are forgotten; watched ones keep their ids and begin anew where they were.
  void restart() noexcept;
  /// Goes on with the ids and the watched spots of `other`, which measured another region; as new.
  void take_over(const LatticeStage& other) noexcept;

 private:
  struct Track {
    std::uint32_t id = 0;
    Vector2 frequency;        // cycles per cell, as seen (a scan's distortion not removed)
    Vector2 last_detected{};  // where a peak showed it last
    std::uint32_t seen = 0;   // one bit per frame, newest lowest
    std::uint32_t age_frames = 0;
    double snr = 0.0;  // of the last frame that showed it
    bool is_confirmed = false;
    bool is_watched = false;
    bool is_overlapped = false;
    std::uint32_t owner = 0;    // the lattice at whose place it was begun, from a shared peak
    std::uint32_t not_of = 0;   // a lattice at whose place it is, but not where its crystal is
    double tolerance = 0.0;     // cycles per cell; of a watched one
    std::uint32_t lattice = 0;  // by the last frame that showed it
    int h = 0, k = 0;
    double bend = 0.0, bend_across = 0.0;  // running means, see doubt_overlap()
    double extent = 0.0;                   // likewise
    double lost_extent = 0.0;              // part of that lost lately, 0..1
    signal::RandomWalkFilter<2> filter{};  // of its true frequency
  };
  /// A spot of this frame, beside what is reported of it: its slot has the same number.
  struct Fit {
    signal::RefinedSpot spot;
    Vector2 truth;                   // its frequency without the scan's distortion
    signal::Covariance2 covariance;  // of that
    std::size_t track = 0;
    bool is_fitted = true;       // else only looked at where it was
    double nearest_rival = 1e9;  // bins
    double rival_ratio = 0.0;    // its amplitude over this one's
  };
  static constexpr std::size_t kMaxRivals = 4;
  using Rivals = FixedVector<Vector2, kMaxRivals>;

  void measure_all(const Prepared& prepared, Measurements& out) noexcept;
  [[nodiscard]] int nearest_track(const signal::Peak& peak, double* distance_bins) const noexcept;
  [[nodiscard]] double bins_apart(Vector2 a, Vector2 b) const noexcept;
  [[nodiscard]] Vector2 place_of(const Track& track) const noexcept;
  void give_peaks(const signal::PeakList& peaks) noexcept;
  void find_order() noexcept;
  void follow(const Prepared& prepared, Measurements& out);
  void follow_one(Track& track, std::size_t index, const Prepared& prepared, Measurements& out);
  void drop_gone() noexcept;
  using Parts = FixedVector<Track, signal::LatticeTracker::kMaxLattices>;
  [[nodiscard]] Parts parts_of(const Track& shared) const noexcept;
  [[nodiscard]] bool are_apart(const Parts& parts) const noexcept;
  void part_shared() noexcept;
  [[nodiscard]] bool measure_owned(Track& track, const Prepared& prepared, const signal::Peak* peak,
                                   Measurements& out);
  void take(Track& track, const signal::RefinedSpot& fit, const Prepared& prepared,
            Measurements& out);
  void measure_watched(Track& track, Vector2 start, const Prepared& prepared,
                       const signal::Peak* peak, Measurements& out);
  [[nodiscard]] Vector2 strongest_near(const signal::Spectrum& spectrum, Vector2 place,
                                       double reach) const noexcept;
  [[nodiscard]] Rivals rivals_of(const Track& track, Vector2 start,
                                 const signal::PeakList& peaks) const noexcept;
  [[nodiscard]] std::size_t outline_for(const Track& track, std::uint32_t lattice,
                                        double snr) const noexcept;
  void begin_new(const Prepared& prepared, Measurements& out);
  [[nodiscard]] signal::RefinedSpot refine(Track& track, Vector2 start, const Prepared& prepared,
                                           const signal::Peak* peak, std::size_t slot);
  /// peak: that shows it in this frame; null: none.
  [[nodiscard]] bool measure(Track& track, Vector2 start, const Prepared& prepared,
                             const signal::Peak* peak, Measurements& out);
  void add_spot(Track& track, const signal::RefinedSpot& fit, const Prepared& prepared,
                Measurements& out);
  void doubt_overlap(Track& track, const Fit& fit, double film, Spot& spot);
  void set_spacing(Spot& spot, Vector2 frequency, const signal::Covariance2& covariance) const;
  [[nodiscard]] double amplitude_of(double coefficient, Vector2 frequency,
                                    const Measurements& out) const noexcept;
  [[nodiscard]] signal::Covariance2 true_covariance(const signal::Covariance2& c) const noexcept;
  void join_row(std::span<const signal::RowMember> members, double white, Measurements& out);
  void find_rows(const Prepared& prepared, Measurements& out);
  void find_lattices(Measurements& out);
  void report(const signal::TrackedLattice& lattice, Measurements& out) const;
  void filter_spots(Measurements& out);
  void look_at_superlattice(const Prepared& prepared, Measurements& out);
  [[nodiscard]] static double quiet_level(const signal::PeakList& peaks) noexcept;
  [[nodiscard]] double structure_power(const Prepared& prepared) noexcept;
  [[nodiscard]] signal::StreakGauge::Level streak_at(Vector2 f,
                                                     const Prepared& prepared) const noexcept;
  [[nodiscard]] double streak_ratio(Vector2 frequency, const Prepared& prepared) const noexcept;
  [[nodiscard]] double ring_ratio(Vector2 frequency, const Prepared& prepared) const noexcept;

  signal::AnalysisGrid grid_;
  signal::TaperMoments moments_;
  signal::SpotRefiner refiner_;
  signal::StreakGauge streaks_;
  LatticeConfig config_;
  double length_unit_;    // nm (or px) of one cell
  Vector2 centre_cells_;  // of the raw frame, in cells from cell (0, 0)
  FixedVector<Track, kMaxSpots> tracks_;
  FixedVector<std::uint8_t, signal::kMaxPeaks> peak_used_;
  std::array<int, kMaxSpots> peak_of_track_{};          // of this frame; -1 = none
  FixedVector<signal::Peak, kMaxSpots> lattice_peaks_;  // likewise, that show a lattice's spots
  std::array<std::size_t, kMaxSpots> order_{};          // tracks as they are measured
  FixedVector<Fit, kMaxSpots> fits_;                    // of this frame, as its spots
  signal::LatticeTracker lattices_;
  signal::ScanDistortion scan_;
  std::array<signal::LatticeSample, kMaxSpots> samples_{};
  std::uint32_t next_id_ = 1;
  double bragg_power_ = 0.0;  // of this frame
  double reach_ = 0.0;  // of structure, cycles per cell: a little beyond any reflection so far
};

}  // namespace latticed
