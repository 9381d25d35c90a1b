// SPDX-License-Identifier: GPL-3.0-or-later
#include "drivers/files/mrc_reader.hpp"

#include <gtest/gtest.h>

#include "tests/support/movie_checks.hpp"

namespace latticed::test {
namespace {

class MrcReader : public testing::Test {
 protected:
  std::string write(const Bytes& bytes) { return write_bytes(folder_ / "movie.mrc", bytes); }

  template <class T>
  void expect_read(const SmallMovie& small, std::int32_t mode, PixelType type) {
    const auto sut = opened(write(mrc_bytes<T>(small, mode)));
    ASSERT_NE(sut, nullptr);
    EXPECT_EQ(sut->info().format, "mrc");
    EXPECT_EQ(sut->info().geometry, (FrameGeometry{small.width, small.height, type}));
    ASSERT_EQ(sut->info().frame_count, static_cast<std::uint64_t>(small.frames));
    EXPECT_TRUE(sut->info().remarks.empty());
    for (int i = 0; i < small.frames; ++i) expect_frame(*sut, static_cast<std::uint64_t>(i), i);
  }

  TemporaryFolder folder_;
};

TEST_F(MrcReader, ReadsEveryModeInLittleEndian) {
  expect_read<std::int8_t>({}, 0, PixelType::i8);
  expect_read<std::int16_t>({}, 1, PixelType::i16);
  expect_read<float>({}, 2, PixelType::f32);
  expect_read<std::uint16_t>({}, 6, PixelType::u16);
}

TEST_F(MrcReader, ReadsEveryModeInBigEndian) {
  const SmallMovie small{9, 6, 4, true};
  expect_read<std::int8_t>(small, 0, PixelType::i8);
  expect_read<std::int16_t>(small, 1, PixelType::i16);
  expect_read<float>(small, 2, PixelType::f32);
  expect_read<std::uint16_t>(small, 6, PixelType::u16);
}

TEST_F(MrcReader, ReadsHalfPrecisionAsFloats) {
  Bytes bytes = mrc_bytes<std::uint16_t>({2, 1, 1}, 12);
  put(bytes, 1024, std::uint16_t{0x3c00});  // 1
  put(bytes, 1026, std::uint16_t{0xc100});  // -2.5
  const auto sut = opened(write(bytes));
  ASSERT_NE(sut, nullptr);
  std::vector<std::byte> pixels(8);
  ASSERT_TRUE(sut->read(0, pixels));
  EXPECT_EQ(pixel_at(pixels, PixelType::f32, 0), 1.0);
  EXPECT_EQ(pixel_at(pixels, PixelType::f32, 1), -2.5);
}

TEST_F(MrcReader, TakesTheByteOrderFromTheModeWhereThereIsNoStamp) {
  for (const bool is_big_endian : {false, true}) {
    Bytes bytes = mrc_bytes<std::uint16_t>({9, 6, 4, is_big_endian}, 6);
    std::fill(bytes.begin() + 208, bytes.begin() + 216, static_cast<unsigned char>(0));
    const auto sut = opened(write(bytes));
    ASSERT_NE(sut, nullptr);
    expect_frame(*sut, 3, 3);
  }
}

TEST_F(MrcReader, LetsImodsFlagAndTheStatisticsDecideWhatABytesSignIs) {
  Bytes bytes = mrc_bytes<std::int8_t>({}, 0);
  put(bytes, 152, std::int32_t{1146047817});
  EXPECT_EQ(opened(write(bytes))->info().geometry.type, PixelType::u8);
  put(bytes, 156, std::int32_t{1});
  EXPECT_EQ(opened(write(bytes))->info().geometry.type, PixelType::i8);
  put(bytes, 152, std::int32_t{0});
  put(bytes, 80, 200.0f);  // maximum
  EXPECT_EQ(opened(write(bytes))->info().geometry.type, PixelType::u8);
}

TEST_F(MrcReader, SkipsTheExtendedHeader) {
  const auto sut = opened(write(mrc_bytes<std::uint16_t>({}, 6, 768)));
  ASSERT_NE(sut, nullptr);
  expect_frame(*sut, 0, 0);
}

TEST_F(MrcReader, TakesThePixelSizeFromTheCellWhenItIsALength) {
  Bytes bytes = mrc_bytes<std::uint16_t>({}, 6);
  EXPECT_NEAR(opened(write(bytes))->info().pixel_size_nm, 0.1, 1e-7);
  put(bytes, 40, -9.0f);
  EXPECT_EQ(opened(write(bytes))->info().pixel_size_nm, 0.0);
  put(bytes, 40, 18.0f);  // x and y differ
  EXPECT_EQ(opened(write(bytes))->info().pixel_size_nm, 0.0);
  put(bytes, 28, std::int32_t{0});  // cell over nothing
  EXPECT_EQ(opened(write(bytes))->info().pixel_size_nm, 0.0);
}

TEST_F(MrcReader, BelievesTheFilesLengthWhenTheHeaderCountsTooFew) {
  for (const std::int32_t count : {0, 1, -5}) {
    Bytes bytes = mrc_bytes<std::uint16_t>({}, 6);
    put(bytes, 8, count);
    const auto sut = opened(write(bytes));
    ASSERT_NE(sut, nullptr);
    EXPECT_EQ(sut->info().frame_count, 4u);
    EXPECT_EQ(sut->info().remarks.size(), 1u);
    expect_frame(*sut, 3, 3);
  }
}

TEST_F(MrcReader, GivesTheFramesThereAreAndCountsThoseCutOffAsTruncated) {
  Bytes bytes = mrc_bytes<std::uint16_t>({}, 6);
  bytes.resize(1024 + 2 * 9 * 6 * 2 + 17);
  const auto sut = opened(write(bytes));
  ASSERT_NE(sut, nullptr);
  ASSERT_EQ(sut->info().frame_count, 4u);
  ASSERT_EQ(sut->info().remarks.size(), 1u);
  EXPECT_NE(sut->info().remarks[0].find("17 bytes of another"), std::string::npos);
  expect_frame(*sut, 1, 1);
  expect_lost(*sut, 2, LossReason::truncated);
  expect_lost(*sut, 3, LossReason::truncated);
  expect_frame(*sut, 0, 0);
}

TEST_F(MrcReader, DoesNotBelieveAnAbsurdCount) {
  Bytes bytes = mrc_bytes<std::uint16_t>({}, 6);
  put(bytes, 8, std::int32_t{2'000'000'000});
  EXPECT_EQ(opened(write(bytes))->info().frame_count, 4u);
}

TEST_F(MrcReader, RefusesHeadersThatCannotBe) {
  const Bytes good = mrc_bytes<std::uint16_t>({}, 6);
  const auto refused = [&](std::size_t at, std::int32_t value, ErrorCode code,
                           const std::string& words) {
    Bytes bytes = good;
    put(bytes, at, value);
    expect_refused(write(bytes), code, words);
  };
  refused(0, 0, ErrorCode::invalid_argument, "0 x 6 pixels");
  refused(0, -9, ErrorCode::invalid_argument, "-9 x 6 pixels");
  refused(4, 2'147'483'647, ErrorCode::invalid_argument, "expected 1 to 65536");
  refused(0, 60000, ErrorCode::data_loss, "first frame needs 720000 at 1024");
  refused(12, 4, ErrorCode::invalid_argument, "mrc mode 4, expected 0, 1, 2, 6 or 12");
  refused(92, -1, ErrorCode::invalid_argument, "extended mrc header of -1 bytes");
  refused(92, 2'000'000'000, ErrorCode::data_loss, "at 2000001024");
  Bytes huge = good;
  put(huge, 0, std::int32_t{65536});
  put(huge, 4, std::int32_t{65536});
  expect_refused(write(huge), ErrorCode::invalid_argument, "limit 1073741824");
  expect_refused(write(Bytes(good.begin(), good.begin() + 700)), ErrorCode::data_loss, "1024");
}

TEST_F(MrcReader, RefusesReadsOutOfRangeAndBuffersTooSmall) {
  const auto sut = opened(write(mrc_bytes<std::uint16_t>({}, 6)));
  std::vector<std::byte> pixels(sut->info().geometry.bytes());
  EXPECT_EQ(sut->read(4, pixels).error().code, ErrorCode::out_of_range);
  pixels.pop_back();
  EXPECT_EQ(sut->read(0, pixels).error().code, ErrorCode::invalid_argument);
}

}  // namespace
}  // namespace latticed::test
