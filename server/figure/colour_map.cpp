// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/figure/colour_map.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

namespace latticed::drawing {
namespace {

struct Stop {
  double at;
  Colour colour;
};

// matplotlib's inferno and RdBu (reversed), at a few stops
constexpr Stop kHeat[] = {{0.0, {0, 0, 4}},       {0.13, {31, 12, 72}},   {0.25, {85, 15, 109}},
                          {0.38, {136, 34, 106}}, {0.5, {186, 54, 85}},   {0.63, {227, 89, 51}},
                          {0.75, {249, 140, 10}}, {0.88, {249, 201, 50}}, {1.0, {252, 255, 164}}};
constexpr Stop kDiverging[] = {
    {0.0, {5, 48, 97}},       {0.125, {43, 115, 179}}, {0.25, {107, 172, 209}},
    {0.375, {194, 221, 236}}, {0.5, {247, 247, 247}},  {0.625, {251, 206, 182}},
    {0.75, {230, 134, 107}},  {0.875, {188, 43, 54}},  {1.0, {103, 0, 31}}};

template <std::size_t N>
Colour between(const Stop (&stops)[N], double value) {
  std::size_t i = 1;
  while (i + 1 < N && value > stops[i].at) ++i;
  const double share = (value - stops[i - 1].at) / (stops[i].at - stops[i - 1].at);
  const auto mix = [share](std::uint8_t a, std::uint8_t b) {
    return static_cast<std::uint8_t>(std::lround(a + share * (b - a)));
  };
  const Colour a = stops[i - 1].colour;
  const Colour b = stops[i].colour;
  return {mix(a.r, b.r), mix(a.g, b.g), mix(a.b, b.b)};
}

double percentile(std::vector<float>& values, double percent) {
  const double share = std::clamp(percent, 0.0, 100.0) / 100.0;
  const auto at = static_cast<std::ptrdiff_t>(share * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), values.begin() + at, values.end());
  return values[static_cast<std::size_t>(at)];
}

}  // namespace

Contrast find_contrast(std::span<const float> values, double low_percentile, double high_percentile,
                       ColourMap map) {
  std::vector<float> finite;
  for (const float value : values) {
    if (std::isfinite(value)) finite.push_back(value);
  }
  if (finite.empty()) return {};
  Contrast contrast{percentile(finite, low_percentile), percentile(finite, high_percentile)};
  if (map == ColourMap::diverging) {
    const double reach = std::max(std::abs(contrast.low), std::abs(contrast.high));
    contrast = {-reach, reach};
  }
  if (!(contrast.high > contrast.low)) contrast = {contrast.low - 0.5, contrast.low + 0.5};
  return contrast;
}

Colour map_colour(ColourMap map, double value) noexcept {
  value = std::clamp(value, 0.0, 1.0);
  if (map == ColourMap::heat) return between(kHeat, value);
  if (map == ColourMap::diverging) return between(kDiverging, value);
  const auto grey = static_cast<std::uint8_t>(std::lround(255.0 * value));
  return {grey, grey, grey};
}

}  // namespace latticed::drawing
