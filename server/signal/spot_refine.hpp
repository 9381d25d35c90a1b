// SPDX-License-Identifier: GPL-3.0-or-later
// A spot's frequency without bin bias: its block of bins is transformed back (demodulation), which
// gives the fringe's amplitude and phase across the field at a few samples; the frequency is the
// maximum of the weighted sum |sum u h exp(-2 pi i f r)|^2, found by Newton. The weights are the
// fringe's own smooth envelope over the noise, so a crystal that fills part of the field is
// measured where it is. Covariance from the same sums (Rife, Boorstyn 1976 for uniform weights).
#pragma once

#include <complex>
#include <vector>

#include "server/frame/measurements.hpp"
#include "server/signal/aligned_buffer.hpp"
#include "server/signal/frame_fft.hpp"

namespace latticed::signal {

struct RefinedSpot {
  Vector2 frequency;                                // cycles per cell, along x and y
  double var_xx = 0.0, var_xy = 0.0, var_yy = 0.0;  // of frequency, this frame's noise
  std::complex<double> coefficient;  // sum of w I exp(-2 pi i f.r), r from the grid's cell (0, 0)
  double snr = 0.0;                  // matched amplitude over its noise
  double power = 0.0;                // |F|^2 summed over the bins within 3 of the spot
  bool is_valid = false;             // Newton converged within a bin and a half of where it began
};

class SpotRefiner {
 public:
  explicit SpotRefiner(const FrameFft& fft);

  /// start: cycles per cell, within a bin of the spot. white: E|F|^2 of the noise. Track thread
  /// only (it owns scratch). Does not allocate.
  RefinedSpot refine(const Spectrum& spectrum, Vector2 start, double white);

  /// What is at exactly this frequency, in cycles per cell: coefficient and snr, no fit. For a spot
  /// too faint to have a maximum of its own. Noise alone has snr 1 (rms). Track thread only.
  RefinedSpot demodulate(const Spectrum& spectrum, Vector2 frequency, double white);

  /// 2-D sizes of the block, for those who size their own scratch.
  [[nodiscard]] int block_size() const noexcept { return size_; }

 private:
  void cut(const Spectrum& spectrum, int kx0, int ky0, double* near_power);
  void make_weights(double offset_x, double offset_y);
  struct Sums;
  [[nodiscard]] Sums sum_at(double offset_x, double offset_y) const;
  [[nodiscard]] std::complex<double> plain_coefficient(double offset_x, double offset_y) const;

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
  AlignedBuffer<Complex> bins_, field_, envelope_;
  AlignedBuffer<float> weight_;  // u
  AlignedBuffer<float> signal_;  // a x taper
  AlignedBuffer<float> noise_;   // its variance, of E|F|^2 of white noise
};

}  // namespace latticed::signal
