// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/live/jpeg.hpp"

#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>
#include <vector>

namespace latticed {

std::string jpeg_of(std::span<const std::uint8_t> grey, int width, int height) {
  constexpr int kQuality = 85;
  // OpenCV only reads: its signature has no const.
  const cv::Mat image(height, width, CV_8UC1, const_cast<std::uint8_t*>(grey.data()));
  std::vector<std::uint8_t> bytes;
  cv::imencode(".jpg", image, bytes, {cv::IMWRITE_JPEG_QUALITY, kQuality});
  return {bytes.begin(), bytes.end()};
}

}  // namespace latticed
