// SPDX-License-Identifier: GPL-3.0-or-later
// A lattice that is known at every point, as frames that have drifted, with noise that is the same
// every time.
#pragma once

#include <cmath>
#include <cstring>
#include <numbers>
#include <random>
#include <span>
#include <vector>

#include "server/process/sink.hpp"

namespace latticed::test {

/// Expected counts at a place of the first frame, raw pixels.
inline double scene(double x, double y) {
  constexpr double kTwoPi = 2.0 * std::numbers::pi;
  return 1000.0 + 150.0 * std::cos(kTwoPi * (0.11 * x + 0.05 * y)) +
         120.0 * std::cos(kTwoPi * (-0.06 * x + 0.13 * y));
}

inline std::vector<std::uint16_t> drifted(int width, int height, Vector2 drift_px,
                                          double noise = 0.0, unsigned seed = 1) {
  std::mt19937 engine(seed);
  std::normal_distribution<double> normal(0.0, 1.0);
  std::vector<std::uint16_t> out;
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      out.push_back(static_cast<std::uint16_t>(std::lround(
          scene(x - drift_px.x, y - drift_px.y) + (noise > 0.0 ? noise * normal(engine) : 0.0))));
  return out;
}

inline std::span<const std::byte> bytes_of(const std::vector<std::uint16_t>& pixels) {
  return std::as_bytes(std::span(pixels));
}

inline RunInfo run_of(int width, int height, double pixel_size_nm = 0.03) {
  RunInfo run;
  run.detector = {"camera", "test", "", ""};
  run.configuration.geometry = {width, height, PixelType::u16};
  run.pixel_size_nm = pixel_size_nm;
  run.frame_period_s = 0.25;
  run.rules = default_rules();
  return run;
}

/// A frame without pixels of its own: measured, locked, as far as its measurements say.
inline void measure(Frame& frame, std::uint64_t seq, Vector2 drift_px) {
  frame.seq = seq;
  frame.header.kind = FrameKind::frame;
  frame.measurements = {};
  frame.measurements.drift.drift_px = drift_px;
  frame.measurements.drift.sigma_drift_px = {0.02, 0.02};
  frame.measurements.drift.state = DriftState::locked;
}

inline Spot spot_of(std::uint32_t id, Vector2 g_per_nm, double snr) {
  Spot spot;
  spot.id = id;
  spot.g_per_nm = g_per_nm;
  spot.d_nm = 1.0 / std::hypot(g_per_nm.x, g_per_nm.y);
  spot.sigma_d_nm = 1e-4;
  spot.sigma_d_sys_nm = 2e-4;
  spot.snr = snr;
  spot.amplitude = 0.1;
  spot.is_confirmed = true;
  return spot;
}

}  // namespace latticed::test
