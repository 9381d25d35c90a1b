// SPDX-License-Identifier: GPL-3.0-or-later
#include "drivers/files/tiff_reader.hpp"

#include <gtest/gtest.h>

#include "tests/support/movie_checks.hpp"

namespace latticed::test {
namespace {

class TiffReader : public testing::Test {
 protected:
  std::string write(const Bytes& bytes) { return write_bytes(folder_ / "movie.tif", bytes); }

  template <class T>
  void expect_read(std::uint16_t format, PixelType type) {
    for (const bool is_big_endian : {false, true}) {
      const auto sut = opened(write(tiff_bytes<T>({9, 6, 4, is_big_endian}, format)));
      ASSERT_NE(sut, nullptr);
      EXPECT_EQ(sut->info().format, "tiff");
      EXPECT_EQ(sut->info().geometry, (FrameGeometry{9, 6, type}));
      ASSERT_EQ(sut->info().frame_count, 4u);
      for (int i = 0; i < 4; ++i) expect_frame(*sut, static_cast<std::uint64_t>(i), i);
    }
  }

  TemporaryFolder folder_;
};

TEST_F(TiffReader, ReadsEveryNumberTypeInBothByteOrders) {
  expect_read<std::uint8_t>(1, PixelType::u8);
  expect_read<std::int8_t>(2, PixelType::i8);
  expect_read<std::uint16_t>(1, PixelType::u16);
  expect_read<std::int16_t>(2, PixelType::i16);
  expect_read<std::uint32_t>(1, PixelType::u32);
  expect_read<std::int32_t>(2, PixelType::i32);
  expect_read<float>(3, PixelType::f32);
  expect_read<double>(3, PixelType::f32);
  expect_read<std::uint64_t>(1, PixelType::f32);
}

TEST_F(TiffReader, ReadsFramesInAnyOrder) {
  const auto sut = opened(write(tiff_bytes<std::uint16_t>({}, 1)));
  for (const int i : {3, 0, 2, 2, 1}) expect_frame(*sut, static_cast<std::uint64_t>(i), i);
}

TEST_F(TiffReader, ReadsImagejStacksOfOneDirectoryWithTheFramesBehindEachOther) {
  Bytes bytes = tiff_bytes<std::uint16_t>({9, 6, 1}, 1, "ImageJ=1.53t\nimages=4\nfinterval=0.25\n");
  for (int i = 1; i < 4; ++i) put_frame<std::uint16_t>(bytes, bytes.size(), {}, i);
  const auto sut = opened(write(bytes));
  ASSERT_EQ(sut->info().frame_count, 4u);
  EXPECT_EQ(sut->info().frame_period_s, 0.25);
  for (int i = 0; i < 4; ++i) expect_frame(*sut, static_cast<std::uint64_t>(i), i);
  bytes.resize(bytes.size() - 9 * 6 * 2 - 5);
  const auto cut = opened(write(bytes));
  ASSERT_EQ(cut->info().frame_count, 4u);
  expect_frame(*cut, 1, 1);
  expect_lost(*cut, 2, LossReason::truncated);
}

TEST_F(TiffReader, GivesTheImagesBeforeTheChainBreaksOff) {
  Bytes bytes = tiff_bytes<std::uint16_t>({}, 1);
  bytes.resize(bytes.size() / 2 + 20);
  const auto sut = opened(write(bytes));
  ASSERT_NE(sut, nullptr);
  EXPECT_GE(sut->info().frame_count, 2u);
  ASSERT_EQ(sut->info().remarks.size(), 1u);
  expect_frame(*sut, 0, 0);
  expect_lost(*sut, sut->info().frame_count - 1, LossReason::truncated);
}

TEST_F(TiffReader, EndsAChainThatComesBackToItself) {
  const SmallMovie small{9, 6, 2};
  Bytes bytes = tiff_bytes<std::uint16_t>(small, 1);
  const auto first = bytes[4];
  const std::size_t end_of_second = bytes.size() - 9 * 6 * 2;
  put(bytes, end_of_second - 4, std::uint32_t{first});
  const auto sut = opened(write(bytes));
  ASSERT_NE(sut, nullptr);
  EXPECT_EQ(sut->info().frame_count, 3u);
  EXPECT_NE(sut->info().remarks.at(0).find("comes back"), std::string::npos);
  expect_frame(*sut, 1, 1);
}

TEST_F(TiffReader, CallsAnImageOfAnotherSizeWrongAndReadsTheRest) {
  Bytes bytes = tiff_bytes<std::uint16_t>({}, 1);
  const std::size_t frame_bytes = 9 * 6 * 2 + 2 + 9 * 12 + 4 + 4;  // with directory and gap
  const std::size_t height_of_second = 8 + frame_bytes + 2 + 12 + 8;
  ASSERT_EQ(bytes[height_of_second], 6);
  bytes[height_of_second] = 5;
  const auto sut = opened(write(bytes));
  expect_frame(*sut, 0, 0);
  expect_lost(*sut, 1, LossReason::wrong_size);
  expect_frame(*sut, 2, 2);
}

TEST_F(TiffReader, RefusesWhatIsNoStackOfGreyImages) {
  Bytes bytes = tiff_bytes<std::uint16_t>({}, 1);
  Bytes colour = bytes;
  put(colour, 8 + 2 + 2 * 12, std::uint16_t{277});  // bits per sample becomes samples per pixel
  put(colour, 8 + 2 + 2 * 12 + 8, std::uint16_t{3});
  expect_refused(write(colour), ErrorCode::invalid_argument, "3 samples of 1 bits");
  put(bytes, 4, std::uint32_t{0});
  expect_refused(write(bytes), ErrorCode::data_loss, "no image in this tiff file");
  put(bytes, 4, std::uint32_t{0x7fffffff});
  expect_refused(write(bytes), ErrorCode::data_loss, "no whole directory at byte 2147483647");
}

}  // namespace
}  // namespace latticed::test
