// SPDX-License-Identifier: GPL-3.0-or-later
#include "drivers/files/samples.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cmath>

namespace latticed::files {
namespace {

TEST(Samples, HalfPrecisionIsExactOverItsWholeRange) {
  EXPECT_EQ(half_to_float(0x0000), 0.0f);
  EXPECT_EQ(half_to_float(0x3c00), 1.0f);
  EXPECT_EQ(half_to_float(0x7bff), 65504.0f);               // largest
  EXPECT_EQ(half_to_float(0x0001), std::ldexp(1.0f, -24));  // smallest subnormal
  EXPECT_EQ(half_to_float(0x03ff), std::ldexp(1023.0f, -24));
  EXPECT_EQ(half_to_float(0x0400), std::ldexp(1.0f, -14));
  EXPECT_EQ(half_to_float(0xc000), -2.0f);
  EXPECT_TRUE(std::isinf(half_to_float(0xfc00)));
  EXPECT_TRUE(std::isnan(half_to_float(0x7e00)));
}

TEST(Samples, SwapTurnsEachSampleAroundAndNothingElse) {
  std::array<std::byte, 4> bytes{std::byte{1}, std::byte{2}, std::byte{3}, std::byte{4}};
  swap_bytes(bytes, 1);
  EXPECT_EQ(bytes[0], std::byte{1});
  swap_bytes(bytes, 2);
  EXPECT_EQ(bytes,
            (std::array<std::byte, 4>{std::byte{2}, std::byte{1}, std::byte{4}, std::byte{3}}));
  swap_bytes(bytes, 4);
  EXPECT_EQ(bytes,
            (std::array<std::byte, 4>{std::byte{3}, std::byte{4}, std::byte{1}, std::byte{2}}));
}

TEST(Samples, WideNumbersBecomeTheNearestFloat) {
  const double value = 1.0 / 3.0;
  std::array<std::byte, 8> in;
  std::memcpy(in.data(), &value, 8);
  std::array<std::byte, 4> out;
  convert_to_f32(SampleType::f64, ByteOrder::little, in, out.data());
  EXPECT_EQ(load<float>(out.data(), ByteOrder::little), static_cast<float>(value));
  const std::int64_t negative = -5;
  std::memcpy(in.data(), &negative, 8);
  swap_bytes(in, 8);
  convert_to_f32(SampleType::i64, ByteOrder::big, in, out.data());
  EXPECT_EQ(load<float>(out.data(), ByteOrder::little), -5.0f);
}

}  // namespace
}  // namespace latticed::files
