// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/publish/spectrum.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <opencv2/core.hpp>

namespace latticed {
namespace {

constexpr int kShownPixels = 320;  // at least so many across, by padding with zeros
constexpr int kLargest = 4096;     // of the transform

double weighted_mean(const WeightedImage& image) {
  double sum = 0.0, weights = 0.0;
  for (std::size_t i = 0; i < image.pixels.size(); ++i) {
    if (!std::isfinite(image.pixels[i])) continue;
    sum += static_cast<double>(image.pixels[i]) * image.weight[i];
    weights += image.weight[i];
  }
  return weights > 0.0 ? sum / weights : 0.0;
}

double hann(int i, int size) {
  const double s = std::sin(std::numbers::pi * (i + 0.5) / size);
  return s * s;
}

cv::Mat windowed(const WeightedImage& image, int size) {
  cv::Mat out = cv::Mat::zeros(size, size, CV_32F);
  const double mean = weighted_mean(image);
  const double most =
      std::max<double>(1.0, *std::max_element(image.weight.begin(), image.weight.end()));
  std::size_t i = 0;
  for (int y = 0; y < image.height; ++y) {
    const double wy = hann(y, image.height) / most;
    for (int x = 0; x < image.width; ++x, ++i) {
      if (!std::isfinite(image.pixels[i])) continue;
      out.at<float>(y, x) = static_cast<float>((static_cast<double>(image.pixels[i]) - mean) * wy *
                                               hann(x, image.width) * image.weight[i]);
    }
  }
  return out;
}

}  // namespace

Diffractogram diffractogram(const WeightedImage& image, double reach) {
  Diffractogram out;
  if (image.pixels.empty()) return out;
  reach = std::clamp(reach, 0.01, 0.5);
  const int longest = std::max(image.width, image.height);
  const int wanted = std::max(longest, static_cast<int>(std::ceil(kShownPixels / (2.0 * reach))));
  const int size =
      cv::getOptimalDFTSize((std::clamp(wanted, longest, std::max(longest, kLargest)) + 1) / 2) * 2;
  cv::Mat spectrum;
  cv::dft(windowed(image, size), spectrum, cv::DFT_COMPLEX_OUTPUT);
  const int half = std::clamp(static_cast<int>(std::ceil(reach * size)), 1, size / 2 - 1);
  out.size = 2 * half + 1;
  out.step = 1.0 / size;
  out.magnitude.reserve(static_cast<std::size_t>(out.size) * static_cast<std::size_t>(out.size));
  for (int v = -half; v <= half; ++v)
    for (int u = -half; u <= half; ++u) {
      const auto& value = spectrum.at<cv::Vec2f>((v + size) % size, (u + size) % size);
      out.magnitude.push_back(std::hypot(value[0], value[1]));
    }
  return out;
}

}  // namespace latticed
