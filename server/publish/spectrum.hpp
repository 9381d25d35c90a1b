// SPDX-License-Identifier: GPL-3.0-or-later
// The diffractogram of one image, for looking at: magnitude of its Fourier transform.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace latticed {

/// Square; the middle (size / 2, size / 2) is frequency 0.
struct Diffractogram {
  int size = 0;
  double step = 0.0;  // cycles per image pixel from one pixel of it to the next
  std::vector<float> magnitude;
};

struct WeightedImage {
  int width = 0, height = 0;
  std::span<const float> pixels;          // NaN = no value
  std::span<const std::uint32_t> weight;  // how much each is worth: frames in a mean
};

/// Hann window times the weights, so that thinly covered edges do not drown the rest in noise.
/// `reach`: the highest frequency shown along either axis, cycles per pixel, at most 0.5.
Diffractogram diffractogram(const WeightedImage& image, double reach);

}  // namespace latticed
