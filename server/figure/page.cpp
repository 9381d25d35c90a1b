// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/figure/page.hpp"

#include <algorithm>

#include "server/figure/canvas.hpp"

namespace latticed {
namespace {

using namespace drawing;

constexpr int kMargin = 18;
constexpr int kGap = 12;
constexpr int kLetterRoom = 22;
constexpr double kTitleText = 15.0;
constexpr double kFooterText = 7.5;

int row_height(const std::vector<Picture>& row) {
  int height = 0;
  for (const Picture& picture : row) height = std::max(height, picture.height);
  return height;
}

}  // namespace

Picture Page::draw() const {
  const int letter_room = has_letters ? kLetterRoom : 0;
  int width = 240;
  int height = 2 * kMargin;
  if (!title.empty()) height += static_cast<int>(kTitleText) + 20;
  if (!footer.empty()) height += static_cast<int>(kFooterText) + 12;
  for (const auto& row : rows) {
    int row_width = 2 * kMargin - kGap;
    for (const Picture& picture : row) row_width += picture.width + letter_room + kGap;
    width = std::max(width, row_width);
    height += row_height(row) + kGap;
  }
  Canvas canvas(width, height);
  int y = kMargin;
  if (!title.empty()) {
    canvas.text(title, {static_cast<double>(kMargin), y + kTitleText},
                {kTitleText, kBlack, Anchor::left, Weight::bold});
    y += static_cast<int>(kTitleText) + 20;
  }
  char letter = 'a';
  for (const auto& row : rows) {
    int x = kMargin;
    for (const Picture& picture : row) {
      if (has_letters && letter <= 'z') {
        canvas.text(std::string(1, letter++), {x + 2.0, y + 27.0},
                    {13.0, kBlack, Anchor::left, Weight::bold});
      }
      x += letter_room;
      if (!picture.rgb.empty()) {
        const cv::Mat rgb(picture.height, picture.width, CV_8UC3,
                          const_cast<std::uint8_t*>(picture.rgb.data()));
        canvas.paste(rgb, cv::Rect2d(x, y, picture.width, picture.height));
      }
      x += picture.width + kGap;
    }
    y += row_height(row) + kGap;
  }
  if (!footer.empty()) {
    canvas.text(footer, {static_cast<double>(kMargin), static_cast<double>(height - kMargin)},
                {kFooterText, kGrey});
  }
  return canvas.finish();
}

}  // namespace latticed
