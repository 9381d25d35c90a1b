// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/figure/line_plot.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace latticed {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

/// Columns in which some pixel has nearly this colour.
std::vector<int> columns_with(const Picture& picture, Colour wanted, int tolerance = 12) {
  std::vector<int> columns;
  for (int x = 0; x < picture.width; ++x) {
    for (int y = 0; y < picture.height; ++y) {
      const Colour is = picture.at(x, y);
      if (std::abs(is.r - wanted.r) + std::abs(is.g - wanted.g) + std::abs(is.b - wanted.b) >
          tolerance)
        continue;
      columns.push_back(x);
      break;
    }
  }
  return columns;
}

LinePlot flat_plot(const std::vector<double>& y) {
  LinePlot plot;
  plot.series.push_back({});
  for (std::size_t i = 0; i < y.size(); ++i) plot.series[0].x.push_back(static_cast<double>(i));
  plot.series[0].y = y;
  return plot;
}

TEST(LinePlot, LeavesAGapWhereTheDataHaveOne) {
  std::vector<double> y(101, 1.0);
  const auto whole = columns_with(flat_plot(y).draw(), series_colour(0));
  for (std::size_t i = 40; i <= 60; ++i) y[i] = kNan;
  const auto gapped = columns_with(flat_plot(y).draw(), series_colour(0));
  ASSERT_GT(whole.size(), 500u);
  const double share = 1.0 - static_cast<double>(gapped.size()) / static_cast<double>(whole.size());
  EXPECT_NEAR(share, 0.22, 0.02);  // from point 39 to point 61
}

TEST(LinePlot, PutsAnEventWhereItHappened) {
  LinePlot plot = flat_plot(std::vector<double>(101, 1.0));
  const auto line = columns_with(plot.draw(), series_colour(0));
  const Colour red{200, 0, 0};
  plot.events = {{25.0, "", red}};
  const auto event = columns_with(plot.draw(), red, 200);  // a thin line between pixels is paler
  ASSERT_FALSE(event.empty());
  const double left = line.front();
  const double width = line.back() - line.front();
  EXPECT_NEAR(event.front(), left + 0.25 * width, 3.0);
  EXPECT_LE(event.back() - event.front(), 3);
}

TEST(LinePlot, ShadesOneSigmaOnBothSides) {
  LinePlot plot = flat_plot(std::vector<double>(11, 0.0));
  plot.y_range = {{-2.0, 2.0}};
  plot.series[0].sigma.assign(11, 1.0);
  const Picture picture = plot.draw();
  const int x = picture.width / 2 + 17;
  int shaded = 0;
  int plain = 0;
  for (int y = 0; y < picture.height; ++y) {
    const Colour is = picture.at(x, y);
    const bool is_white = is.r > 250 && is.g > 250 && is.b > 250;
    const bool is_band = is.b > is.r + 20;
    shaded += is_band ? 1 : 0;
    plain += is_white ? 1 : 0;
  }
  // half of the axis, which is the picture without its margins
  EXPECT_GT(shaded, picture.height / 3);
  EXPECT_LT(shaded, picture.height / 2);
  EXPECT_GT(plain, picture.height / 3);
}

TEST(LinePlot, DrawsWhateverItIsGiven) {
  const double infinity = std::numeric_limits<double>::infinity();
  std::vector<LinePlot> plots(7);
  plots[1] = flat_plot({kNan, kNan});
  plots[2] = flat_plot({infinity, 1.0, -infinity});
  plots[3] = flat_plot({1e300, -1e300});
  plots[4] = flat_plot({5.0});
  plots[5] = flat_plot({1.0, 2.0});
  plots[5].series[0].x.pop_back();
  plots[5].series[0].sigma = {kNan};
  plots[5].x_range = {{3.0, 3.0}};
  plots[6] = flat_plot({1.0, 2.0});
  plots[6].width = -5;
  plots[6].title = plots[6].x_label = plots[6].series[0].name =
      std::string(400, 'W') + "\xC2\xB5\xFF^";
  for (const LinePlot& plot : plots) {
    const Picture picture = plot.draw();
    EXPECT_EQ(picture.rgb.size(), static_cast<std::size_t>(picture.width * picture.height * 3));
    EXPECT_GE(picture.width, 240);
  }
}

TEST(LinePlot, MarksStretchesAndKeepsThemApart) {
  LinePlot plot = flat_plot(std::vector<double>(101, 1.0));
  const auto line = columns_with(plot.draw(), series_colour(0));
  const Colour red{200, 0, 0};
  const Colour green{0, 160, 0};
  plot.marked = {{"", {{20.0, 40.0}}, red}, {"", {{60.0, 60.0}}, green}, {"none", {}, {9, 9, 9}}};
  const Picture sut = plot.draw();
  const auto stretch = columns_with(sut, red, 120);
  const auto tick = columns_with(sut, green, 120);
  const double left = line.front();
  const double width = line.back() - line.front();
  // The legend's samples are at the left edge, before the frame.
  const auto in_frame = std::count_if(stretch.begin(), stretch.end(), [&](int x) {
    return x > left + 0.19 * width && x < left + 0.41 * width;
  });
  EXPECT_NEAR(static_cast<double>(in_frame), 0.2 * width, 4.0);
  EXPECT_TRUE(std::any_of(tick.begin(), tick.end(),
                          [&](int x) { return std::abs(x - (left + 0.6 * width)) < 4.0; }));
}

TEST(LinePlot, DrawsABandWithoutACurve) {
  LinePlot plot = flat_plot(std::vector<double>(101, 1.0));
  plot.series[0].sigma.assign(101, 0.5);
  plot.series[0].style = SeriesStyle::band;
  EXPECT_TRUE(columns_with(plot.draw(), series_colour(0)).empty());
}

}  // namespace
}  // namespace latticed
