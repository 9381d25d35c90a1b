// SPDX-License-Identifier: GPL-3.0-or-later
// A lattice that swells about a point of the specimen carries the match along: the lattice says
// nearly everything, drift is that of film and edge. How far it has carried it:
//
//   d leak = dE (a - kappa s)
//
// E the deformation of the lattice (u = E r, from the frequencies of its reflections), a where the
// crystal's part of the match has its centre, seen from the point that stays, s the drift, and
// kappa the share of the window's way over the crystal that this centre follows. E is measured to
// 1e-5. What stays is taken for the centre of the crystal in the field until film and edge, held
// against a reference that is never updated, say otherwise (a Kalman filter; Bar-Shalom, Li and
// Kirubarajan 2001, chapter 5). They say little: a frame's film is known to ten times the match's
// sigma, and the wings of the lattice's reflections lie in every bin of it (b below). While E is
// nought the leak is nought, whatever the film's noise: a lattice at rest pays nothing.
//
// Used by the drift tracker only. No threads, no allocation after the constructor.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "server/base/fixed_vector.hpp"
#include "server/frame/measurements.hpp"
#include "server/signal/analysis_grid.hpp"
#include "server/signal/drift_match.hpp"
#include "server/signal/frame_fft.hpp"
#include "server/signal/peak_detect.hpp"

namespace latticed::signal {

/// The coefficient under a Hann window at a whole bin, ky signed: [-1/4, 1/2, -1/4] per axis.
[[nodiscard]] Complex hann_bin(const AnalysisGrid& grid, const Spectrum& spectrum, int kx, int ky);

/// A 2 x 2 matrix.
struct Matrix2 {
  double xx = 0.0, xy = 0.0, yx = 0.0, yy = 0.0;
  [[nodiscard]] Vector2 times(Vector2 v) const noexcept {
    return {xx * v.x + xy * v.y, yx * v.x + yy * v.y};
  }
};

/// The deformation of the lattice since its reflections were first seen, from their frequencies.
class DeformationGauge {
 public:
  explicit DeformationGauge(const AnalysisGrid& grid) : grid_(grid) {}
  void reset();
  /// Follows these reflections too, strongest first. Those it follows already stay as they are.
  void add(std::span<const Peak> peaks);
  /// Every frame that was matched.
  void measure(const Spectrum& frame);
  /// u = E r, dimensionless, rotation included. Moves only when it has left its own noise (three
  /// standard deviations) behind.
  [[nodiscard]] const Matrix2& deformation() const noexcept { return deformation_; }

 private:
  struct Reflection {
    int kx = 0, ky = 0;     // bin it was last found in
    double weight = 0.0;    // snr^2
    Vector2 mean, first;    // cycles per cell: running mean; at no deformation
    double variance = 0.0;  // of one frame's frequency, per axis
    int age = 0, missed = 0;
  };
  void fit();

  AnalysisGrid grid_;
  FixedVector<Reflection, 8> reflections_;
  Matrix2 deformation_;
};

/// Where a match has its crystal.
struct CrystalPlace {
  Vector2 centre;           // a: cells, seen from the centre of the crystal in the field
  Vector2 kappa{1.0, 1.0};  // per axis
  // 1: each reflection is one frequency; two crystals with spacings of their own make it less, and
  // then a frequency that changes may only tell that the field shows more of one.
  double coherence = 1.0;
};

/// From maps of the plainest reflections' amplitudes in the template.
class CrystalMap {
 public:
  CrystalMap(const AnalysisGrid& grid, const std::vector<float>& taper_x,
             const std::vector<float>& taper_y);
  [[nodiscard]] CrystalPlace place(const Spectrum& mean, std::span<const Peak> reflections);

 private:
  static constexpr int kSide = 32;  // points of the map, x-major
  /// Returns the reflection's coherence.
  double add_powers(const Spectrum& mean, const Peak& reflection);
  [[nodiscard]] double block_coherence() const;
  [[nodiscard]] double amplitude(int x, int y) const;
  [[nodiscard]] Vector2 match_centre(int moved_x, int moved_y) const;

  AnalysisGrid grid_;
  std::array<std::vector<float>, 2> taper_;        // x, y at the map's points
  std::array<std::array<int, kSide>, 2> inner_{};  // the nearest point that the taper lets through
  BlockIfft ifft_;
  AlignedBuffer<Complex> block_;
  std::vector<float> power_;
};

class LatticeLeak {
 public:
  explicit LatticeLeak(const AnalysisGrid& grid);
  void reset();
  /// A new reference for film and edge: `variance` of its own place, cells^2 per axis. The leak so
  /// far stays. Where the crystal is not coherent nothing is taken off, all is doubt.
  void begin(const CrystalPlace& crystal, Vector2 variance);
  /// The next frame: the deformation and the match's shift, cells.
  void advance(const Matrix2& deformation, Vector2 shift);
  /// Match less the place of film and edge against their reference, and the variance of that.
  void learn(Vector2 offset, Vector2 variance);

  /// How far the match lies from film and edge, cells.
  [[nodiscard]] Vector2 leak() const noexcept;
  struct Doubt {
    Vector2 random, systematic;  // variances, cells^2
  };
  /// What film and edge have told counts as random; what was only assumed of a, as systematic.
  [[nodiscard]] Doubt doubt() const noexcept;
  /// Whether film and edge are worth asking in every frame, for a match of this variance.
  [[nodiscard]] bool matters(double match_variance) const noexcept;

 private:
  // a_x, a_y; a factor to kappa; the reference's own place; b: film seems to follow the lattice by
  // E b.
  static constexpr std::size_t kStates = 7;
  using Row = std::array<double, kStates>;
  [[nodiscard]] Row row(bool is_y) const noexcept;
  [[nodiscard]] Vector2 since_begin() const noexcept;
  [[nodiscard]] Vector2 variance(const std::array<Row, kStates>& covariance) const noexcept;
  bool update(const Row& h, double residual, double variance);

  double field_cells_;
  int contradictions_ = 0;  // in a row
  Row state_{};
  std::array<Row, kStates> covariance_{}, prior_{};
  Matrix2 last_, since_;  // deformation: as last told; since begin()
  Vector2 kappa_;
  Vector2 carried_;                                     // integral of dE (kappa s) since begin()
  Vector2 place_;                                       // s is counted from here: where begin() was
  Vector2 before_, before_random_, before_systematic_;  // the leak when begin() was called
  bool is_first_ = true, is_followed_ = true;
};

}  // namespace latticed::signal
