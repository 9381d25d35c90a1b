// SPDX-License-Identifier: GPL-3.0-or-later
#include "drivers/files/limits.hpp"

namespace latticed::files {

Result<FrameGeometry> checked_geometry(const std::string& path, std::int64_t width,
                                       std::int64_t height, PixelType type) {
  if (width < 1 || width > kMaxSide || height < 1 || height > kMaxSide) {
    return open_error(ErrorCode::invalid_argument, path,
                      "frames of " + std::to_string(width) + " x " + std::to_string(height) +
                          " pixels, expected 1 to " + std::to_string(kMaxSide) + " a side");
  }
  FrameGeometry geometry{static_cast<int>(width), static_cast<int>(height), type};
  if (geometry.bytes() > kMaxFrameBytes) {
    return open_error(ErrorCode::invalid_argument, path,
                      "frames of " + std::to_string(geometry.bytes()) + " bytes, limit " +
                          std::to_string(kMaxFrameBytes));
  }
  return geometry;
}

Result<void> check_read(const std::string& path, std::uint64_t index, std::uint64_t frame_count,
                        std::size_t buffer_bytes, const FrameGeometry& geometry) {
  if (index >= frame_count) {
    return frame_error(ErrorCode::out_of_range, index, path,
                       "the file has " + std::to_string(frame_count) + " frames");
  }
  if (buffer_bytes < geometry.bytes()) {
    return frame_error(ErrorCode::invalid_argument, index, path,
                       "buffer of " + std::to_string(buffer_bytes) + " bytes, needs " +
                           std::to_string(geometry.bytes()));
  }
  return {};
}

}  // namespace latticed::files
