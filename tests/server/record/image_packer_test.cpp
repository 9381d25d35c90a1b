// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/record/image_packer.hpp"

#include <gtest/gtest.h>

#include <random>
#include <thread>

#include "drivers/files/hdf5_filters.hpp"
#include "tests/support/deadline.hpp"

namespace latticed::test {
namespace {

using record::ImagePacker;
using record::PackedFrame;

constexpr FrameGeometry kGeometry{64, 48, PixelType::u16};

class ImagePackerTest : public testing::Test {
 protected:
  FrameLease frame(std::uint64_t seq, bool is_noise = false) {
    FrameLease lease = frames_.try_acquire();
    lease->seq = seq;
    lease->geometry = kGeometry;
    lease->header = {};
    lease->pixels = pixels_.try_acquire();
    std::mt19937 random(static_cast<unsigned>(seq));
    for (std::byte& byte : lease->pixels->bytes())
      byte = static_cast<std::byte>(is_noise ? random() : random() % 4);
    return lease;
  }
  FrameLease lost(std::uint64_t seq) {
    FrameLease lease = frames_.try_acquire();
    lease->seq = seq;
    lease->header = {};
    lease->header.kind = FrameKind::lost;
    lease->header.lost_count = 3;
    return lease;
  }
  static std::unique_ptr<ImagePacker> packer(int threads) {
    return std::make_unique<ImagePacker>(
        record::PackerOptions{threads, kGeometry.bytes(), bytes_per_pixel(kGeometry.type)});
  }
  /// What it gives back is the frame's own bytes, packed or not.
  static void expect_bytes(const PackedFrame& packed) {
    const auto raw = packed.frame->raw();
    EXPECT_EQ(packed.image.crc32c, record::crc32c(raw));
    std::vector<std::byte> bytes(raw.size());
    if (packed.image.is_packed) {
      EXPECT_LT(packed.image.bytes.size(), raw.size());
      ASSERT_TRUE(files::unpack_blosc(packed.image.bytes, bytes));
    } else {
      ASSERT_EQ(packed.image.bytes.size(), raw.size());
      std::copy(packed.image.bytes.begin(), packed.image.bytes.end(), bytes.begin());
    }
    EXPECT_TRUE(std::equal(bytes.begin(), bytes.end(), raw.begin()));
  }

  PixelPool pixels_{64, [](PixelBuffer& buffer) { buffer.allocate(kGeometry.bytes()); }};
  FramePool frames_{64, [](Frame&) {}};
};

TEST_F(ImagePackerTest, GivesFramesBackInTheirOrderAndSmaller) {
  for (const int threads : {1, 3}) {
    const auto sut = packer(threads);
    std::uint64_t next = 0;
    const auto take = [&] {
      const PackedFrame& oldest = sut->oldest();
      ASSERT_EQ(oldest.frame->seq, next++);
      expect_bytes(oldest);
      EXPECT_TRUE(oldest.image.is_packed);
      sut->release();
    };
    for (std::uint64_t seq = 0; seq < 200; ++seq) {
      if (sut->is_full()) take();
      sut->add(frame(seq));
    }
    while (!sut->is_empty()) take();
    EXPECT_EQ(next, 200u);
    EXPECT_EQ(sut->counts().packed, 200u);
    EXPECT_EQ(pixels_.leased(), 0u);
  }
}

TEST_F(ImagePackerTest, WithoutThreadsFramesComeBackAtOnceAsTheyAre) {
  const auto sut = packer(0);
  sut->add(frame(1));
  ASSERT_TRUE(sut->is_oldest_ready());
  EXPECT_TRUE(sut->is_full());
  EXPECT_FALSE(sut->oldest().image.is_packed);
  expect_bytes(sut->oldest());
  sut->release();
  EXPECT_TRUE(sut->is_empty());
  EXPECT_FALSE(sut->is_oldest_ready());
}

TEST_F(ImagePackerTest, WhatWouldNotBecomeSmallerStaysAsItIs) {
  const auto sut = packer(1);
  sut->add(frame(1, true));
  EXPECT_FALSE(sut->oldest().image.is_packed);
  expect_bytes(sut->oldest());
  EXPECT_TRUE(happens([&] { return sut->counts().incompressible == 1; }));
}

TEST_F(ImagePackerTest, EntriesOfLostFramesKeepTheirPlace) {
  const auto sut = packer(2);
  sut->add(frame(0));
  sut->add(lost(1));
  sut->add(frame(4));
  for (const std::uint64_t seq : {0u, 1u, 4u}) {
    EXPECT_EQ(sut->oldest().frame->seq, seq);
    EXPECT_EQ(sut->oldest().image.bytes.empty(), seq == 1);
    sut->release();
  }
}

// Whatever the threads come to: all frames come back, once, in order, bit by bit.
TEST_F(ImagePackerTest, UnderPressureFramesGoAsTheyAreAndNoneIsLost) {
  const auto sut = packer(1);
  std::uint64_t next = 0, raw = 0;
  const auto take = [&] {
    ASSERT_EQ(sut->oldest().frame->seq, next++);
    expect_bytes(sut->oldest());
    raw += !sut->oldest().image.is_packed;
    sut->release();
  };
  // Until there was pressure, which the thread's luck decides.
  std::uint64_t seq = 0;
  for (; seq < 2000 || (raw == 0 && seq < 200'000); ++seq) {
    if (sut->is_full()) {
      sut->relieve();
      take();
    }
    sut->add(frame(seq));
  }
  while (!sut->is_empty()) take();
  EXPECT_EQ(next, seq);
  EXPECT_GT(raw, 0u);
  EXPECT_EQ(sut->counts().relieved, raw);
  EXPECT_EQ(sut->counts().packed, seq - raw);
}

TEST_F(ImagePackerTest, GivesItsFramesBackWhenItGoes) {
  {
    const auto sut = packer(2);
    for (std::uint64_t seq = 0; seq < 4; ++seq) sut->add(frame(seq));
  }
  EXPECT_EQ(pixels_.leased(), 0u);
  EXPECT_EQ(frames_.leased(), 0u);
}

}  // namespace
}  // namespace latticed::test
