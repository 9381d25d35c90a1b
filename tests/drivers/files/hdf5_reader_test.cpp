// SPDX-License-Identifier: GPL-3.0-or-later
#include "drivers/files/hdf5_reader.hpp"

#include <gtest/gtest.h>

#include "tests/support/hdf5_writers.hpp"
#include "tests/support/movie_checks.hpp"

namespace latticed::test {
namespace {

class Hdf5Reader : public testing::Test {
 protected:
  std::string write(const std::function<void(hid_t)>& fill) {
    return write_hdf5(folder_ / "movie.hspy", fill);
  }
  std::string write_stack(const StackStorage& storage) {
    return write([&](hid_t file) { put_stack(file, "stack", {}, storage); });
  }
  /// The file again without its last `bytes`.
  std::string cut(const std::string& path, std::size_t bytes) {
    Bytes all = read_bytes(path);
    all.resize(all.size() - bytes);
    return write_bytes(folder_ / "cut.hspy", all);
  }

  TemporaryFolder folder_;
};

TEST_F(Hdf5Reader, ReadsHyperspysLayoutWithItsScales) {
  const auto sut = opened(write([](hid_t file) { fill_hspy(file, {}); }));
  ASSERT_NE(sut, nullptr);
  EXPECT_EQ(sut->info().format, "hspy");
  EXPECT_EQ(sut->info().geometry, (FrameGeometry{9, 6, PixelType::u16}));
  EXPECT_EQ(sut->info().frame_count, 4u);
  EXPECT_DOUBLE_EQ(sut->info().pixel_size_nm, 0.02);
  EXPECT_DOUBLE_EQ(sut->info().frame_period_s, 0.04);
  for (const int i : {0, 3, 1}) expect_frame(*sut, static_cast<std::uint64_t>(i), i);
}

TEST_F(Hdf5Reader, TakesReciprocalUnitsForNoPixelSize) {
  const auto diffraction = write([](hid_t file) { fill_hspy(file, {}, {}, "1/nm"); });
  EXPECT_EQ(opened(diffraction)->info().pixel_size_nm, 0.0);
  const auto angstrom = write([](hid_t file) { fill_hspy(file, {}, {}, "\xC3\x85"); });
  EXPECT_DOUBLE_EQ(opened(angstrom)->info().pixel_size_nm, 0.002);
}

TEST_F(Hdf5Reader, TakesTheLargestOfSeveralSignals) {
  const auto sut = opened(write([](hid_t file) {
    fill_hspy(file, {});
    const hid_t other = new_group(file, "/Experiments/a_preview");
    put_stack(other, "data", {5, 5, 1});
    H5Gclose(other);
  }));
  EXPECT_EQ(sut->info().geometry.width, 9);
}

TEST_F(Hdf5Reader, FollowsNexusDefaultsToTheSignalAndItsAxes) {
  const auto sut = opened(write([](hid_t file) {
    const hid_t entry = new_group(file, "/entry");
    const hid_t images = new_group(entry, "images");
    const hid_t larger = new_group(entry, "another");
    put_text(file, "default", "entry");
    put_text(entry, "NX_class", "NXentry");
    put_text(entry, "default", "images");
    for (const hid_t group : {images, larger}) {
      put_text(group, "NX_class", "NXdata");
      put_text(group, "signal", "real");
    }
    put_text_list(images, "axes", {"time", "y", "x"});
    put_stack(images, "real", {});
    put_stack(larger, "real", {20, 20, 4});
    put_axis(images, "time", 4, 0.5, "s");
    put_axis(images, "y", 6, 20.0, "pm");
    put_axis(images, "x", 9, 20.0, "pm");
    for (const hid_t group : {larger, images, entry}) H5Gclose(group);
  }));
  ASSERT_NE(sut, nullptr);
  EXPECT_EQ(sut->info().format, "nexus");
  EXPECT_EQ(sut->info().geometry.width, 9);
  EXPECT_NEAR(sut->info().pixel_size_nm, 0.02, 1e-12);
  EXPECT_DOUBLE_EQ(sut->info().frame_period_s, 0.5);
  expect_frame(*sut, 2, 2);
}

TEST_F(Hdf5Reader, ReadsTheTimesOfOurOwnRecordings) {
  const auto sut = opened(write([](hid_t file) {
    const hid_t event = new_group(file, "/entry/measurement/event1");
    const hid_t images = new_group(event, "image1/stack_2d");
    const hid_t info = new_group(event, "frame_info");
    put_text(images, "NX_class", "NXdata");
    put_text(images, "signal", "real");
    put_stack(images, "real", {});
    put_axis(info, "time", 4, 0.25, "s");  // from 5 s on
    const hid_t time = H5Dopen2(info, "time", H5P_DEFAULT);
    put_text(time, "start", "2026-03-01T12:00:00.5+01:00");
    H5Dclose(time);
    for (const hid_t group : {info, images, event}) H5Gclose(group);
  }));
  ASSERT_NE(sut, nullptr);
  ASSERT_EQ(sut->info().time_ns.size(), 4u);
  EXPECT_EQ(sut->info().time_ns[0], 1'772'362'805'500'000'000);
  EXPECT_EQ(sut->info().time_ns[1] - sut->info().time_ns[0], 250'000'000);
  EXPECT_DOUBLE_EQ(sut->info().frame_period_s, 0.25);
}

TEST_F(Hdf5Reader, ReadsTheLargestStackOfAFileWithoutALayout) {
  const auto sut = opened(write([](hid_t file) {
    put_stack(file, "small", {3, 3, 2});
    const hid_t group = new_group(file, "/somewhere/deep");
    put_stack(group, "movie", {});
    H5Gclose(group);
  }));
  EXPECT_EQ(sut->info().format, "hdf5");
  expect_frame(*sut, 3, 3);
}

TEST_F(Hdf5Reader, ReadsEveryNumberTypeAndConvertsTheWideOnes) {
  const std::pair<hid_t, PixelType> cases[] = {
      {H5T_STD_U8LE, PixelType::u8},    {H5T_STD_I8BE, PixelType::i8},
      {H5T_STD_U16BE, PixelType::u16},  {H5T_STD_I16LE, PixelType::i16},
      {H5T_STD_U32LE, PixelType::u32},  {H5T_STD_I32BE, PixelType::i32},
      {H5T_STD_U64LE, PixelType::f32},  {H5T_STD_I64BE, PixelType::f32},
      {H5T_IEEE_F32BE, PixelType::f32}, {H5T_IEEE_F64LE, PixelType::f32}};
  for (const auto& [type, pixel] : cases) {
    const auto sut = opened(write_stack({type}));
    ASSERT_NE(sut, nullptr);
    EXPECT_EQ(sut->info().geometry.type, pixel);
    expect_frame(*sut, 1, 1);
  }
}

TEST_F(Hdf5Reader, ReadsChunksOfSeveralFramesAndCompressedOnes) {
  for (const hsize_t per_chunk : {1, 3, 4}) {
    const auto sut = opened(write_stack({H5T_STD_U16LE, per_chunk, 4}));
    for (const int i : {0, 2, 3}) expect_frame(*sut, static_cast<std::uint64_t>(i), i);
  }
}

TEST_F(Hdf5Reader, GivesTheFramesBeforeTheCutWhateverTheStorage) {
  for (const StackStorage& storage :
       {StackStorage{}, StackStorage{H5T_STD_U16LE, 1}, StackStorage{H5T_STD_U16LE, 1, 4}}) {
    const auto sut = opened(cut(write_stack(storage), 30));
    ASSERT_NE(sut, nullptr);
    ASSERT_EQ(sut->info().frame_count, 4u);
    ASSERT_EQ(sut->info().remarks.size(), 1u);
    EXPECT_NE(sut->info().remarks[0].find("truncated file"), std::string::npos);
    for (const int i : {0, 1, 2}) expect_frame(*sut, static_cast<std::uint64_t>(i), i);
    expect_lost(*sut, 3, LossReason::truncated);
  }
}

TEST_F(Hdf5Reader, DoesNotTakeFramesThatWereNeverWrittenForBlackOnes) {
  const auto sut = opened(write_stack({H5T_STD_U16LE, 1, 0, 2}));
  expect_frame(*sut, 1, 1);
  expect_lost(*sut, 2, LossReason::unreadable);
}

TEST_F(Hdf5Reader, CallsAFrameUnreadableWhoseCompressedBytesAreDamagedAndReadsTheRest) {
  const std::string path = write_stack({H5T_STD_U16LE, 1, 4});
  Bytes bytes = read_bytes(path);
  for (std::size_t i = bytes.size() - 40; i < bytes.size() - 20; ++i) bytes[i] ^= 0x55;
  const auto sut = opened(write_bytes(path, bytes));
  expect_frame(*sut, 0, 0);
  expect_lost(*sut, 3, LossReason::unreadable);
  expect_frame(*sut, 2, 2);
}

TEST_F(Hdf5Reader, RefusesFilesWithoutImages) {
  expect_refused(write([](hid_t file) { put_axis(file, "only", 5, 1.0, "nm"); }),
                 ErrorCode::invalid_argument, "no images in this hdf5 file");
  const std::string path = write([](hid_t file) { fill_hspy(file, {}); });
  Bytes bytes = read_bytes(path);
  bytes.resize(100);
  expect_refused(write_bytes(path, bytes), ErrorCode::data_loss, "not a whole hdf5 file");
}

TEST_F(Hdf5Reader, PrintsNothingOfHdf5sOwn) {
  const std::string path = cut(write_stack({}), 2000);
  testing::internal::CaptureStderr();
  read_all(path);
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

}  // namespace
}  // namespace latticed::test
