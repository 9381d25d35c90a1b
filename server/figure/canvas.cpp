// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/figure/canvas.hpp"

#include <algorithm>
#include <cmath>
#include <opencv2/imgproc.hpp>

namespace latticed::drawing {
namespace {

constexpr int kFine = 3;   // canvas pixels for each of the picture
constexpr int kShift = 4;  // OpenCV's fixed point: 1/16 of a canvas pixel
constexpr int kFont = cv::FONT_HERSHEY_SIMPLEX;
constexpr double kFontCapHeight = 21.0;  // of that font at scale 1

cv::Scalar scalar(Colour colour) { return {double(colour.r), double(colour.g), double(colour.b)}; }

int thickness(double width) { return std::max(1, static_cast<int>(std::lround(width * kFine))); }

struct Letters {
  double scale;
  int thickness;
};

Letters letters(const TextStyle& style) {
  const double cap = style.cap_height * kFine;
  const double stroke = cap / (style.weight == Weight::bold ? 6.0 : 11.5);
  return {cap / kFontCapHeight, std::max(1, static_cast<int>(std::lround(stroke)))};
}

cv::Point fixed(cv::Point2d point) {
  return {static_cast<int>(std::lround(point.x * (1 << kShift))),
          static_cast<int>(std::lround(point.y * (1 << kShift)))};
}

/// A stretch of text on one level: "10^-4 nm" is "10", "-4" raised, " nm".
struct Run {
  std::string text;
  bool is_raised = false;
};

std::vector<Run> runs(const std::string& text) {
  std::vector<Run> found;
  const std::string ascii = to_ascii(text);
  for (std::size_t at = 0; at < ascii.size();) {
    const bool is_raised = ascii[at] == '^';
    const std::size_t begin = is_raised ? at + 1 : at;
    const std::size_t end =
        is_raised ? ascii.find_first_not_of("+-0123456789", begin) : ascii.find('^', begin);
    found.push_back({ascii.substr(begin, end - begin), is_raised});
    at = end == ascii.npos ? ascii.size() : end;
  }
  return found;
}

TextStyle style_of(const Run& run, const TextStyle& style) {
  TextStyle own = style;
  if (run.is_raised) own.cap_height *= 0.72;
  return own;
}

double run_width(const Run& run, const TextStyle& style) {
  const Letters form = letters(style_of(run, style));
  int baseline = 0;
  return cv::getTextSize(run.text, kFont, form.scale, form.thickness, &baseline).width /
         static_cast<double>(kFine);
}

}  // namespace

std::string to_ascii(const std::string& text) {
  static const std::pair<const char*, const char*> kSpellings[] = {
      {"\xC2\xB5", "u"},     {"\xCE\xBC", "u"},  {"\xC3\x85", "A"},
      {"\xE2\x84\xAB", "A"}, {"\xC2\xB1", "+-"}, {"\xC2\xB0", " deg"},
      {"\xCF\x83", "sigma"}, {"\xCE\xB5", "e"},  {"\xE2\x88\x92", "-"},
      {"\xE2\x80\x93", "-"}, {"\xC2\xB2", "^2"}, {"\xE2\x81\xBB\xC2\xB9", "^-1"},
      {"\xC3\x97", "x"}};
  std::string ascii;
  for (std::size_t i = 0; i < text.size();) {
    if (static_cast<unsigned char>(text[i]) < 0x80) {
      ascii += text[i] >= ' ' ? text[i] : ' ';
      ++i;
      continue;
    }
    const auto known =
        std::find_if(std::begin(kSpellings), std::end(kSpellings), [&](const auto& s) {
          return text.compare(i, std::char_traits<char>::length(s.first), s.first) == 0;
        });
    if (known != std::end(kSpellings)) {
      ascii += known->second;
      i += std::char_traits<char>::length(known->first);
      continue;
    }
    ascii += '?';
    do ++i;
    while (i < text.size() && (static_cast<unsigned char>(text[i]) & 0xC0) == 0x80);
  }
  return ascii;
}

double text_width(const std::string& text, const TextStyle& style) {
  double width = 0.0;
  for (const Run& run : runs(text)) width += run_width(run, style);
  return width;
}

Canvas::Canvas(int width, int height, Colour background)
    : all_(height * kFine, width * kFine, CV_8UC3, scalar(background)), target_(all_) {}

cv::Rect2d Canvas::fine(cv::Rect2d where) const {
  return {(where.x - origin_.x) * kFine, (where.y - origin_.y) * kFine, where.width * kFine,
          where.height * kFine};
}

void Canvas::clip(cv::Rect2d where) {
  unclip();
  const cv::Rect part = cv::Rect(fine(where)) & cv::Rect(0, 0, all_.cols, all_.rows);
  target_ = all_(part);
  origin_ = {part.x / static_cast<double>(kFine), part.y / static_cast<double>(kFine)};
}

void Canvas::unclip() {
  target_ = all_;
  origin_ = {0.0, 0.0};
}

void Canvas::line(cv::Point2d from, cv::Point2d to, Colour colour, double width) {
  cv::line(target_, fixed((from - origin_) * kFine), fixed((to - origin_) * kFine), scalar(colour),
           thickness(width), cv::LINE_AA, kShift);
}

void Canvas::dashed_line(cv::Point2d from, cv::Point2d to, Colour colour, double width) {
  const double length = cv::norm(to - from);
  const cv::Point2d unit = length > 0.0 ? (to - from) / length : cv::Point2d();
  for (double at = 0.0; at < length; at += 7.0) {
    line(from + unit * at, from + unit * std::min(at + 4.0, length), colour, width);
  }
}

void Canvas::polyline(const std::vector<cv::Point2d>& points, Colour colour, double width) {
  std::vector<cv::Point> path;
  for (const auto& point : points) path.push_back(fixed((point - origin_) * kFine));
  cv::polylines(target_, path, false, scalar(colour), thickness(width), cv::LINE_AA, kShift);
}

void Canvas::fill(const std::vector<cv::Point2d>& outline, Colour colour, double opacity) {
  std::vector<cv::Point> path;
  for (const auto& point : outline) path.push_back(fixed((point - origin_) * kFine));
  cv::Mat painted = target_.clone();
  cv::fillPoly(painted, std::vector<std::vector<cv::Point>>{path}, scalar(colour), cv::LINE_AA,
               kShift);
  cv::addWeighted(painted, opacity, target_, 1.0 - opacity, 0.0, target_);
}

void Canvas::fill_rectangle(cv::Rect2d where, Colour colour, double opacity) {
  const cv::Rect part = cv::Rect(fine(where)) & cv::Rect(0, 0, target_.cols, target_.rows);
  if (part.empty()) return;
  cv::Mat box = target_(part);
  cv::addWeighted(cv::Mat(part.size(), CV_8UC3, scalar(colour)), opacity, box, 1.0 - opacity, 0.0,
                  box);
}

void Canvas::dot(cv::Point2d centre, double radius, Colour colour) {
  cv::circle(target_, fixed((centre - origin_) * kFine),
             static_cast<int>(radius * kFine * (1 << kShift)), scalar(colour), cv::FILLED,
             cv::LINE_AA, kShift);
}

void Canvas::circle(cv::Point2d centre, double radius, Colour colour, double width) {
  cv::circle(target_, fixed((centre - origin_) * kFine),
             static_cast<int>(radius * kFine * (1 << kShift)), scalar(colour), thickness(width),
             cv::LINE_AA, kShift);
}

void Canvas::text(const std::string& text, cv::Point2d at, const TextStyle& style) {
  const double width = text_width(text, style);
  if (style.anchor == Anchor::centre) at.x -= width / 2.0;
  if (style.anchor == Anchor::right) at.x -= width;
  const auto put = [&](const Run& run, cv::Point2d left, Colour colour, int extra) {
    const Letters form = letters(style_of(run, style));
    const double up = run.is_raised ? 0.55 * style.cap_height : 0.0;
    const cv::Point2d corner = (left - origin_ - cv::Point2d(0.0, up)) * kFine;
    cv::putText(target_, run.text, {cvRound(corner.x), cvRound(corner.y)}, kFont, form.scale,
                scalar(colour), form.thickness + extra, cv::LINE_AA);
  };
  for (const bool is_outline : {true, false}) {  // all outlines first, letters over them
    if (is_outline && style.backing == Backing::none) continue;
    cv::Point2d left = at;
    for (const Run& run : runs(text)) {
      put(run, left, is_outline ? kBlack : style.colour, is_outline ? 2 * kFine : 0);
      left.x += run_width(run, style);
    }
  }
}

void Canvas::text_upwards(const std::string& text, cv::Point2d at, const TextStyle& style) {
  const int width = static_cast<int>(std::ceil(text_width(text, style))) + 4;
  const int height = static_cast<int>(std::ceil(style.cap_height * 2.0)) + 4;
  Canvas level(width, height);
  TextStyle centred = style;
  centred.anchor = Anchor::centre;
  const double baseline = style.cap_height * 1.4;
  level.text(text, {width / 2.0, baseline}, centred);
  cv::Mat upright;
  cv::rotate(level.all_, upright, cv::ROTATE_90_COUNTERCLOCKWISE);
  const cv::Rect where(static_cast<int>((at.x - origin_.x - baseline) * kFine),
                       static_cast<int>((at.y - origin_.y - width / 2.0) * kFine), upright.cols,
                       upright.rows);
  const cv::Rect part = where & cv::Rect(0, 0, target_.cols, target_.rows);
  if (part.empty()) return;
  cv::Mat under = target_(part);
  cv::min(under, upright(part - where.tl()), under);  // dark letters on what is there
}

void Canvas::paste(const cv::Mat& rgb, cv::Rect2d where) {
  const cv::Rect2d place = fine(where);
  const cv::Rect part(cv::Point(cvRound(place.x), cvRound(place.y)),
                      cv::Size(cvRound(place.width), cvRound(place.height)));
  if ((part & cv::Rect(0, 0, target_.cols, target_.rows)) != part) return;
  const double zoom = static_cast<double>(part.width) / rgb.cols;
  // a picture at its own size stays as it is; large pixels are shown as pixels
  const bool is_exact = part.width == rgb.cols * kFine && part.height == rgb.rows * kFine;
  const int how = zoom < 1.0                        ? cv::INTER_AREA
                  : is_exact || zoom >= 4.0 * kFine ? cv::INTER_NEAREST
                                                    : cv::INTER_CUBIC;
  cv::Mat resized;
  cv::resize(rgb, resized, part.size(), 0.0, 0.0, how);
  resized.copyTo(target_(part));
}

Picture Canvas::finish() const {
  Picture picture{all_.cols / kFine, all_.rows / kFine, {}};
  picture.rgb.resize(static_cast<std::size_t>(picture.width) *
                     static_cast<std::size_t>(picture.height) * 3);
  cv::Mat coarse(picture.height, picture.width, CV_8UC3, picture.rgb.data());
  cv::resize(all_, coarse, coarse.size(), 0.0, 0.0, cv::INTER_AREA);
  return picture;
}

}  // namespace latticed::drawing
