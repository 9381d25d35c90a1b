// SPDX-License-Identifier: GPL-3.0-or-later
// What figures draw on: three times finer than the picture it becomes, which is what makes lines
// and letters smooth. Positions and sizes are in pixels of the picture. Only .cpp files of this
// folder include it (it names OpenCV).
#pragma once

#include <opencv2/core.hpp>
#include <string>
#include <vector>

#include "server/figure/picture.hpp"

namespace latticed::drawing {

inline constexpr Colour kBlack{25, 25, 25};
inline constexpr Colour kGrey{110, 110, 110};
inline constexpr Colour kLightGrey{228, 228, 228};
inline constexpr Colour kWhite{255, 255, 255};

enum class Anchor { left, centre, right };
enum class Weight { regular, bold };
enum class Backing { none, outline };  // outline: dark around light letters, for text on images

struct TextStyle {
  double cap_height = 9.0;  // of a capital letter
  Colour colour = kBlack;
  Anchor anchor = Anchor::left;
  Weight weight = Weight::regular;
  Backing backing = Backing::none;
};

/// What the letters of our font can say: Greek mu and Angstrom signs become u and A. A number
/// behind ^ is drawn raised: "nm^-1", "x 10^-4".
[[nodiscard]] std::string to_ascii(const std::string& text);

[[nodiscard]] double text_width(const std::string& text, const TextStyle& style);

class Canvas {
 public:
  Canvas(int width, int height, Colour background = kWhite);

  void line(cv::Point2d from, cv::Point2d to, Colour colour, double width);
  void dashed_line(cv::Point2d from, cv::Point2d to, Colour colour, double width);
  void polyline(const std::vector<cv::Point2d>& points, Colour colour, double width);
  void fill(const std::vector<cv::Point2d>& outline, Colour colour, double opacity);
  void fill_rectangle(cv::Rect2d where, Colour colour, double opacity = 1.0);
  void dot(cv::Point2d centre, double radius, Colour colour);
  void circle(cv::Point2d centre, double radius, Colour colour, double width);
  /// `at`: the baseline's left end, centre or right end.
  void text(const std::string& text, cv::Point2d at, const TextStyle& style);
  /// Reading upwards, centred on `at`, which is on the baseline.
  void text_upwards(const std::string& text, cv::Point2d at, const TextStyle& style);
  /// 8-bit RGB pixels, stretched over `where`.
  void paste(const cv::Mat& rgb, cv::Rect2d where);
  /// Nothing is drawn outside `where` until unclip().
  void clip(cv::Rect2d where);
  void unclip();

  [[nodiscard]] Picture finish() const;

 private:
  [[nodiscard]] cv::Rect2d fine(cv::Rect2d where) const;

  cv::Mat all_;     // RGB, fine
  cv::Mat target_;  // all of it, or the part clipped to
  cv::Point2d origin_{0.0, 0.0};
};

}  // namespace latticed::drawing
