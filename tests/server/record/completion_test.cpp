// SPDX-License-Identifier: GPL-3.0-or-later
// What a killed writer left, mended and judged. Kills themselves: killed_writers_test.py.
#include "server/record/completion.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "server/record/paths.hpp"
#include "server/record/recording.hpp"
#include "server/record/verify.hpp"
#include "tests/support/folder.hpp"
#include "tests/support/hdf5_reading.hpp"
#include "tests/support/recorded_run.hpp"

namespace latticed::test {
namespace {

using record::Recording;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class CompletionTest : public testing::Test {
 protected:
  /// A .part of `frames` frames with three lost ones after the fifth; nobody writes it any more.
  std::string part(std::uint64_t frames, bool is_flushed = true) {
    RecordedRun run;
    auto recording = std::move(*Recording::create(folder_.path(), run.facts()));
    for (std::uint64_t seq = 0; seq < frames; ++seq) {
      if (seq == 5) {
        EXPECT_TRUE(recording->add(*run.lost(5, 3)));
        seq = 8;
      }
      EXPECT_TRUE(recording->add(*run.frame(seq)));
    }
    if (is_flushed) {
      EXPECT_TRUE(recording->flush());
    }
    return recording->path();
  }
  /// Other bytes where the image of `row` lies.
  static void damage(const std::string& path, std::uint64_t row) {
    off_t at = 0;
    {
      const files::Handle file(H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT)),
          images(H5Dopen2(file, record::kImages, H5P_DEFAULT)), space(H5Dget_space(images));
      hsize_t offset[3] = {}, bytes = 0;
      haddr_t address = 0;
      std::uint32_t mask = 0;
      ASSERT_GE(H5Dget_chunk_info(images, space, row, offset, &mask, &address, &bytes), 0);
      at = static_cast<off_t>(address) + 40;
    }
    const int file = ::open(path.c_str(), O_WRONLY);
    ASSERT_EQ(::pwrite(file, "damaged", 7, at), 7);
    ::close(file);
  }
  static void mend_only(const std::string& path) { EXPECT_TRUE(record::Hdf5File::reopen(path)); }

  Folder folder_;
};

TEST_F(CompletionTest, RecoversEveryFlushedFrameAndSaysThatItDid) {
  const std::string path = part(40);
  EXPECT_FALSE(record::verify(path)->is_complete);
  const auto done = record::recover(path);
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(done->path, folder_ / "run.nxs");
  EXPECT_EQ(done->images, 37u);
  EXPECT_EQ(done->lost, 3u);
  EXPECT_EQ(done->cut + done->damaged, 0u);
  const auto found = record::verify(done->path);
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_THAT(found->problems, IsEmpty());
  EXPECT_TRUE(found->is_whole());
  EXPECT_TRUE(found->is_recovered);
  EXPECT_EQ(found->images, 37u);
  EXPECT_EQ(found->lost, 3u);
  EXPECT_EQ(found->bytes, 37u * 24 * 16 * 2);
}

TEST_F(CompletionTest, CutsDamagedImagesOffTheEndAndFlagsThoseBefore) {
  const std::string path = part(40);
  mend_only(path);
  for (const std::uint64_t row : {12, 35, 36}) damage(path, row);
  const auto done = record::recover(path);
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(done->images, 35u);
  EXPECT_EQ(done->cut, 2u);
  EXPECT_EQ(done->damaged, 1u);
  const ReadRecording file(done->path);
  const auto flags = file.info<std::uint32_t>("flags");
  ASSERT_EQ(flags.size(), 35u);
  for (std::size_t row = 0; row < flags.size(); ++row)
    EXPECT_EQ((flags[row] & record::kInfoDamaged) != 0, row == 12) << row;
  EXPECT_THAT(file.text("/entry/latticed/ended_by"), HasSubstr("2 incomplete images"));
  const auto found = record::verify(done->path);
  EXPECT_EQ(found->damaged, 1u);
  EXPECT_THAT(found->damaged_frames, ElementsAre(15u));
  EXPECT_FALSE(found->is_whole());
}

TEST_F(CompletionTest, ALookAtTheTailFindsWhatIsThere) {
  const std::string path = part(40);
  mend_only(path);
  damage(path, 36);
  record::RecoverOptions options;
  options.checks_all = false;
  const auto done = record::recover(path, options);
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(done->images, 36u);
}

TEST_F(CompletionTest, LeavesAFileAloneThatIsBeingWritten) {
  RecordedRun run;
  auto recording = std::move(*Recording::create(folder_.path(), run.facts()));
  ASSERT_TRUE(recording->add(*run.frame(0)));
  ASSERT_TRUE(recording->flush());
  const auto refused = record::recover(recording->path());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::failed_precondition);
  const auto found = record::verify(recording->path());
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_FALSE(found->is_complete);
  EXPECT_EQ(found->images, 1u);
  EXPECT_EQ(found->damaged, 0u);
  ASSERT_TRUE(recording->add(*run.frame(1)));
  ASSERT_TRUE(recording->finish({}));
  EXPECT_TRUE(record::verify(folder_ / "run.nxs")->is_whole());
}

TEST_F(CompletionTest, RefusesWhatIsNoRecordingAndSaysWhy) {
  std::ofstream(folder_ / "text.nxs.part") << "no file of HDF5";
  std::ofstream(folder_ / "empty.nxs.part");
  for (const char* name : {"text.nxs.part", "empty.nxs.part"}) {
    const auto refused = record::recover(folder_ / name);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::data_loss);
    EXPECT_THAT(refused.error().message, HasSubstr(name));
    EXPECT_FALSE(record::verify(folder_ / name));
  }
  EXPECT_EQ(record::verify(folder_ / "missing").error().code, ErrorCode::unavailable);
  {
    const record::Handle other(
        H5Fcreate((folder_ / "other.h5").c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT));
  }
  EXPECT_THAT(record::verify(folder_ / "other.h5").error().message, HasSubstr("no recording of"));
}

}  // namespace
}  // namespace latticed::test
