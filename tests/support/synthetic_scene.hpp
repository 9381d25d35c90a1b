// SPDX-License-Identifier: GPL-3.0-or-later
// A specimen written down as a formula: plane waves (the lattice), a particle with a soft edge, an
// amorphous film, evaluated at any shift, so that the shift of a rendered frame is exact; and shot
// noise by seed.
#pragma once

#include <cmath>
#include <cstdint>
#include <memory>
#include <numbers>
#include <vector>

#include "server/frame/measurements.hpp"
#include "server/signal/frame_fft.hpp"
#include "sim/random/poisson.hpp"

namespace latticed::test {

/// contrast x cos(2 pi f.(r - centre of the frame - shift) + phase); f in cycles per pixel.
struct Wave {
  Vector2 f;
  double contrast = 0.0, phase = 0.0;
};

/// Amorphous film: noise whose power has fallen to a quarter at the frequency f0 (cycles per
/// pixel). A texture twice the frame's size, moved by phase ramps: exact at any shift up to half a
/// frame.
class Film {
 public:
  Film(int width, int height, std::uint64_t seed, double rms, double f0 = 0.08)
      : grid_(signal::make_grid({2 * width, 2 * height, PixelType::f32}, 1, {}, 1.0).value()),
        ifft_(grid_),
        rms_(rms),
        f0_(f0),
        coefficients_(columns() * rows()) {
    sim::RandomStream random(seed, sim::Purpose::film);
    double power = 0.0;
    for (std::size_t kx = 0; kx < columns(); ++kx)
      for (std::size_t row = 0; row < rows(); ++row) {
        const double f = std::hypot(static_cast<double>(kx) / grid_.width, fy(row));
        double re = 0.0, im = 0.0;
        random.normal_pair(re, im);
        const double level = kx == 0 || f > 0.45 ? 0.0 : 1.0 / (1.0 + f * f / (f0 * f0));
        coefficients_[kx * rows() + row] = {static_cast<float>(level * re),
                                            static_cast<float>(level * im)};
        power += 4.0 * level * level;  // both halves, both parts
      }
    for (auto& value : coefficients_) value *= static_cast<float>(rms / std::sqrt(power));
  }
  [[nodiscard]] double rms() const { return rms_; }
  [[nodiscard]] double f0() const { return f0_; }
  /// Row by row, of the size the film was made for (rows of `width` pixels).
  [[nodiscard]] std::vector<float> at(Vector2 shift, int width, int height) const {
    signal::AlignedBuffer<signal::Complex> half((columns() + 1) * rows());
    signal::AlignedBuffer<float> surface(static_cast<std::size_t>(grid_.width) * rows());
    std::vector<signal::Complex> along_y(rows());
    for (std::size_t row = 0; row < rows(); ++row)
      along_y[row] = std::polar(1.0f, static_cast<float>(-2.0 * std::numbers::pi *
                                                         std::remainder(fy(row) * shift.y, 1.0)));
    for (std::size_t kx = 0; kx < columns(); ++kx) {
      const auto along_x =
          std::polar(1.0f, static_cast<float>(-2.0 * std::numbers::pi * static_cast<double>(kx) /
                                              grid_.width * shift.x));
      for (std::size_t row = 0; row < rows(); ++row)
        half[kx * rows() + row] = coefficients_[kx * rows() + row] * (along_x * along_y[row]);
    }
    ifft_.execute(half.data(), surface.data());
    std::vector<float> out;
    const int x0 = (grid_.width - width) / 2, y0 = (grid_.height - height) / 2;
    for (int y = y0; y < y0 + height; ++y)
      for (int x = x0; x < x0 + width; ++x)
        out.push_back(surface[static_cast<std::size_t>(x) * rows() + static_cast<std::size_t>(y)]);
    return out;
  }

