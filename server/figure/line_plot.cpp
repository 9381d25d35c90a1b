// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/figure/line_plot.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "server/figure/canvas.hpp"
#include "server/figure/ticks.hpp"

namespace latticed {
namespace {

using namespace drawing;

constexpr double kMargin = 14.0;
constexpr double kTickText = 8.5;  // heights of capitals
constexpr double kLabelText = 9.5;
constexpr double kTitleText = 11.0;
constexpr double kLegendRow = 20.0;
constexpr double kLane = 6.0;  // height of a lane of marked stretches

struct Range {
  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();
  void include(double value) {
    if (!std::isfinite(value)) return;
    low = std::min(low, value);
    high = std::max(high, value);
  }
};

/// Some room on both sides; a width for a single value; 0..1 for none.
Range padded(Range range, double share) {
  if (!(range.low <= range.high)) return {0.0, 1.0};
  double width = range.high - range.low;
  if (width <= std::abs(range.high) * 1e-12) {
    width = range.high != 0.0 ? std::abs(range.high) * 0.1 : 1.0;
    return {range.low - width, range.high + width};
  }
  return {range.low - share * width, range.high + share * width};
}

Range given(const std::optional<std::pair<double, double>>& range, const Range& otherwise) {
  const bool is_range = range && std::isfinite(range->first) && std::isfinite(range->second) &&
                        range->first < range->second;
  return is_range ? Range{range->first, range->second} : otherwise;
}

std::size_t points_in(const Series& series) { return std::min(series.x.size(), series.y.size()); }

/// Draws one plot; lives as long as the drawing takes.
class Drawing {
 public:
  explicit Drawing(const LinePlot& plot)
      : plot_(plot), canvas_(std::max(plot.width, 240), std::max(plot.height, 160)) {
    find_ranges();
    if (!plot.series.empty() || plot.y_range) {  // a timeline of events has no second axis
      y_ticks_ = nice_ticks(y_.low, y_.high, std::max(2, plot.height / 75));
    }
    place_frame();
    int wanted = std::max(2, static_cast<int>(frame_.width / 110));
    if (plot.has_whole_x) {
      wanted = std::clamp(static_cast<int>(std::min(x_.high - x_.low, 1e3)), 1, wanted);
    }
    x_ticks_ = nice_ticks(x_.low, x_.high, wanted);
  }

  Picture draw() {
    draw_grid();
    canvas_.clip(drawing_area());
    for (std::size_t i = 0; i < plot_.series.size(); ++i) draw_band(plot_.series[i], colour(i));
    for (const EventLine& event : plot_.events) draw_event_line(event);
    for (std::size_t i = 0; i < plot_.series.size(); ++i) draw_series(plot_.series[i], colour(i));
    draw_marked();
    canvas_.unclip();
    draw_axes();
    draw_titles();
    draw_legend();
    draw_event_labels();
    draw_markers();
    return canvas_.finish();
  }

 private:
  [[nodiscard]] Colour colour(std::size_t number) const {
    return plot_.series[number].colour.value_or(series_colour(number));
  }

  void find_ranges() {
    Range x;
    Range y;
    for (const Series& series : plot_.series) {
      for (std::size_t i = 0; i < points_in(series); ++i) {
        if (std::isfinite(series.y[i])) x.include(series.x[i]);
        const double sigma =
            i < series.sigma.size() && std::isfinite(series.sigma[i]) ? series.sigma[i] : 0.0;
        y.include(series.y[i] - sigma);
        y.include(series.y[i] + sigma);
      }
    }
    for (const EventLine& event : plot_.events) x.include(event.x);
    for (const MarkedStretches& kind : plot_.marked) {
      for (const auto& [from, to] : kind.stretches) {
        x.include(from);
        x.include(to);
      }
    }
    for (const PlotMarker& marker : plot_.markers) {
      x.include(marker.x);
      y.include(marker.y);
    }
    x_ = given(plot_.x_range, padded(x, 0.0));
    y_ = given(plot_.y_range, padded(y, 0.06));
  }

