// SPDX-License-Identifier: GPL-3.0-or-later
#include "drivers/files/tiff_image.hpp"

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "drivers/files/limits.hpp"

namespace latticed::files {
namespace {

std::uint32_t field_u32(TIFF* tiff, std::uint32_t tag, std::uint32_t otherwise) {
  std::uint32_t value = otherwise;
  return TIFFGetField(tiff, tag, &value) == 1 ? value : otherwise;
}

std::uint16_t field_u16(TIFF* tiff, std::uint32_t tag) {
  std::uint16_t value = 0;
  return TIFFGetFieldDefaulted(tiff, tag, &value) == 1 ? value : std::uint16_t{0};
}

std::optional<SampleType> sample_type(int format, int bits) {
  using enum SampleType;
  switch (format) {
    case SAMPLEFORMAT_UINT:
    case SAMPLEFORMAT_VOID:
      if (bits == 8) return u8;
      if (bits == 16) return u16;
      if (bits == 32) return u32;
      if (bits == 64) return u64;
      break;
    case SAMPLEFORMAT_INT:
      if (bits == 8) return i8;
      if (bits == 16) return i16;
      if (bits == 32) return i32;
      if (bits == 64) return i64;
      break;
    case SAMPLEFORMAT_IEEEFP:
      if (bits == 16) return f16;
      if (bits == 32) return f32;
      if (bits == 64) return f64;
      break;
    default:
      break;
  }
  return std::nullopt;
}

}  // namespace

int TiffImage::keep(TIFF*, void* self, const char* module, const char* format, va_list arguments) {
  auto& complaint = static_cast<TiffImage*>(self)->complaint_;
  if (!complaint.empty()) return 1;
  char text[512];
  std::vsnprintf(text, sizeof(text), format, arguments);
  complaint = (module != nullptr ? std::string(module) + ": " : std::string()) + text;
  return 1;
}

std::unique_ptr<TiffImage> TiffImage::open(const std::string& path, std::string& reason) {
  std::unique_ptr<TiffImage> image(new TiffImage);
  const std::unique_ptr<TIFFOpenOptions, void (*)(TIFFOpenOptions*)> options(TIFFOpenOptionsAlloc(),
                                                                             TIFFOpenOptionsFree);
  const auto ignore = [](TIFF*, void*, const char*, const char*, va_list) { return 1; };
  TIFFOpenOptionsSetErrorHandlerExtR(options.get(), keep, image.get());
  TIFFOpenOptionsSetWarningHandlerExtR(options.get(), ignore, nullptr);
  TIFFOpenOptionsSetMaxSingleMemAlloc(options.get(), static_cast<tmsize_t>(kMaxFrameBytes));
  // m: no memory map, in which a file that becomes shorter would be a SIGBUS.
  image->tiff_ = TIFFOpenExt(path.c_str(), "rm", options.get());
  if (image->tiff_ != nullptr) return image;
  reason = image->complaint_;
  return nullptr;
}

TiffImage::~TiffImage() {
  if (tiff_ != nullptr) TIFFClose(tiff_);
}

bool TiffImage::select(std::uint64_t directory) {
  complaint_.clear();
  return TIFFSetSubDirectory(tiff_, directory) == 1;
}

std::optional<TiffShape> TiffImage::shape() {
  const int samples = field_u16(tiff_, TIFFTAG_SAMPLESPERPIXEL);
  const int bits = field_u16(tiff_, TIFFTAG_BITSPERSAMPLE);
  const int format = field_u16(tiff_, TIFFTAG_SAMPLEFORMAT);
  const auto sample = sample_type(format, bits);
  if (samples != 1 || !sample) {
    refuse(std::to_string(samples) + " samples of " + std::to_string(bits) +
           " bits a pixel (format " + std::to_string(format) + "), expected 1 of 8, 16, 32 or 64");
    return std::nullopt;
  }
  return TiffShape{field_u32(tiff_, TIFFTAG_IMAGEWIDTH, 0),
                   field_u32(tiff_, TIFFTAG_IMAGELENGTH, 0), *sample};
}

TiffCalibration TiffImage::calibration() {
  TiffResolution resolution;
  float value = 0.0f;
  if (TIFFGetField(tiff_, TIFFTAG_XRESOLUTION, &value) == 1) resolution.x = value;
  if (TIFFGetField(tiff_, TIFFTAG_YRESOLUTION, &value) == 1) resolution.y = value;
  resolution.unit = field_u16(tiff_, TIFFTAG_RESOLUTIONUNIT);
  const char* description = nullptr;
  TIFFGetField(tiff_, TIFFTAG_IMAGEDESCRIPTION, &description);
  return read_calibration(description != nullptr ? description : "", resolution);
}

std::optional<std::uint64_t> TiffImage::raw_offset() {
  const bool is_raw =
      field_u16(tiff_, TIFFTAG_COMPRESSION) == COMPRESSION_NONE && TIFFIsTiled(tiff_) == 0;
  if (!is_raw || TIFFNumberOfStrips(tiff_) == 0) return std::nullopt;
  return TIFFGetStrileOffset(tiff_, 0);
}

std::uint64_t TiffImage::end_of_pixels() {
  const std::uint32_t count =
      TIFFIsTiled(tiff_) != 0 ? TIFFNumberOfTiles(tiff_) : TIFFNumberOfStrips(tiff_);
  std::uint64_t end = 0;
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint64_t begin = TIFFGetStrileOffset(tiff_, i);
    const std::uint64_t bytes = TIFFGetStrileByteCount(tiff_, i);
    end = std::max(end, begin > ~bytes ? ~std::uint64_t{0} : begin + bytes);
  }
  return end;
}

