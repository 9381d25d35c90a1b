// SPDX-License-Identifier: GPL-3.0-or-later
// Files of real instruments and their vendors' software, with what HyperSpy reads from them.
#include <gtest/gtest.h>

#include "tests/support/movie_checks.hpp"
#include "tests/support/shared_data.hpp"

namespace latticed::test {
namespace {

double sum_of(MovieReader& movie) {
  std::vector<std::byte> pixels(movie.info().geometry.bytes());
  double sum = 0.0;
  for (std::uint64_t frame = 0; frame < movie.info().frame_count; ++frame) {
    const auto read = movie.read(frame, pixels);
    EXPECT_TRUE(read) << read.error().message;
    for (std::size_t i = 0; i < movie.info().geometry.pixels(); ++i) {
      sum += pixel_at(pixels, movie.info().geometry.type, i);
    }
  }
  return sum;
}

TEST(RealFiles, TheDriftingLatticeReadsAsHyperspyReadsIt) {
  const std::string path = shared_data("stem_abf_data_imagestack.hspy");
  LATTICED_NEEDS_FILE(path);
  const auto sut = opened(path);
  ASSERT_NE(sut, nullptr);
  EXPECT_EQ(sut->info().geometry, (FrameGeometry{512, 512, PixelType::u16}));
  EXPECT_EQ(sut->info().frame_count, 5u);
  EXPECT_NEAR(sut->info().pixel_size_nm, 0.0092024, 1e-7);
  EXPECT_EQ(sut->info().frame_period_s, 0.0);
  EXPECT_EQ(sum_of(*sut), 47255893213.0);
}

TEST(RealFiles, TheDirectDetectorsMovieReadsWithoutItsSideFiles) {
  const std::string path = shared_data("formats/Custom_movie.mrc");
  LATTICED_NEEDS_FILE(path);
  const auto sut = opened(path);
  ASSERT_NE(sut, nullptr);
  EXPECT_EQ(sut->info().geometry, (FrameGeometry{16, 16, PixelType::u16}));
  EXPECT_EQ(sut->info().frame_count, 30u);
  EXPECT_EQ(sut->info().pixel_size_nm, 0.0);  // its cell is negative
  EXPECT_EQ(sum_of(*sut), 9006430.0);
}

TEST(RealFiles, TheVeloxStackHasItsFramesLast) {
  const std::string path = shared_data("formats/fei_example_tem_stack.emd");
  LATTICED_NEEDS_FILE(path);
  const auto sut = opened(path);
  ASSERT_NE(sut, nullptr);
  EXPECT_EQ(sut->info().frame_count, 2u);
  EXPECT_EQ(sut->info().geometry.width, 3);
  EXPECT_EQ(sum_of(*sut), 153.0);
}

}  // namespace
}  // namespace latticed::test
