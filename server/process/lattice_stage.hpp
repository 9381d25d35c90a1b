// SPDX-License-Identifier: GPL-3.0-or-later
// Reflections followed from frame to frame: each detection is refined without bin bias, gets an
// identity, is confirmed when seen in 3 of 5 frames and dropped after 5 misses. A confirmed spot
// that detection missed is still measured at its last place, so a fading lattice keeps its series.
// A watched spot, one that somebody pointed at, is reported in every good frame, however faint.
#pragma once

#include "server/process/stage.hpp"
#include "server/signal/spot_refine.hpp"

namespace latticed {

struct LatticeConfig {
  double min_fringes = 6.0;             // as in DetectConfig: where the rings of noise begin
  double pixel_size_nm = 0.0;           // raw pixel; 0 = unknown: lengths are then in raw pixels
  double pixel_size_sigma_ratio = 0.0;  // relative uncertainty of it, 0 to 0.5; goes into sigma_sys
};

class LatticeStage final : public TrackStage {
 public:
  LatticeStage(const signal::FrameFft& fft, const FrameGeometry& geometry,
               const LatticeConfig& config);

  [[nodiscard]] Stage stage() const noexcept override { return Stage::lattice; }
  void process(const Frame& frame, const Prepared& prepared, Measurements& out) noexcept override;
  void skip(const Frame& lost) noexcept override;

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
    Vector2 frequency;       // cycles per cell
    std::uint32_t seen = 0;  // one bit per frame, newest lowest
    std::uint32_t age_frames = 0;
    bool is_confirmed = false;
    bool is_watched = false;
    double tolerance = 0.0;  // cycles per cell; of a watched one
  };

  [[nodiscard]] int nearest_track(const signal::Peak& peak, double* distance_bins) const noexcept;
  void follow(const Prepared& prepared, Measurements& out);
  void measure_watched(Track& track, Vector2 start, const Prepared& prepared, bool was_detected,
                       Measurements& out);
  [[nodiscard]] Vector2 strongest_near(const signal::Spectrum& spectrum, Vector2 place,
                                       double reach) const noexcept;
  void begin_new(const Prepared& prepared, Measurements& out);
  [[nodiscard]] bool measure(Track& track, Vector2 start, const Prepared& prepared,
                             bool was_detected, Measurements& out);
  void add_spot(const Track& track, const signal::RefinedSpot& fit, const Prepared& prepared,
                Measurements& out) const;
  void join_harmonics(Measurements& out) const;
  [[nodiscard]] double structure_power(const Prepared& prepared) noexcept;
  [[nodiscard]] double ring_ratio(Vector2 frequency, const Prepared& prepared) const noexcept;

  signal::AnalysisGrid grid_;
  signal::TaperMoments moments_;
  signal::SpotRefiner refiner_;
  LatticeConfig config_;
  double length_unit_;    // nm (or px) of one cell
  Vector2 centre_cells_;  // of the raw frame, in cells from cell (0, 0)
  FixedVector<Track, kMaxSpots> tracks_;
  FixedVector<std::uint8_t, signal::kMaxPeaks> peak_used_;
  std::uint32_t next_id_ = 1;
  double bragg_power_ = 0.0;  // of this frame
  double reach_ = 0.0;  // of structure, cycles per cell: a little beyond any reflection so far
};

}  // namespace latticed
