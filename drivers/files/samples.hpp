// SPDX-License-Identifier: GPL-3.0-or-later
// Numbers as files store them, and their way into the pixel types frames have in memory: what fits
// stays as it is, 64-bit and half-precision numbers become f32.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "drivers/kit/frame_header.hpp"

namespace latticed::files {

static_assert(std::endian::native == std::endian::little, "frames are little endian in memory");

enum class SampleType : std::uint8_t { u8, i8, u16, i16, u32, i32, f32, f16, f64, u64, i64 };
enum class ByteOrder : std::uint8_t { little, big };

[[nodiscard]] constexpr std::size_t bytes_per_sample(SampleType type) noexcept {
  constexpr std::size_t kBytes[] = {1, 1, 2, 2, 4, 4, 4, 2, 8, 8, 8};
  return kBytes[static_cast<std::size_t>(type)];
}

[[nodiscard]] constexpr PixelType pixel_type(SampleType type) noexcept {
  return type <= SampleType::f32 ? static_cast<PixelType>(type) : PixelType::f32;
}

/// One number at `bytes`, from either byte order.
template <class T>
[[nodiscard]] T load(const std::byte* bytes, ByteOrder order) noexcept {
  std::byte raw[sizeof(T)];
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    raw[i] = bytes[order == ByteOrder::little ? i : sizeof(T) - 1 - i];
  }
  T value;
  std::memcpy(&value, raw, sizeof(T));
  return value;
}

/// IEEE 754 half precision.
[[nodiscard]] float half_to_float(std::uint16_t half) noexcept;

/// Turns the bytes of each sample around, in place.
void swap_bytes(std::span<std::byte> samples, std::size_t sample_bytes) noexcept;

/// Samples of a type that is not a PixelType into f32. `out` holds as many floats as `in` samples.
void convert_to_f32(SampleType type, ByteOrder order, std::span<const std::byte> in,
                    std::byte* out) noexcept;

}  // namespace latticed::files
