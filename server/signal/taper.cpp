// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/signal/taper.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace latticed::signal {

std::vector<float> tukey(int size, double alpha) {
  std::vector<float> window(static_cast<std::size_t>(std::max(size, 0)), 1.0f);
  const double ramp = alpha * size / 2.0;
  for (int i = 0; i < size; ++i) {
    // Distance of the sample's centre from the nearer end, so that both ends are alike.
    const double from_end = std::min(i + 0.5, size - i - 0.5);
    if (from_end < ramp)
      window[static_cast<std::size_t>(i)] =
          static_cast<float>(0.5 * (1.0 - std::cos(std::numbers::pi * from_end / ramp)));
  }
  return window;
}

TaperMoments taper_moments(const std::vector<float>& along_x, const std::vector<float>& along_y) {
  struct Axis {
    double sum = 0.0, squares = 0.0, hann_squares = 0.0;
  };
  const auto measure = [](const std::vector<float>& window) {
    Axis axis;
    const auto n = static_cast<double>(window.size());
    for (std::size_t i = 0; i < window.size(); ++i) {
      const double w = static_cast<double>(window[i]);
      const double hann = 0.5 - 0.5 * std::cos(2.0 * std::numbers::pi * static_cast<double>(i) / n);
      axis.sum += w;
      axis.squares += w * w;
      axis.hann_squares += w * w * hann * hann;
    }
    return axis;
  };
  const Axis x = measure(along_x), y = measure(along_y);
  return {x.sum * y.sum, x.squares * y.squares,
          x.hann_squares * y.hann_squares / std::max(x.squares * y.squares, 1e-30)};
}

}  // namespace latticed::signal