  void place_frame() {
    double tick_width = 0.0;
    for (const double value : y_ticks_.values) {
      tick_width = std::max(tick_width, text_width(y_ticks_.label(value), {kTickText}));
    }
    double top = kMargin;
    if (!plot_.title.empty()) top += kTitleText + 14.0;
    legend_top_ = top;
    top += kLegendRow * static_cast<double>(legend_rows());
    if (y_ticks_.exponent != 0) top += kTickText + 8.0;
    const double left =
        kMargin + (plot_.y_label.empty() ? 0.0 : kLabelText + 14.0) + tick_width + 10.0;
    const double bottom =
        kMargin + kTickText + 12.0 + (plot_.x_label.empty() ? 0.0 : kLabelText + 12.0);
    const double right = kMargin + 14.0;
    frame_ = {left, top + 6.0, std::max(40.0, plot_.width - left - right),
              std::max(40.0, plot_.height - top - 6.0 - bottom)};
  }

  static double entry_width(const std::string& name) {
    return 34.0 + text_width(name, {kTickText}) + 20.0;
  }

  /// What the legend names, in order: series, then marked stretches.
  template <class Use>
  void for_each_entry(Use use) const {
    for (std::size_t i = 0; i < plot_.series.size(); ++i) {
      if (!plot_.series[i].name.empty()) use(plot_.series[i].name, &plot_.series[i], colour(i));
    }
    for (const MarkedStretches& kind : plot_.marked) {
      if (!kind.stretches.empty()) use(kind.name, nullptr, kind.colour);
    }
  }

  [[nodiscard]] int legend_rows() const {
    int rows = 0;
    double at = 1e9;
    for_each_entry([&](const std::string& name, const Series*, Colour) {
      if (at + entry_width(name) > plot_.width - 2.0 * kMargin) {
        ++rows;
        at = 0.0;
      }
      at += entry_width(name);
    });
    return rows;
  }

  [[nodiscard]] cv::Point2d place(double x, double y) const {
    const double right = (x - x_.low) / (x_.high - x_.low);
    const double up = (y - y_.low) / (y_.high - y_.low);
    // far outside is outside: OpenCV's fixed point has 27 bits
    return {frame_.x + std::clamp(right, -50.0, 50.0) * frame_.width,
            frame_.y + (1.0 - std::clamp(up, -50.0, 50.0)) * frame_.height};
  }

  /// The frame, and room for the dots on its edge unless it was given to cut data off.
  [[nodiscard]] cv::Rect2d drawing_area() const {
    const double x = plot_.x_range ? 0.0 : 4.0;
    const double y = plot_.y_range ? 0.0 : 4.0;
    return {frame_.x - x, frame_.y - y, frame_.width + 2.0 * x, frame_.height + 2.0 * y};
  }

  void draw_grid() {
    for (const double value : x_ticks_.values) {
      const double x = place(value, y_.low).x;
      canvas_.line({x, frame_.y}, {x, frame_.br().y}, kLightGrey, 0.7);
    }
    for (const double value : y_ticks_.values) {
      const double y = place(x_.low, value).y;
      canvas_.line({frame_.x, y}, {frame_.br().x, y}, kLightGrey, 0.7);
    }
  }

  /// Stretches of points without a gap, as indices [first, last).
  template <class Use>
  void for_each_stretch(const Series& series, Use use) const {
    const std::size_t count = points_in(series);
    for (std::size_t i = 0; i < count;) {
      std::size_t end = i;
      while (end < count && std::isfinite(series.x[end]) && std::isfinite(series.y[end])) ++end;
      if (end > i) use(i, end);
      i = end + 1;
    }
  }

