// SPDX-License-Identifier: GPL-3.0-or-later
// Curves over one axis, as a talk or a paper shows them: drift over time, a spacing with its
// sigma band, alerts as vertical lines. Plain data in, a Picture out.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "server/figure/picture.hpp"

namespace latticed {

/// Colours that stay apart for colour-blind readers (Okabe and Ito), by number.
[[nodiscard]] Colour series_colour(std::size_t number) noexcept;

enum class SeriesStyle { line, points, line_and_points, band };  // band: its sigma alone, no curve

struct Series {
  std::string name;  // in the legend; empty = not there
  std::vector<double> x;
  std::vector<double> y;      // NaN = a gap
  std::vector<double> sigma;  // empty, or a band of +-sigma around y
  SeriesStyle style = SeriesStyle::line;
  std::optional<Colour> colour = std::nullopt;  // none = by its number
};

/// A vertical line with words at its top: an alert, a step of the bias.
struct EventLine {
  double x = 0.0;
  std::string label;
  Colour colour{170, 40, 40};
};

struct PlotMarker {
  double x = 0.0;
  double y = 0.0;
  std::string label;
  Colour colour{170, 40, 40};
};

/// Stretches of x that are marked along the foot of the frame, one lane a kind: drift lost, gaps,
/// or many alerts of one rule. One without length is a tick.
struct MarkedStretches {
  std::string name;  // in the legend
  std::vector<std::pair<double, double>> stretches;
  Colour colour{170, 40, 40};
};

struct LinePlot {
  std::string title;
  std::string x_label;  // with its unit: "time (s)"
  std::string y_label;
  std::vector<Series> series;
  std::vector<EventLine> events;
  std::vector<PlotMarker> markers;
  std::vector<MarkedStretches> marked;  // kinds without a stretch are not drawn
  std::optional<std::pair<double, double>> x_range = std::nullopt;  // none = what the data need
  std::optional<std::pair<double, double>> y_range = std::nullopt;
  bool has_whole_x = false;  // x counts something: no ticks between whole numbers
  int width = 960;
  int height = 480;

  [[nodiscard]] Picture draw() const;
};

}  // namespace latticed
