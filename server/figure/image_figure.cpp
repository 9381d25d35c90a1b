// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/figure/image_figure.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <optional>

#include "server/figure/canvas.hpp"
#include "server/figure/colour_map.hpp"
#include "server/figure/ticks.hpp"

namespace latticed {
namespace {

using namespace drawing;

constexpr double kMargin = 14.0;
constexpr double kTitleText = 11.0;
constexpr double kText = 9.0;
constexpr double kBarWidth = 16.0;
constexpr Colour kMasked{176, 176, 176};
constexpr Colour kBadge{170, 40, 40};

class Drawing {
 public:
  explicit Drawing(const ImageFigure& figure)
      : figure_(figure),
        zoom_(static_cast<double>(std::max(figure.long_side, 64)) /
              std::max({figure.width, figure.height, 1})),
        image_(kMargin, top(figure), std::round(figure.width * zoom_),
               std::round(figure.height * zoom_)),
        contrast_(contrast_of(figure)),
        canvas_(static_cast<int>(image_.br().x + kMargin + bar_room()),
                static_cast<int>(image_.br().y + kMargin)) {}

  Picture draw() {
    canvas_.paste(coloured(), image_);
    if (!figure_.title.empty()) {
      canvas_.text(figure_.title, {kMargin, kMargin + kTitleText + 1.0},
                   {kTitleText, kBlack, Anchor::left, Weight::bold});
    }
    canvas_.clip(image_);
    draw_scale_bar();
    draw_marks();
    draw_badge();
    canvas_.unclip();
    if (!figure_.bar_label.empty()) draw_colour_bar();
    return canvas_.finish();
  }

 private:
  static double top(const ImageFigure& figure) {
    return figure.title.empty() ? kMargin : kMargin + kTitleText + 12.0;
  }

  /// What is shown for a pixel: itself, or its logarithm.
  static float shown(const ImageFigure& figure, float value) {
    if (figure.intensity == Intensity::linear) return value;
    return value > 0.0f ? std::log10(value) : std::numeric_limits<float>::quiet_NaN();
  }

  static Contrast contrast_of(const ImageFigure& figure) {
    if (figure.contrast && figure.contrast->second > figure.contrast->first) {
      return {figure.contrast->first, figure.contrast->second};
    }
    std::vector<float> values(figure.pixels.size());
    std::transform(figure.pixels.begin(), figure.pixels.end(), values.begin(),
                   [&](float value) { return shown(figure, value); });
    return find_contrast(values, figure.low_percentile, figure.high_percentile, figure.colours);
  }

  [[nodiscard]] double bar_room() const {
    return figure_.bar_label.empty() ? 0.0 : kBarWidth + 96.0;
  }

  [[nodiscard]] cv::Mat coloured() const {
    cv::Mat rgb(figure_.height, figure_.width, CV_8UC3);
    const double gain = 1.0 / (contrast_.high - contrast_.low);
    std::size_t i = 0;
    for (int y = 0; y < figure_.height; ++y) {
      for (int x = 0; x < figure_.width; ++x, ++i) {
        const float raw = figure_.pixels[i];
        const float value = shown(figure_, raw);
        const bool is_dark = figure_.intensity == Intensity::logarithmic && std::isfinite(raw);
        const Colour colour = std::isfinite(value)
                                  ? map_colour(figure_.colours, (value - contrast_.low) * gain)
                              : is_dark ? map_colour(figure_.colours, 0.0)  // log of 0
                                        : kMasked;
        rgb.at<cv::Vec3b>(y, x) = {colour.r, colour.g, colour.b};
      }
    }
    return rgb;
  }

  void draw_scale_bar() {
    if (!std::isfinite(figure_.scale) || figure_.scale <= 0.0) return;
    const double whole = figure_.width * figure_.scale;
    double length = round_down_125(whole / 5.0);
    if (whole / 5.0 / length > 1.6) length = round_down_125(length * 2.5);
    const double bar = length / figure_.scale * zoom_;
    char label[64];
    std::snprintf(label, sizeof(label), "%g %s", length, figure_.scale_unit.c_str());
    const TextStyle style{kText + 1.0, kWhite, Anchor::centre, Weight::bold};
    const double width = std::max(bar, text_width(label, style)) + 20.0;
    const double height = kText + 30.0;
    const cv::Point2d corner(image_.x + 12.0, image_.br().y - 12.0 - height);
    canvas_.fill_rectangle({corner.x, corner.y, width, height}, kBlack, 0.62);
    const double middle = corner.x + width / 2.0;
    canvas_.text(label, {middle, corner.y + kText + 9.0}, style);
    canvas_.fill_rectangle({middle - bar / 2.0, corner.y + height - 11.0, bar, 4.0}, kWhite);
  }

