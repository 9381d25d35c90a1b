// SPDX-License-Identifier: GPL-3.0-or-later
// One TIFF file in libtiff's hands: go to a directory, say what its image is, decode its pixels.
// The one header that names libtiff; its messages are kept instead of printed.
#pragma once

#include <tiffio.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "drivers/files/samples.hpp"
#include "drivers/files/tiff_description.hpp"
#include "drivers/kit/result.hpp"

namespace latticed::files {

struct TiffShape {
  std::uint32_t width = 0;
  std::uint32_t height = 0;
  SampleType sample = SampleType::u16;
  bool operator==(const TiffShape&) const = default;
};

class TiffImage {
 public:
  /// Null if libtiff refuses the file; why is then in `reason`.
  static std::unique_ptr<TiffImage> open(const std::string& path, std::string& reason);
  ~TiffImage();
  TiffImage(const TiffImage&) = delete;
  TiffImage& operator=(const TiffImage&) = delete;

  /// Every other call is about the directory that was selected last.
  [[nodiscard]] bool select(std::uint64_t directory);
  [[nodiscard]] std::optional<TiffShape> shape();  // nothing: no grey image of plain numbers
  [[nodiscard]] TiffCalibration calibration();
  /// Where its pixels begin, if they are neither compressed nor in tiles.
  [[nodiscard]] std::optional<std::uint64_t> raw_offset();
  /// The byte behind its last pixel in the file.
  [[nodiscard]] std::uint64_t end_of_pixels();
  /// Into `out`, in the sample type stored. False: cannot be decoded.
  [[nodiscard]] bool decode(const TiffShape& shape, std::span<std::byte> out);

  /// libtiff's first complaint since the last select().
  [[nodiscard]] const std::string& complaint() const noexcept { return complaint_; }

 private:
  TiffImage() = default;
  static int keep(TIFF*, void* self, const char* module, const char* format, va_list arguments);
  bool decode_strips(std::size_t row_bytes, std::uint32_t height, std::span<std::byte> out);
  bool decode_tiles(const TiffShape& shape, std::span<std::byte> out);
  bool refuse(std::string why);

  TIFF* tiff_ = nullptr;
  std::string complaint_;
  std::vector<std::byte> tile_;
};

}  // namespace latticed::files
