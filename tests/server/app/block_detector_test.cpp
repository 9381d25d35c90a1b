// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/app/block_detector.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <thread>

namespace latticed {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kBlock = 4;

DetectorConfiguration small() {
  DetectorConfiguration out;
  out.geometry = {32, 16, PixelType::u16};
  out.exposure_s = out.frame_period_s = 0.01;
  out.pixel_size_nm = 0.02;
  return out;
}

struct Played {
  explicit Played(double rate_hz = 0.0, std::size_t frames = kBlock)
      : sut(small(), frames, rate_hz) {
    EXPECT_TRUE(sut.configure({}));
    EXPECT_TRUE(sut.arm());
    EXPECT_TRUE(sut.start());
  }
  /// Every pixel of frame i is `first` + i.
  void fill(std::uint8_t first) {
    for (std::size_t i = 0; i < sut.block(); ++i)
      std::memset(sut.frame(i).data(), first + static_cast<int>(i), sut.frame(i).size());
  }
  Result<FrameHeader> read(std::chrono::milliseconds timeout = 2000ms) {
    return sut.read_frame(pixels, timeout);
  }
  BlockDetector sut;
  std::vector<std::byte> pixels = std::vector<std::byte>(small().geometry.bytes());
};

TEST(BlockDetector, GivesNothingBeforeItsBlockIsPlayed) {
  Played played;
  const auto got = played.read(1ms);
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code, ErrorCode::timeout);
}

TEST(BlockDetector, GivesEveryFrameOfEveryBlockOnceAndThenWaits) {
  Played played;
  for (std::uint8_t block = 0; block < 3; ++block) {
    played.fill(static_cast<std::uint8_t>(10 * block));
    EXPECT_TRUE(played.sut.is_played());
    played.sut.play();
    for (std::size_t i = 0; i < kBlock; ++i) {
      EXPECT_FALSE(played.sut.is_played());
      const auto got = played.read();
      ASSERT_TRUE(got);
      EXPECT_EQ(got->kind, FrameKind::frame);
      EXPECT_EQ(got->hardware_sequence, block * kBlock + i);
      EXPECT_EQ(got->time_ns,
                static_cast<std::int64_t>(block * kBlock + i) * 10'000'000 + 5'000'000);
      EXPECT_EQ(played.pixels,
                std::vector<std::byte>(played.pixels.size(), std::byte(10 * block + i)));
    }
    EXPECT_TRUE(played.sut.is_played());
    EXPECT_FALSE(played.read(1ms));
  }
}

TEST(BlockDetector, EndsWhenItIsToldSoAndTheLastBlockWasRead) {
  Played played;
  played.fill(0);
  played.sut.play();
  played.sut.finish();
  for (std::size_t i = 0; i < kBlock; ++i) EXPECT_EQ(played.read()->kind, FrameKind::frame);
  EXPECT_EQ(played.read()->kind, FrameKind::end);
  EXPECT_EQ(played.read()->kind, FrameKind::end);
}

TEST(BlockDetector, EndsAtOnceWhenItIsStoppedWhileSomebodyWaits) {
  Played played;
  std::jthread other([&] { played.sut.stop(); });
  EXPECT_EQ(played.read(60s)->kind, FrameKind::end);
}

TEST(BlockDetector, AtARateNoFrameComesBeforeItsTime) {
  Played played(200.0);
  played.fill(0);
  const auto began = std::chrono::steady_clock::now();
  played.sut.play();
  for (std::size_t i = 0; i < kBlock; ++i) {
    ASSERT_TRUE(played.read());
    EXPECT_GE(std::chrono::steady_clock::now() - began, (i + 1) * 5ms);
  }
}

TEST(BlockDetector, AtARateWhatNobodyReadInTimeIsLostAndSaidToBe) {
  Played played(1e6, 40);  // all of the block is due at once
  played.fill(0);
  played.sut.play();
  std::this_thread::sleep_until(std::chrono::steady_clock::now() + 1ms);
  const auto lost = played.read();
  ASSERT_TRUE(lost);
  EXPECT_EQ(lost->kind, FrameKind::lost);
  EXPECT_EQ(lost->loss, LossReason::detector_overrun);
  EXPECT_EQ(lost->lost_count, 24u);
  for (std::uint64_t i = 24; i < 40; ++i) EXPECT_EQ(played.read()->hardware_sequence, i);
  EXPECT_FALSE(played.read(1ms));
}

TEST(BlockDetector, RefusesMemoryThatIsTooSmall) {
  Played played;
  played.sut.play();
  const auto got = played.sut.read_frame(std::span(played.pixels).first(10), 1ms);
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code, ErrorCode::invalid_argument);
}

}  // namespace
}  // namespace latticed