  void draw_badge() {
    if (figure_.badge.empty()) return;
    const TextStyle style{kText + 2.0, kWhite, Anchor::left, Weight::bold};
    const double width = text_width(figure_.badge, style) + 20.0;
    canvas_.fill_rectangle({image_.x + 12.0, image_.y + 12.0, width, kText + 16.0}, kBadge);
    canvas_.text(figure_.badge, {image_.x + 22.0, image_.y + 12.0 + kText + 9.0}, style);
  }

  void draw_marks() {
    std::vector<cv::Rect2d> taken;
    for (const CircleMark& mark : figure_.marks) {
      const cv::Point2d at = place(mark);
      const double radius = std::max(mark.radius_px * zoom_, 4.0);
      canvas_.circle(at, radius, kBlack, 3.4);
      canvas_.circle(at, radius, mark.colour, 1.8);
      taken.push_back({at.x - radius, at.y - radius, 2.0 * radius, 2.0 * radius});
    }
    for (const CircleMark& mark : figure_.marks) {
      if (mark.label.empty()) continue;
      const TextStyle style{kText, mark.colour, Anchor::left, Weight::bold, Backing::outline};
      const auto box = free_place(mark, text_width(mark.label, style), taken);
      if (!box) continue;
      taken.push_back(*box);
      canvas_.text(mark.label, {box->x, box->y + kText + 2.0}, style);
    }
  }

  [[nodiscard]] cv::Point2d place(const CircleMark& mark) const {
    return {image_.x + (mark.x + 0.5) * zoom_, image_.y + (mark.y + 0.5) * zoom_};
  }

  /// Right, left, below or above of the circle: the first that is inside and touches nothing. None:
  /// a circle without words says more than words nobody can read.
  [[nodiscard]] std::optional<cv::Rect2d> free_place(const CircleMark& mark, double width,
                                                     const std::vector<cv::Rect2d>& taken) const {
    const cv::Point2d at = place(mark);
    const double away = std::max(mark.radius_px * zoom_, 4.0) + 6.0;
    const double height = kText + 4.0;
    const cv::Rect2d places[] = {
        {at.x + away, at.y - height / 2.0, width, height},
        {at.x - away - width, at.y - height / 2.0, width, height},
        {at.x - width / 2.0, at.y + away, width, height},
        {at.x - width / 2.0, at.y - away - height, width, height},
        {at.x + away * 0.7, at.y + away * 0.7, width, height},
        {at.x - away * 0.7 - width, at.y - away * 0.7 - height, width, height}};
    for (const cv::Rect2d& box : places) {
      const bool is_inside = (box & image_) == box;
      const bool is_free = std::none_of(taken.begin(), taken.end(), [&](const cv::Rect2d& other) {
        return (other & box).area() > 0.0;
      });
      if (is_inside && is_free) return box;
    }
    return std::nullopt;
  }

  void draw_colour_bar() {
    const cv::Rect2d bar(image_.br().x + 14.0, image_.y, kBarWidth, image_.height);
    cv::Mat ramp(256, 1, CV_8UC3);
    for (int i = 0; i < 256; ++i) {
      const Colour colour = map_colour(figure_.colours, 1.0 - i / 255.0);
      ramp.at<cv::Vec3b>(i, 0) = {colour.r, colour.g, colour.b};
    }
    cv::Mat wide;
    cv::repeat(ramp, 1, 16, wide);
    canvas_.paste(wide, bar);
    const Ticks ticks = nice_ticks(contrast_.low, contrast_.high, 5);
    double widest = 0.0;
    for (const double value : ticks.values) {
      const double up = (value - contrast_.low) / (contrast_.high - contrast_.low);
      const double y = bar.br().y - up * bar.height;
      canvas_.line({bar.br().x, y}, {bar.br().x + 4.0, y}, kBlack, 1.2);
      canvas_.text(ticks.label(value), {bar.br().x + 8.0, y + kText / 2.0}, {kText});
      widest = std::max(widest, text_width(ticks.label(value), {kText}));
    }
    std::string label = figure_.bar_label;
    if (ticks.exponent != 0) label += "  x 10^" + std::to_string(ticks.exponent);
    canvas_.text_upwards(
        label, {bar.br().x + 8.0 + widest + 10.0 + kText, bar.y + bar.height / 2.0}, {kText});
  }

  const ImageFigure& figure_;
  double zoom_;
  cv::Rect2d image_;
  Contrast contrast_;
  Canvas canvas_;
};

}  // namespace

Picture ImageFigure::draw() const {
  const bool is_image =
      width > 0 && height > 0 &&
      pixels.size() == static_cast<std::size_t>(width) * static_cast<std::size_t>(height);
  if (is_image) return Drawing(*this).draw();
  ImageFigure nothing = *this;  // said instead of a crash: the caller has no image
  nothing.width = nothing.height = 1;
  nothing.pixels = {std::numeric_limits<float>::quiet_NaN()};
  nothing.marks.clear();
  nothing.scale = 0.0;
  nothing.title += nothing.title.empty() ? "no image" : " (no image)";
  return Drawing(nothing).draw();
}

}  // namespace latticed