  void draw_band(const Series& series, Colour colour) {
    if (series.sigma.empty()) return;
    for_each_stretch(series, [&](std::size_t first, std::size_t last) {
      std::vector<cv::Point2d> outline;
      const auto edge = [&](std::size_t i, double sign) {
        const double sigma = i < series.sigma.size() ? series.sigma[i] : 0.0;
        outline.push_back(
            place(series.x[i], series.y[i] + sign * (std::isfinite(sigma) ? sigma : 0.0)));
      };
      for (std::size_t i = first; i < last; ++i) edge(i, 1.0);
      for (std::size_t i = last; i-- > first;) edge(i, -1.0);
      canvas_.fill(outline, colour, 0.22);
    });
  }

  void draw_series(const Series& series, Colour colour) {
    if (series.style == SeriesStyle::band) return;
    const bool has_points = series.style != SeriesStyle::line;
    for_each_stretch(series, [&](std::size_t first, std::size_t last) {
      std::vector<cv::Point2d> points;
      for (std::size_t i = first; i < last; ++i) points.push_back(place(series.x[i], series.y[i]));
      if (series.style != SeriesStyle::points && points.size() > 1) {
        canvas_.polyline(points, colour, 1.6);
      }
      // a line of one point would not be seen
      if (has_points || points.size() == 1) {
        for (const auto& point : points) canvas_.dot(point, 2.6, colour);
      }
    });
  }

  void draw_event_line(const EventLine& event) {
    const double x = place(event.x, y_.low).x;
    canvas_.dashed_line({x, frame_.y}, {x, frame_.br().y}, event.colour, 1.2);
  }

  /// At the top of their lines, a row lower where they would touch the one before.
  void draw_event_labels() {
    std::vector<EventLine> events = plot_.events;
    std::sort(events.begin(), events.end(),
              [](const EventLine& a, const EventLine& b) { return a.x < b.x; });
    std::vector<double> ends;  // of each row's last label
    for (const EventLine& event : events) {
      if (!(event.x >= x_.low && event.x <= x_.high) || event.label.empty()) continue;
      const TextStyle style{kTickText, event.colour};
      const double width = text_width(event.label, style);
      double x = place(event.x, y_.low).x + 5.0;
      if (x + width > frame_.br().x) x -= width + 10.0;
      std::size_t row = 0;
      while (row < ends.size() && ends[row] > x - 4.0) ++row;
      if (row == ends.size()) ends.push_back(0.0);
      ends[row] = x + width + 6.0;
      const double y = frame_.y + 6.0 + kTickText + static_cast<double>(row) * (kTickText + 8.0);
      canvas_.fill_rectangle({x - 2.0, y - kTickText - 3.0, width + 4.0, kTickText + 7.0}, kWhite,
                             0.8);
      canvas_.text(event.label, {x, y}, style);
    }
  }

  void draw_markers() {
    for (const PlotMarker& marker : plot_.markers) {
      const cv::Point2d at = place(marker.x, marker.y);
      if (!frame_.contains(at)) continue;
      canvas_.circle(at, 5.0, marker.colour, 1.6);
      const double width = text_width(marker.label, {kTickText});
      const bool is_left = at.x + 10.0 + width > frame_.br().x;
      canvas_.text(marker.label, {at.x + (is_left ? -10.0 : 10.0), at.y - 6.0},
                   {kTickText, marker.colour, is_left ? Anchor::right : Anchor::left});
    }
  }

  void draw_axes() {
    const cv::Point2d corner(frame_.x, frame_.br().y);
    canvas_.line(corner, {frame_.br().x, corner.y}, kBlack, 1.2);
    canvas_.line(corner, {corner.x, frame_.y}, kBlack, 1.2);
    for (const double value : x_ticks_.values) {
      const double x = place(value, y_.low).x;
      canvas_.line({x, corner.y}, {x, corner.y + 5.0}, kBlack, 1.2);
      canvas_.text(x_ticks_.label(value), {x, corner.y + 10.0 + kTickText},
                   {kTickText, kBlack, Anchor::centre});
    }
    for (const double value : y_ticks_.values) {
      const double y = place(x_.low, value).y;
      canvas_.line({corner.x - 5.0, y}, {corner.x, y}, kBlack, 1.2);
      canvas_.text(y_ticks_.label(value), {corner.x - 9.0, y + kTickText / 2.0},
                   {kTickText, kBlack, Anchor::right});
    }
  }

