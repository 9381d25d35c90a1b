// SPDX-License-Identifier: GPL-3.0-or-later
// Small synthetic micrographs for tests of the pipeline: fringes and a few soft blobs under shot
// noise, moved by a given drift. The same arguments give the same bits.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <numbers>
#include <span>
#include <vector>

#include "drivers/kit/frame_header.hpp"

namespace latticed::test {

struct Fringe {
  double period_px = 8.0;
  double angle_deg = 20.0;
  double amplitude = 0.3;  // C in 1 + C cos
};

struct Scene {
  int size = 128;
  double mean_counts = 200.0;
  std::vector<Fringe> fringes{{8.0, 20.0, 0.3}, {8.0, 95.0, 0.2}};
  double x = 0.0, y = 0.0;  // where the specimen is, px

  [[nodiscard]] FrameGeometry geometry() const { return {size, size, PixelType::u16}; }
};

/// Standard normal numbers, always the same for the same seed.
class Noise {
 public:
  explicit Noise(std::uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15ULL + 1) {}
  double operator()() {
    double sum = -6.0;  // twelve uniform numbers: near enough to normal
    for (int i = 0; i < 12; ++i) sum += uniform();
    return sum;
  }

 private:
  double uniform() {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return static_cast<double>(state_ >> 11) * 0x1p-53;
  }
  std::uint64_t state_;
};

inline std::vector<std::uint16_t> lattice_frame(const Scene& scene, std::uint64_t seed) {
  std::vector<std::uint16_t> image(scene.geometry().pixels());
  Noise noise(seed + 1);
  for (int y = 0; y < scene.size; ++y)
    for (int x = 0; x < scene.size; ++x) {
      const double u = x - scene.x, v = y - scene.y;
      double value = 1.0;
      for (const Fringe& fringe : scene.fringes) {
        const double angle = fringe.angle_deg * std::numbers::pi / 180.0;
        const double phase =
            2.0 * std::numbers::pi / fringe.period_px * (u * std::cos(angle) + v * std::sin(angle));
        value += fringe.amplitude * std::cos(phase);
      }
      // Blobs far from any period: they tell one lattice cell from the next.
      for (int blob = 0; blob < 3; ++blob) {
        const double bx = u - (0.25 + 0.22 * blob) * scene.size;
        const double by = v - (0.7 - 0.3 * blob * blob / 2.0) * scene.size;
        value += 0.8 * std::exp(-(bx * bx + by * by) / (2.0 * 16.0));
      }
      const double counts = scene.mean_counts * value;
      const double shot = counts + std::sqrt(std::max(counts, 0.0)) * noise();
      image[static_cast<std::size_t>(y * scene.size + x)] =
          static_cast<std::uint16_t>(std::lround(std::max(shot, 0.0)));
    }
  return image;
}

inline void copy_pixels(const std::vector<std::uint16_t>& image, std::span<std::byte> into) {
  std::memcpy(into.data(), image.data(), std::min(into.size(), image.size() * 2));
}

}  // namespace latticed::test
