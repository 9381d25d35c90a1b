// SPDX-License-Identifier: GPL-3.0-or-later
// A micrograph, diffractogram or map with what makes it readable: contrast, a scale bar, circles
// with their spacings, a colour bar. Plain data in, a Picture out.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "server/figure/picture.hpp"

namespace latticed {

enum class Intensity { linear, logarithmic };    // logarithmic: for the magnitude of a spectrum
enum class ColourMap { grey, heat, diverging };  // diverging: white at 0, symmetric limits

/// A circle at an image position (pixel centres at integers), its label beside it where there is
/// room: earlier marks choose first.
struct CircleMark {
  double x = 0.0;
  double y = 0.0;
  double radius_px = 6.0;  // of the image
  std::string label;       // "0.193 nm"
  Colour colour{255, 196, 60};
};

struct ImageFigure {
  std::string title;
  int width = 0;  // of the image
  int height = 0;
  std::vector<float> pixels;  // rows packed; NaN is drawn as masked
  double scale = 0.0;         // length of one pixel; 0 = unknown, no scale bar
  std::string scale_unit = "nm";
  Intensity intensity = Intensity::linear;
  ColourMap colours = ColourMap::grey;
  double low_percentile = 0.3;  // of the finite pixels: the ends of the contrast
  double high_percentile = 99.7;
  std::optional<std::pair<double, double>> contrast = std::nullopt;  // its ends, instead
  std::string bar_label;  // of a colour bar beside the image; empty = none
  std::vector<CircleMark> marks;
  std::string badge;    // on the image's upper left corner: "REHEARSAL"; empty = none
  int long_side = 512;  // of the image as drawn

  [[nodiscard]] Picture draw() const;
};

/// Any range of numbers as the pixels of an ImageFigure.
template <class T>
[[nodiscard]] std::vector<float> to_floats(std::span<const T> values) {
  return {values.begin(), values.end()};
}

}  // namespace latticed