bool TiffImage::decode(const TiffShape& shape, std::span<std::byte> out) {
  const std::size_t row_bytes = shape.width * bytes_per_sample(shape.sample);
  return TIFFIsTiled(tiff_) != 0 ? decode_tiles(shape, out)
                                 : decode_strips(row_bytes, shape.height, out);
}

bool TiffImage::refuse(std::string why) {
  if (complaint_.empty()) complaint_ = std::move(why);
  return false;
}

bool TiffImage::decode_strips(std::size_t row_bytes, std::uint32_t height,
                              std::span<std::byte> out) {
  std::uint32_t rows_per_strip = 0;
  TIFFGetFieldDefaulted(tiff_, TIFFTAG_ROWSPERSTRIP, &rows_per_strip);
  rows_per_strip = std::clamp(rows_per_strip, 1u, height);
  for (std::uint32_t strip = 0, row = 0; row < height; ++strip, row += rows_per_strip) {
    const std::size_t bytes = row_bytes * std::min(rows_per_strip, height - row);
    const auto want = static_cast<tmsize_t>(bytes);
    const tmsize_t got = TIFFReadEncodedStrip(tiff_, strip, out.data() + row * row_bytes, want);
    if (got != want) {
      return refuse("strip " + std::to_string(strip) + " gives " + std::to_string(got) + " of " +
                    std::to_string(want) + " bytes");
    }
  }
  return true;
}

bool TiffImage::decode_tiles(const TiffShape& shape, std::span<std::byte> out) {
  const std::size_t sample_bytes = bytes_per_sample(shape.sample);
  const std::size_t tile_width = field_u32(tiff_, TIFFTAG_TILEWIDTH, 0);
  const std::size_t tile_height = field_u32(tiff_, TIFFTAG_TILELENGTH, 0);
  if (tile_width == 0 || tile_height == 0 ||
      tile_width > kMaxFrameBytes / sample_bytes / tile_height) {
    return refuse("tiles of " + std::to_string(tile_width) + " x " + std::to_string(tile_height));
  }
  tile_.resize(tile_width * tile_height * sample_bytes);
  const std::size_t row_bytes = shape.width * sample_bytes;
  std::uint32_t tile = 0;
  for (std::size_t y = 0; y < shape.height; y += tile_height) {
    for (std::size_t x = 0; x < shape.width; x += tile_width, ++tile) {
      const tmsize_t got =
          TIFFReadEncodedTile(tiff_, tile, tile_.data(), static_cast<tmsize_t>(tile_.size()));
      if (got != static_cast<tmsize_t>(tile_.size())) {
        return refuse("tile " + std::to_string(tile) + " gives " + std::to_string(got) + " of " +
                      std::to_string(tile_.size()) + " bytes");
      }
      const std::size_t columns = std::min<std::size_t>(tile_width, shape.width - x) * sample_bytes;
      for (std::size_t row = 0; row < std::min<std::size_t>(tile_height, shape.height - y); ++row) {
        std::memcpy(out.data() + (y + row) * row_bytes + x * sample_bytes,
                    tile_.data() + row * tile_width * sample_bytes, columns);
      }
    }
  }
  return true;
}

}  // namespace latticed::files
