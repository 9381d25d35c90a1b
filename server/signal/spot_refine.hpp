// SPDX-License-Identifier: GPL-3.0-or-later
// A spot's frequency without bin bias: its block of bins is transformed back (demodulation), which
// gives the fringe's amplitude and phase across the field at a few samples; the frequency is the
// maximum of the weighted sum |sum u h exp(-2 pi i f r)|, found by Newton. The weights are the
// crystal's own smooth outline over the noise, so a crystal that fills part of the field is
// measured where it is. Covariance from the same sums (Rife, Boorstyn 1976 for uniform weights).
//
// Spots stay in numbered slots until the next frame, so that the orders n q of one row can be
// maximised together over the one q, each with an amplitude and a phase of its own: the sum of the
// orders' log-likelihoods, which weights them with n^2 C_n^2.
#pragma once

#include <complex>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "server/frame/measurements.hpp"
#include "server/signal/aligned_buffer.hpp"
#include "server/signal/frame_fft.hpp"

namespace latticed::signal {

/// Covariance of two numbers.
struct Covariance2 {
  double xx = 0.0, xy = 0.0, yy = 0.0;
};

struct RefinedSpot {
  Vector2 frequency;                                // cycles per cell, along x and y
  double var_xx = 0.0, var_xy = 0.0, var_yy = 0.0;  // of frequency, this frame's noise
  std::complex<double> coefficient;  // sum of w I exp(-2 pi i f.r), r from the grid's cell (0, 0)
  double snr = 0.0;                  // matched amplitude over its noise
  double noise_ratio = 1.0;          // that noise over `white`, as it was told in RefineOptions
  double power = 0.0;                // |F|^2 summed over the bins within 3 of the spot
  double extent = 0.0;               // part of the field the crystal fills, 0..1
  // Mean square by which the frequency differs over the crystal along itself (its length) and
  // across (its direction), from the curvature of the fringe's phase, and what noise alone makes of
  // each; (cycles per cell)^2. Two crystals whose spots have run into one, or strain, make them
  // large.
  double spread = 0.0, spread_across = 0.0;
  double spread_of_noise = 0.0, spread_across_of_noise = 0.0;
  bool is_valid = false;  // Newton converged within a bin and a half of where it began
};

/// How one spot is looked at.
struct RefineOptions {
  std::size_t slot = 0;  // where it stays
  /// Slot of a spot of the same crystal, refined before: its outline is taken. kOwnOutline: the
  /// spot's own.
  std::size_t outline = kOwnOutline;
  /// Other spots, cycles per cell, of another crystal: where theirs is stronger nothing is taken.
  std::span<const Vector2> rivals{};
  /// Noise at this spot over `white`: what a streak adds to it. It goes into snr and covariance.
  double noise_ratio = 1.0;
  /// Another crystal's fringe is in these bins as well: the coefficient is then of what is within
  /// the outline, not of the whole field.
  bool is_shared = false;

  static constexpr std::size_t kOwnOutline = static_cast<std::size_t>(-1);
};

/// A slot as the order n of a row.
struct RowMember {
  std::size_t slot = 0;
  int order = 1;
};

/// The one q of a row.
struct RowFit {
  Vector2 frequency;       // cycles per cell
  Covariance2 covariance;  // of it, this frame's noise
  bool is_valid = false;
};

class SpotRefiner {
 public:
  static constexpr std::size_t kSlots = kMaxSpots + 1;  // one to look with

  explicit SpotRefiner(const FrameFft& fft);

  /// start: cycles per cell, within a bin of the spot. white: E|F|^2 of the noise. Track thread
  /// only (it owns scratch). Does not allocate.
  RefinedSpot refine(const Spectrum& spectrum, Vector2 start, double white,
                     const RefineOptions& options = {});

  /// How far two refined spots' crystals are in one place, as a cosine: 0 apart, 1 the same.
  [[nodiscard]] double alike(std::size_t a, std::size_t b) const noexcept;

  /// What is in one slot goes to the other.
  void swap(std::size_t a, std::size_t b) noexcept { std::swap(slots_[a], slots_[b]); }

  /// The joint maximum over q of refined slots, from `start` on; white as for refine. Not valid
  /// when it leads further than a bin away. Does not allocate.
  RowFit join(std::span<const RowMember> members, Vector2 start, double white) const;

  /// What is at exactly this frequency, in cycles per cell: coefficient and snr, no fit. For a spot
  /// too faint to have a maximum of its own. Noise alone has snr 1 (rms). Track thread only.
  RefinedSpot demodulate(const Spectrum& spectrum, Vector2 frequency, double white,
                         const RefineOptions& options = {});

  /// 2-D sizes of the block, for those who size their own scratch.
  [[nodiscard]] int block_size() const noexcept { return size_; }

 private:
  static constexpr std::size_t kLargest = 32;
  /// A demodulated spot.
  struct Slot {
    AlignedBuffer<float> re, im;   // the field around the spot's bin
    AlignedBuffer<float> weight;   // u
    AlignedBuffer<float> crystal;  // its amplitude, without the frame's taper
    int kx0 = 0, ky0 = 0;          // the bin
    Covariance2 slope, scatter;    // A and B of cov = A^-1 B A^-1, noise as for white = 1, bins
  };
  struct Sums;
  struct Look;
  void cut(const Spectrum& spectrum, Slot& slot, double* near_power);
  void show_envelope(double offset_x, double offset_y, double sigma_bins, float* power);
  void outline_own(const Look& look, Slot& slot, double offset_x, double offset_y);
  [[nodiscard]] Sums sum_at(const Slot& slot, double offset_x, double offset_y) const;
  [[nodiscard]] std::complex<double> plain_coefficient(const Slot& slot, double offset_x,
                                                       double offset_y) const;
  [[nodiscard]] double field_over_outline(const Slot& slot) const noexcept;
  void find_spread(const Slot& slot, const Sums& sums, double snr, RefinedSpot* out) const;
  [[nodiscard]] bool find_errors(Slot& slot, const Sums& sums, double noise_ratio,
                                 double* snr) const;

  AnalysisGrid grid_;
  int size_;
  BlockIfft ifft_;
  double mean_taper_squared_;
  struct Sample {           // of the block, along one axis
    float taper = 0.0f;     // the frame's
    float weight = 0.0f;    // that turns it into the wanted window
    float noise = 0.0f;     // variance, 1 = untapered
    float smoothed = 0.0f;  // the taper as the envelope shows it
  };
  [[nodiscard]] std::vector<Sample> along(const std::vector<float>& taper) const;
  std::vector<Sample> along_x_, along_y_;
  AlignedBuffer<Complex> bins_, envelope_;
  AlignedBuffer<float> taper_;        // of each sample
  AlignedBuffer<float> noise_;        // variance of each sample, of E|F|^2 of white noise
  AlignedBuffer<float> window_;       // the wanted window over the frame's taper
  AlignedBuffer<float> low_inverse_;  // one over the taper as the envelope shows it
  AlignedBuffer<float> own_, others_, rival_;
  std::vector<Slot> slots_;
};

}  // namespace latticed::signal
