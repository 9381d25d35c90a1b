// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/record/image_check.hpp"

#include <gtest/gtest.h>

#include "server/record/paths.hpp"
#include "server/record/reading.hpp"
#include "server/record/recording.hpp"
#include "server/record/totals.hpp"
#include "tests/support/folder.hpp"
#include "tests/support/recorded_run.hpp"

namespace latticed::test {
namespace {

using record::Handle;

class ImageCheckTest : public testing::Test {
 protected:
  std::string written(RecordingProfile profile) {
    RecordedRun run;
    run.facts().profile = profile;
    auto recording = std::move(*record::Recording::create(folder_.path(), run.facts()));
    for (std::uint64_t seq = 0; seq < 5; ++seq) EXPECT_TRUE(recording->add(*run.frame(seq)));
    return *recording->finish({});
  }
  Folder folder_;
};

TEST_F(ImageCheckTest, KnowsWhatWasRecordedOfEveryProfile) {
  for (const auto profile : {RecordingProfile::portable, RecordingProfile::compact}) {
    const std::string path = written(profile);
    const Handle file(H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT));
    auto sut = record::ImageCheck::open(file);
    ASSERT_TRUE(sut) << sut.error().message;
    EXPECT_EQ(sut->images(), 5u);
    for (std::uint64_t row = 0; row < 5; ++row) EXPECT_TRUE(sut->is_as_recorded(row));
    EXPECT_FALSE(sut->is_as_recorded(5));
  }
}

// Whoever repacks a file with another filter keeps the checksums.
TEST_F(ImageCheckTest, ReadsImagesOfOtherFiltersThroughHdf5) {
  const std::string path = written(RecordingProfile::portable);
  const Handle file(H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT));
  std::vector<std::uint16_t> pixels(5 * 24 * 16);
  {
    const Handle images(H5Dopen2(file, record::kImages, H5P_DEFAULT));
    H5Dread(images, H5T_NATIVE_UINT16, H5S_ALL, H5S_ALL, H5P_DEFAULT, pixels.data());
  }
  H5Ldelete(file, "/Experiments/frames/data", H5P_DEFAULT);
  H5Ldelete(file, record::kImages, H5P_DEFAULT);
  const hsize_t extent[] = {5, 16, 24}, chunk[] = {2, 16, 24};
  const Handle space(H5Screate_simple(3, extent, nullptr)), plan(H5Pcreate(H5P_DATASET_CREATE));
  H5Pset_chunk(plan, 3, chunk);
  H5Pset_deflate(plan, 1);
  const Handle again(
      H5Dcreate2(file, record::kImages, H5T_STD_U16LE, space, H5P_DEFAULT, plan, H5P_DEFAULT));
  ++pixels[4 * 24 * 16];
  ASSERT_GE(H5Dwrite(again, H5T_NATIVE_UINT16, H5S_ALL, H5S_ALL, H5P_DEFAULT, pixels.data()), 0);
  auto sut = record::ImageCheck::open(file);
  ASSERT_TRUE(sut) << sut.error().message;
  for (std::uint64_t row = 0; row < 5; ++row) EXPECT_EQ(sut->is_as_recorded(row), row != 4);
}

TEST_F(ImageCheckTest, RowsAreCountedAndCutTogether) {
  const std::string path = written(RecordingProfile::portable);
  const Handle file(H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT));
  EXPECT_EQ(record::complete_images(file).value(), 5u);
  const std::string ids = std::string(record::kFrameInfo) + "/frame_id";
  {
    const Handle column(H5Dopen2(file, ids.c_str(), H5P_DEFAULT));
    const hsize_t three = 3;
    H5Dset_extent(column, &three);
  }
  EXPECT_EQ(record::complete_images(file).value(), 3u);
  ASSERT_TRUE(record::cut_images(file, 2));
  EXPECT_EQ(record::rows_of(file, record::kImages), 2u);
  EXPECT_EQ(record::read_column<std::uint64_t>(file, ids), (std::vector<std::uint64_t>{0, 1}));
  EXPECT_TRUE(record::read_column<std::uint64_t>(file, "/missing").empty());
  EXPECT_FALSE(record::rows_of(file, "/missing"));
}

}  // namespace
}  // namespace latticed::test
