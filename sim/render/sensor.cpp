// SPDX-License-Identifier: GPL-3.0-or-later
#include "sim/render/sensor.hpp"

#include <algorithm>

namespace latticed::sim {

Sensor::Sensor(const DetectorModel& detector, std::uint64_t seed)
    : detector_(detector), seed_(seed) {
  const auto width = static_cast<std::size_t>(detector.width);
  const auto height = static_cast<std::size_t>(detector.height);
  dark_adu_.resize(width * height);
  gain_adu_.resize(width * height);
  for (std::size_t y = 0; y < height; ++y) {
    RandomStream random(seed, Purpose::fixed_pattern, 0, y);
    for (std::size_t x = 0; x < width; ++x) {
      double dark = 0.0;
      double gain = 0.0;
      random.normal_pair(dark, gain);
      dark_adu_[y * width + x] =
          static_cast<float>(std::max(0.0, detector.dark_adu + detector.dark_pattern_adu * dark));
      gain_adu_[y * width + x] =
          static_cast<float>(detector.gain_adu_per_e *
                             std::max(0.1, 1.0 + 0.01 * detector.gain_pattern_percent * gain));
    }
  }
  RandomStream random(seed, Purpose::hot_pixels);
  for (int i = 0; i < detector.hot_pixels; ++i) {
    dark_adu_[random.bits() % dark_adu_.size()] +=
        static_cast<float>(detector.hot_adu * (0.25 + 0.75 * random.uniform()));
  }
}

void Sensor::read(std::uint64_t frame, int y, std::span<const float> expected,
                  std::span<std::uint16_t> out, Purpose noise) const {
  const auto row = static_cast<std::uint64_t>(y);
  RandomStream shot(seed_, noise, frame, row);
  RandomStream read(seed_, Purpose::read_noise, frame * 4 + static_cast<std::uint64_t>(noise), row);
  const float* dark = dark_adu_.data() + row * expected.size();
  const float* gain = gain_adu_.data() + row * expected.size();
  const auto ceiling = static_cast<float>(detector_.saturation_adu);
  double spare = 0.0;
  for (std::size_t x = 0; x < expected.size(); ++x) {
    const double mean = detector_.dose_e_per_px * static_cast<double>(expected[x]);
    float adu = dark[x] + 0.5f;
    if (mean > 0.0) adu += gain[x] * static_cast<float>(poisson_.draw(mean, shot));
    if (detector_.read_noise_adu > 0.0) {
      double normal = spare;
      if (x % 2 == 0) read.normal_pair(normal, spare);
      adu += static_cast<float>(detector_.read_noise_adu * normal);
    }
    out[x] = static_cast<std::uint16_t>(std::clamp(adu, 0.0f, ceiling));
  }
}

}  // namespace latticed::sim