 private:
  [[nodiscard]] std::size_t columns() const { return static_cast<std::size_t>(grid_.width / 2); }
  [[nodiscard]] std::size_t rows() const { return static_cast<std::size_t>(grid_.height); }
  [[nodiscard]] double fy(std::size_t row) const {
    return static_cast<double>(grid_.signed_ky(static_cast<int>(row))) / grid_.height;
  }
  signal::AnalysisGrid grid_;
  mutable signal::SurfaceIfft ifft_;  // owns scratch
  double rms_, f0_;
  std::vector<signal::Complex> coefficients_;
};

struct Scene {
  int width = 256, height = 256;
  double counts = 40.0;                // electrons a pixel where nothing modulates
  std::vector<Wave> lattice{};         // inside the particle, or everywhere when radius is 0
  std::shared_ptr<const Film> film{};  // everywhere
  double radius = 0.0;                 // of the particle, pixels; 0 = the lattice fills the field
  double edge = 3.0;                   // softness of its edge, pixels
  double thickness = 0.3;              // how much brighter the particle is
  Vector2 centre{};                    // of the particle, from the frame's centre
};

inline double particle_mask(const Scene& scene, double x, double y) {
  const double dx = x - scene.centre.x, dy = y - scene.centre.y;
  const double angle = std::atan2(dy, dx);
  const double radius =
      scene.radius * (1.0 + 0.15 * std::cos(2 * angle + 0.4) + 0.08 * std::cos(3 * angle + 1.0));
  return 0.5 * (1.0 + std::tanh((radius - std::hypot(dx, dy)) / scene.edge));
}

/// Expected counts of every pixel when the specimen has moved by `shift` (+x: to the right).
inline std::vector<float> expect(const Scene& scene, Vector2 shift = {}) {
  const auto width = static_cast<std::size_t>(scene.width);
  const auto height = static_cast<std::size_t>(scene.height);
  const double middle_x = (scene.width - 1) / 2.0 + shift.x;
  const double middle_y = (scene.height - 1) / 2.0 + shift.y;
  std::vector<float> lattice(width * height, 0.0f);
  const std::vector<float> film = scene.film ? scene.film->at(shift, scene.width, scene.height)
                                             : std::vector<float>(width * height, 0.0f);
  std::vector<float> cos_x(width), sin_x(width);
  const auto add = [&](const Wave& wave, std::vector<float>& to) {
    for (std::size_t x = 0; x < width; ++x) {
      const double turn = 2.0 * std::numbers::pi * wave.f.x * (static_cast<double>(x) - middle_x);
      cos_x[x] = static_cast<float>(wave.contrast * std::cos(turn));
      sin_x[x] = static_cast<float>(wave.contrast * std::sin(turn));
    }
    for (std::size_t y = 0; y < height; ++y) {
      const double turn =
          2.0 * std::numbers::pi * wave.f.y * (static_cast<double>(y) - middle_y) + wave.phase;
      const auto c = static_cast<float>(std::cos(turn)), s = static_cast<float>(std::sin(turn));
      float* row = to.data() + y * width;
      for (std::size_t x = 0; x < width; ++x) row[x] += c * cos_x[x] - s * sin_x[x];
    }
  };
  for (const Wave& wave : scene.lattice) add(wave, lattice);
  std::vector<float> out(width * height);
  for (std::size_t y = 0; y < height; ++y)
    for (std::size_t x = 0; x < width; ++x) {
      const std::size_t i = y * width + x;
      double value = 1.0 + static_cast<double>(film[i]);
      if (scene.radius > 0.0) {
        const double mask = particle_mask(scene, static_cast<double>(x) - middle_x,
                                          static_cast<double>(y) - middle_y);
        value += mask * (scene.thickness + static_cast<double>(lattice[i]));
      } else {
        value += static_cast<double>(lattice[i]);
      }
      out[i] = static_cast<float>(scene.counts * std::max(value, 0.0));
    }
  return out;
}

/// A layered crystal: the 0.533 nm planes along `angle` and two crossing rows, at 0.02 nm/px.
inline std::vector<Wave> layered_lattice(double angle = 0.3) {
  const auto wave = [](double period, double direction, double contrast, double phase) {
    return Wave{{std::cos(direction) / period, std::sin(direction) / period}, contrast, phase};
  };
  return {wave(26.65, angle, 0.2, 0.4), wave(12.25, angle + 1.36, 0.1, 1.1),
          wave(12.25, angle - 1.36, 0.1, 2.0)};
}

/// One frame of shot noise about the expectation.
class ShotNoise {
 public:
  explicit ShotNoise(std::uint64_t seed) : seed_(seed) {}
  std::vector<float> operator()(const std::vector<float>& expectation) {
    sim::RandomStream random(seed_, sim::Purpose::shot_noise, frame_++);
    std::vector<float> out(expectation.size());
    for (std::size_t i = 0; i < out.size(); ++i)
      out[i] = static_cast<float>(poisson_.draw(static_cast<double>(expectation[i]), random));
    return out;
  }

 private:
  std::uint64_t seed_, frame_ = 0;
  sim::Poisson poisson_;
};

/// Mean and standard deviation of a series.
struct Series {
  double sum = 0.0, squares = 0.0;
  int count = 0;
  void add(double value) { sum += value, squares += value * value, ++count; }
  [[nodiscard]] double mean() const { return sum / count; }
  [[nodiscard]] double rms() const { return std::sqrt(squares / count); }
  [[nodiscard]] double deviation() const {
    return std::sqrt(std::max(squares - sum * sum / count, 0.0) / (count - 1));
  }
};

}  // namespace latticed::test