  [[nodiscard]] static std::string power(int exponent) {
    return "x 10^" + std::to_string(exponent);
  }

  void draw_titles() {
    if (!plot_.title.empty()) {
      canvas_.text(plot_.title, {kMargin, kMargin + kTitleText + 2.0},
                   {kTitleText, kBlack, Anchor::left, Weight::bold});
    }
    if (y_ticks_.exponent != 0) {
      canvas_.text(power(y_ticks_.exponent), {frame_.x, frame_.y - 7.0}, {kTickText, kGrey});
    }
    std::string x_label = plot_.x_label;
    if (x_ticks_.exponent != 0) x_label += "  " + power(x_ticks_.exponent);
    const double middle_x = frame_.x + frame_.width / 2.0;
    canvas_.text(x_label, {middle_x, plot_.height - kMargin + 1.0},
                 {kLabelText, kBlack, Anchor::centre});
    if (plot_.y_label.empty()) return;
    canvas_.text_upwards(plot_.y_label, {kMargin + kLabelText, frame_.y + frame_.height / 2.0},
                         {kLabelText});
  }

  void draw_marked() {
    double y = frame_.br().y;
    for (const MarkedStretches& kind : plot_.marked) {
      if (kind.stretches.empty()) continue;
      y -= kLane + 1.0;
      for (const auto& [from, to] : kind.stretches) {
        const double left = place(from, y_.low).x;
        const double width = std::max(place(to, y_.low).x - left, 2.0);
        canvas_.fill_rectangle({left, y, width, kLane}, kind.colour, 0.85);
      }
    }
  }

  void draw_legend() {
    double x = kMargin;
    double y = legend_top_ + kTickText;
    for_each_entry([&](const std::string& name, const Series* series, Colour colour) {
      const double width = entry_width(name);
      if (x > kMargin && x + width > plot_.width - kMargin) {
        x = kMargin;
        y += kLegendRow;
      }
      draw_sample(series, {x, y - kTickText / 2.0}, colour);
      canvas_.text(name, {x + 34.0, y}, {kTickText});
      x += width;
    });
  }

  /// `at`: the middle of its left side.
  void draw_sample(const Series* series, cv::Point2d at, Colour colour) {
    const cv::Point2d end(at.x + 26.0, at.y);
    if (series == nullptr) {
      canvas_.fill_rectangle({at.x, at.y - kLane / 2.0, 26.0, kLane}, colour, 0.85);
      return;
    }
    if (!series->sigma.empty()) {
      canvas_.fill_rectangle({at.x, at.y - 5.0, 26.0, 10.0}, colour, 0.22);
    }
    if (series->style == SeriesStyle::line || series->style == SeriesStyle::line_and_points) {
      canvas_.line(at, end, colour, 2.0);
    }
    if (series->style == SeriesStyle::points || series->style == SeriesStyle::line_and_points) {
      canvas_.dot({at.x + 13.0, at.y}, 3.0, colour);
    }
  }

  const LinePlot& plot_;
  Canvas canvas_;
  Range x_;
  Range y_;
  Ticks x_ticks_;
  Ticks y_ticks_;
  cv::Rect2d frame_;
  double legend_top_ = 0.0;
};

}  // namespace

Colour series_colour(std::size_t number) noexcept {
  constexpr Colour kColours[] = {{0, 114, 178}, {213, 94, 0},   {0, 158, 115}, {204, 121, 167},
                                 {230, 159, 0}, {86, 180, 233}, {90, 90, 90}};
  return kColours[number % std::size(kColours)];
}

Picture LinePlot::draw() const { return Drawing(*this).draw(); }

}  // namespace latticed
