// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/app/fresh_noise.hpp"

#include <algorithm>
#include <cmath>
#include <random>

#include "server/base/hot.hpp"

namespace latticed {

namespace {

struct RowModel {
  float dark, picture, gain, read_variance;
};

LATTICED_HOT void expose_row(const std::uint16_t* picture, const float* normal,
                             const RowModel& model, int width, std::uint16_t* out) {
  for (int x = 0; x < width; ++x) {
    const float light = static_cast<float>(static_cast<std::int32_t>(picture[x])) * model.picture;
    const float sigma = std::sqrt(model.gain * light + model.read_variance);
    const float value = model.dark + light + sigma * normal[x] + 0.5f;
    const float floor = value > 0.0f ? value : 0.0f;
    out[x] =
        static_cast<std::uint16_t>(static_cast<std::int32_t>(floor < 65535.0f ? floor : 65535.0f));
  }
}

}  // namespace

FreshNoise::FreshNoise(const SensorModel& sensor) : sensor_(sensor), normal_(kTable) {
  std::mt19937_64 random(1);
  std::normal_distribution<float> normal;
  std::generate(normal_.begin(), normal_.end(), [&] { return normal(random); });
}

void FreshNoise::expose(std::span<const std::uint16_t> picture, int width, std::uint64_t number,
                        std::span<std::uint16_t> out) const {
  const RowModel model{static_cast<float>(sensor_.dark_adu),
                       static_cast<float>(sensor_.picture_adu),
                       static_cast<float>(sensor_.gain_adu_per_e),
                       static_cast<float>(sensor_.read_noise_adu * sensor_.read_noise_adu)};
  const auto row = static_cast<std::size_t>(width);
  std::mt19937_64 random(number);
  std::uniform_int_distribution<std::size_t> anywhere(0, static_cast<std::size_t>(kTable) - row);
  for (std::size_t at = 0; at + row <= picture.size(); at += row)
    expose_row(picture.data() + at, normal_.data() + anywhere(random), model, width,
               out.data() + at);
}

}  // namespace latticed
