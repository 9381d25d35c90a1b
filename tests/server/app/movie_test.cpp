// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/app/movie.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "tests/support/scripted_detector.hpp"

namespace latticed::test {
namespace {

using testing::Each;
using testing::HasSubstr;

constexpr FrameGeometry kSmall{4, 3, PixelType::u16};

ScriptedDetector playing(const Script& script, FrameGeometry geometry = kSmall) {
  return {script, geometry, [](std::uint64_t n, std::span<std::byte> pixels) {
            const auto value = static_cast<std::uint16_t>(100 + n);
            for (std::size_t i = 0; i < pixels.size(); i += 2)
              std::memcpy(pixels.data() + i, &value, 2);
          }};
}

TEST(Movie, HasTheDetectorsFirstFrames) {
  ScriptedDetector detector = playing(Script().frames(5));
  const auto movie = take_movie(detector, 3);
  ASSERT_TRUE(movie) << movie.error().message;
  EXPECT_EQ(movie->configuration.geometry.width, 4);
  ASSERT_EQ(movie->pictures.size(), 3u);
  for (std::uint16_t i = 0; i < 3; ++i) {
    EXPECT_EQ(movie->pictures[i].size(), 12u);
    EXPECT_THAT(movie->pictures[i], Each(100 + i));
  }
}

TEST(Movie, IsNotMadeOfFewerFramesThanWereWanted) {
  ScriptedDetector detector = playing(Script().frames(2));
  const auto movie = take_movie(detector, 3);
  ASSERT_FALSE(movie);
  EXPECT_EQ(movie.error().code, ErrorCode::data_loss);
  EXPECT_THAT(movie.error().message, HasSubstr("ended after 2 of 3"));
}

TEST(Movie, HasNoPictureWhereAFrameWasLost) {
  ScriptedDetector detector =
      playing(Script().frames(1).lost(1, LossReason::detector_overrun).frames(5));
  const auto movie = take_movie(detector, 3);
  ASSERT_FALSE(movie);
  EXPECT_EQ(movie.error().code, ErrorCode::data_loss);
  EXPECT_THAT(movie.error().message, HasSubstr("lost after 1 of 3"));
}

TEST(Movie, SaysWhatTheDetectorSaysWasWrong) {
  ScriptedDetector detector = playing(Script().frames(1).fault("the world is gone"));
  const auto movie = take_movie(detector, 3);
  ASSERT_FALSE(movie);
  EXPECT_THAT(movie.error().message, HasSubstr("the world is gone"));
}

TEST(Movie, IsOfWholeNumbersOfSixteenBits) {
  ScriptedDetector detector = playing(Script().frames(3), {4, 3, PixelType::f32});
  const auto movie = take_movie(detector, 3);
  ASSERT_FALSE(movie);
  EXPECT_EQ(movie.error().code, ErrorCode::invalid_argument);
}

}  // namespace
}  // namespace latticed::test
