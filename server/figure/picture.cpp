// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/figure/picture.hpp"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>

namespace latticed {
namespace {

Error write_error(ErrorCode code, const std::string& path, const std::string& what) {
  return {code, "write png '" + path + "': " + what};
}

}  // namespace

Result<void> write_png(const std::string& path, const Picture& picture) try {
  const auto bytes =
      static_cast<std::size_t>(picture.width) * static_cast<std::size_t>(picture.height) * 3;
  if (picture.width < 1 || picture.height < 1 || picture.rgb.size() != bytes) {
    return write_error(ErrorCode::invalid_argument, path,
                       "picture of " + std::to_string(picture.width) + " x " +
                           std::to_string(picture.height) + " with " +
                           std::to_string(picture.rgb.size()) + " bytes");
  }
  const cv::Mat rgb(picture.height, picture.width, CV_8UC3,
                    const_cast<std::uint8_t*>(picture.rgb.data()));
  cv::Mat bgr;
  cv::cvtColor(rgb, bgr, cv::COLOR_RGB2BGR);
  std::vector<std::uint8_t> png;
  if (!cv::imencode(".png", bgr, png)) {
    return write_error(ErrorCode::internal, path, "the encoder refused the picture");
  }
  const std::string part = path + ".part";
  std::ofstream out(part, std::ios::binary);
  out.write(reinterpret_cast<const char*>(png.data()), static_cast<std::streamsize>(png.size()));
  out.close();
  if (!out || std::rename(part.c_str(), path.c_str()) != 0) {
    const std::string why = std::strerror(errno);
    std::remove(part.c_str());
    return write_error(ErrorCode::unavailable, path, why);
  }
  return {};
} catch (const std::exception& problem) {
  return write_error(ErrorCode::internal, path, problem.what());
}

}  // namespace latticed
