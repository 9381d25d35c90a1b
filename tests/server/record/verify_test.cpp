// SPDX-License-Identifier: GPL-3.0-or-later
// That verify() finds what is wrong; of whole and of recovered files see completion_test.cpp.
#include "server/record/verify.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/record/paths.hpp"
#include "server/record/recording.hpp"
#include "tests/support/folder.hpp"
#include "tests/support/recorded_run.hpp"

namespace latticed::test {
namespace {

using record::Handle;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class VerifyTest : public testing::Test {
 protected:
  VerifyTest() {
    RecordedRun run;
    run.facts().profile = RecordingProfile::compact;
    auto recording = std::move(*record::Recording::create(folder_.path(), run.facts()));
    for (const std::uint64_t seq : {0, 1, 2, 6, 7}) {
      if (seq == 6) {
        EXPECT_TRUE(recording->add(*run.lost(3, 3)));
      }
      EXPECT_TRUE(recording->add(*run.frame(seq)));
    }
    path_ = *recording->finish({});
  }
  record::Verification found() const { return *record::verify(path_); }
  template <class Value>
  void change(const std::string& dataset, hsize_t row, Value value) const {
    const Handle file(H5Fopen(path_.c_str(), H5F_ACC_RDWR, H5P_DEFAULT)),
        there(H5Dopen2(file, dataset.c_str(), H5P_DEFAULT)), space(H5Dget_space(there));
    const hsize_t one = 1;
    const Handle memory(H5Screate_simple(1, &one, nullptr));
    H5Sselect_hyperslab(space, H5S_SELECT_SET, &row, nullptr, &one, nullptr);
    ASSERT_GE(H5Dwrite(there, record::native_type<Value>(), memory, space, H5P_DEFAULT, &value), 0);
  }
  void cut(const std::string& dataset, hsize_t rows) const {
    const Handle file(H5Fopen(path_.c_str(), H5F_ACC_RDWR, H5P_DEFAULT)),
        there(H5Dopen2(file, dataset.c_str(), H5P_DEFAULT));
    ASSERT_GE(H5Dset_extent(there, &rows), 0);
  }

  Folder folder_;
  std::string path_;
  const std::string info_ = std::string(record::kFrameInfo) + "/";
};

TEST_F(VerifyTest, FindsNothingWrongWithAWholeFile) {
  std::vector<std::uint64_t> told;
  const auto whole = record::verify(path_, [&](auto done, auto) {
    told.push_back(done);
    return true;
  });
  ASSERT_TRUE(whole);
  EXPECT_THAT(whole->problems, IsEmpty());
  EXPECT_TRUE(whole->is_whole());
  EXPECT_FALSE(whole->is_recovered);
  EXPECT_EQ(whole->images, 5u);
  EXPECT_EQ(whole->lost, 3u);
  EXPECT_THAT(told, ElementsAre(0u));
  const auto given_up = record::verify(path_, [](auto, auto) { return false; });
  ASSERT_FALSE(given_up);
  EXPECT_EQ(given_up.error().code, ErrorCode::cancelled);
}

TEST_F(VerifyTest, NamesImagesThatAreNotWhatWasRecorded) {
  change<std::uint32_t>(info_ + "crc32c", 3, 1);
  EXPECT_THAT(found().damaged_frames, ElementsAre(6u));
  EXPECT_THAT(found().problems, ElementsAre(HasSubstr("frames 6")));
}

TEST_F(VerifyTest, NamesFramesThatAreNowhereOrTwice) {
  change<std::uint64_t>(info_ + "frame_id", 3, 7);
  change<std::uint64_t>(info_ + "frame_id", 4, 8);
  EXPECT_THAT(found().problems, ElementsAre(HasSubstr("frames 6 to 6 are neither")));
  change<std::uint64_t>(info_ + "frame_id", 3, 5);
  EXPECT_THAT(found().problems, ElementsAre(HasSubstr("frames 5 to 5 are there twice"),
                                            HasSubstr("6 to 7 are neither")));
}

TEST_F(VerifyTest, NamesColumnsAndTotalsThatDoNotFit) {
  cut(info_ + "drift_x_px", 4);
  EXPECT_THAT(found().problems, ElementsAre(HasSubstr("frame_info/drift_x_px has 4 rows for 5")));
  cut(info_ + "crc32c", 3);
  EXPECT_THAT(found().problems, testing::Contains(HasSubstr("3 checksums for 5 images")));
}

}  // namespace
}  // namespace latticed::test
