// SPDX-License-Identifier: GPL-3.0-or-later
#include "drivers/files/samples.hpp"

#include <cmath>
#include <limits>

namespace latticed::files {
namespace {

template <class T, class ToFloat>
void convert_each(ByteOrder order, std::span<const std::byte> in, std::byte* out,
                  ToFloat to_float) noexcept {
  const std::size_t count = in.size() / sizeof(T);
  for (std::size_t i = 0; i < count; ++i) {
    const float value = to_float(load<T>(in.data() + i * sizeof(T), order));
    std::memcpy(out + i * sizeof(float), &value, sizeof(float));
  }
}

template <class T>
void swap_each(std::span<std::byte> samples) noexcept {
  for (std::size_t i = 0; i + sizeof(T) <= samples.size(); i += sizeof(T)) {
    const T value = load<T>(samples.data() + i, ByteOrder::big);
    std::memcpy(samples.data() + i, &value, sizeof(T));
  }
}

}  // namespace

float half_to_float(std::uint16_t half) noexcept {
  const int exponent = (half >> 10) & 0x1f;
  const int mantissa = half & 0x3ff;
  float magnitude;
  if (exponent == 0) {
    magnitude = std::ldexp(static_cast<float>(mantissa), -24);
  } else if (exponent == 31) {
    magnitude = mantissa == 0 ? std::numeric_limits<float>::infinity()
                              : std::numeric_limits<float>::quiet_NaN();
  } else {
    magnitude = std::ldexp(static_cast<float>(mantissa + 1024), exponent - 25);
  }
  return (half & 0x8000) != 0 ? -magnitude : magnitude;
}

void swap_bytes(std::span<std::byte> samples, std::size_t sample_bytes) noexcept {
  if (sample_bytes == 2) swap_each<std::uint16_t>(samples);
  if (sample_bytes == 4) swap_each<std::uint32_t>(samples);
  if (sample_bytes == 8) swap_each<std::uint64_t>(samples);
}

void convert_to_f32(SampleType type, ByteOrder order, std::span<const std::byte> in,
                    std::byte* out) noexcept {
  const auto narrow = [](auto value) { return static_cast<float>(value); };
  switch (type) {
    case SampleType::f16:
      return convert_each<std::uint16_t>(order, in, out, half_to_float);
    case SampleType::f64:
      return convert_each<double>(order, in, out, narrow);
    case SampleType::u64:
      return convert_each<std::uint64_t>(order, in, out, narrow);
    case SampleType::i64:
      return convert_each<std::int64_t>(order, in, out, narrow);
    default:
      return;  // a PixelType: nothing to convert
  }
}

}  // namespace latticed::files
