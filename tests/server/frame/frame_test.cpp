// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/frame/frame.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace latticed::test {
namespace {

TEST(PixelBuffer, IsAsLongAsAskedForZeroAndAlignedToAPage) {
  for (std::size_t bytes : {std::size_t{1}, std::size_t{4096}, std::size_t{10007}}) {
    PixelBuffer sut;
    sut.allocate(bytes);
    EXPECT_EQ(sut.bytes().size(), bytes);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(sut.bytes().data()) % 4096, 0u);
    EXPECT_TRUE(std::all_of(sut.bytes().begin(), sut.bytes().end(),
                            [](std::byte b) { return b == std::byte{0}; }));
  }
}

TEST(PixelBuffer, SaysWhenThereIsNoMemory) {
#ifdef LATTICED_SANITIZED
  GTEST_SKIP() << "sanitizers end the program instead";
#endif
  PixelBuffer sut;
  EXPECT_THROW(sut.allocate(std::size_t{1} << 60), std::bad_alloc);
}

TEST(Frame, GivesItsPixelsBackAndForgetsItsMeasurementsWhenItIsRecycled) {
  PixelPool pixels(1, [](PixelBuffer& buffer) { buffer.allocate(64); });
  FramePool frames(1, [](Frame&) {});
  FrameLease sut = frames.try_acquire();
  sut->geometry = {4, 4, PixelType::u16};
  sut->pixels = pixels.try_acquire();
  sut->measurements.mean_counts = 7.0;
  sut->measurements.spots.push_back({});
  EXPECT_EQ(sut->raw().size(), 32u);
  sut.reset();
  EXPECT_EQ(pixels.count_free(), 1u);
  sut = frames.try_acquire();
  EXPECT_EQ(sut->measurements.mean_counts, 0.0);
  EXPECT_TRUE(sut->measurements.spots.empty());
}

}  // namespace
}  // namespace latticed::test
