// SPDX-License-Identifier: GPL-3.0-or-later
// The lattices of the field, followed from frame to frame: each is two reciprocal basis vectors to
// which spots belong by integer indices. A frame's basis is fitted to that frame's spots alone; a
// random walk on the basis (RandomWalkFilter) only predicts. A lattice is confirmed when it was
// fitted in 3 of 5 frames and dropped after 5 without. Two phases or two domains are two lattices.
// Called by LatticeStage, on the track thread; does not allocate.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "server/base/fixed_vector.hpp"
#include "server/signal/lattice_cell.hpp"
#include "server/signal/lattice_fit.hpp"
#include "server/signal/random_walk_filter.hpp"

namespace latticed::signal {

/// A spot of this frame: what is known of it, and where it belongs, which measure() fills in.
struct LatticeSample {
  std::uint32_t id = 0;
  Vector2 frequency;       // cycles per cell
  Covariance2 covariance;  // of it
  double amplitude = 0.0, snr = 0.0;
  bool is_doubtful = false;  // unresolved: belongs to a lattice, but is not fitted
  std::uint32_t not_of = 0;  // a lattice it does not belong to, wherever it is; 0 = any may have it
  std::uint32_t only_of = 0;  // the one it may belong to; 0 = any
  std::uint32_t lattice = 0;  // 0 = none
  int h = 0, k = 0;
};

struct TrackedLattice {
  std::uint32_t id = 0;
  LatticeBasis measured;     // of this frame's spots alone
  bool is_measured = false;  // this frame fixed it
  RandomWalkFilter<4> filter;
  CellChoice choice;
  ReducedCell cell;        // of `measured`
  std::uint32_t seen = 0;  // one bit a frame, newest lowest
  std::uint32_t age_frames = 0;
  bool is_confirmed = false;
  std::uint32_t spots = 0;                    // that were fitted in this frame
  double strength_now = 0.0, strength = 0.0;  // sum of snr^2, and its running mean

  /// The basis without this frame.
  [[nodiscard]] LatticeBasis predicted() const noexcept;
};

class LatticeTracker {
 public:
  static constexpr std::size_t kMaxLattices = latticed::kMaxLattices;

  /// bin_x, bin_y: one bin of the spectrum in cycles per cell; shortest: no basis vector is
  /// shorter, cycles per cell.
  LatticeTracker(double bin_x, double bin_y, double shortest);

  /// Indices a superlattice's spots have: such a spot begins no finer lattice.
  void set_fractions(std::span<const Vector2> fractions) noexcept;

  /// One good frame: indexes its spots, fits the lattices, finds new ones.
  void measure(std::span<LatticeSample> samples) noexcept;

  /// Strongest first, but the first stays first until another is half as strong again.
  [[nodiscard]] std::span<const TrackedLattice> lattices() const noexcept {
    return {lattices_.begin(), lattices_.size()};
  }
  /// Where the filter expects a spot; false when there is no such lattice.
  [[nodiscard]] bool predict(std::uint32_t lattice, int h, int k, Vector2* frequency,
                             Covariance2* covariance) const noexcept;
  void restart() noexcept;
  /// Ids go on from those of another tracker.
  void take_over(const LatticeTracker& other) noexcept { next_id_ = other.next_id_; }

 private:
  enum class Reach : std::uint8_t { near, lost };
  void assign(std::span<LatticeSample> samples, Reach reach) const noexcept;
  void fit(TrackedLattice& lattice, std::span<LatticeSample> samples) const noexcept;
  [[nodiscard]] bool is_fraction(const LatticeSample& sample) const noexcept;
  void find_new(std::span<LatticeSample> samples) noexcept;
  void find_finer(TrackedLattice& lattice, std::span<LatticeSample> samples) noexcept;
  void begin(TrackedLattice& lattice, const LatticeBasis& basis,
             std::span<LatticeSample> samples) const noexcept;
  void bury() noexcept;
  void rank() noexcept;

  double bin_x_, bin_y_, shortest_;
  FixedVector<TrackedLattice, kMaxLattices> lattices_;
  FixedVector<Vector2, kMaxSuperlattice> fractions_;
  std::uint32_t next_id_ = 1;
  std::uint64_t tried_ = 0;        // which loose spots found no lattice
  std::uint64_t finer_tried_ = 0;  // and no finer one
  std::uint32_t finer_seen_ = 0;   // frames in a row that asked for a finer basis
};

}  // namespace latticed::signal
