// SPDX-License-Identifier: GPL-3.0-or-later
// The Tukey (tapered cosine) window. Light (alpha <= 0.25): a Hann window before the transform
// costs 1.5 x in drift error and 1.9 x in spacing; where Hann is wanted it is a three-point
// convolution of the spectrum per axis.
#pragma once

#include <vector>

namespace latticed::signal {

/// `size` weights in 0..1, symmetric about the middle; alpha = tapered part, both ends together.
std::vector<float> tukey(int size, double alpha);

/// Moments of the separable window that turn pixel noise into spectrum noise.
struct TaperMoments {
  double sum = 0.0;          // sum of w over the frame: I0 x sum = spectrum at 0
  double sum_squares = 0.0;  // sum of w^2: white pixel noise of variance v gives E|F|^2 = v x this
  double hann_noise_ratio = 0.0;  // E|F|^2 after the Hann convolution over before it
};
TaperMoments taper_moments(const std::vector<float>& along_x, const std::vector<float>& along_y);

}  // namespace latticed::signal
