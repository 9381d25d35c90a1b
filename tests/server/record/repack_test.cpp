// SPDX-License-Identifier: GPL-3.0-or-later
// What repack() refuses and leaves behind; that nothing is missing from what it writes:
// recording_readers_test.py.
#include "server/record/repack.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>

#include "server/record/paths.hpp"
#include "server/record/recording.hpp"
#include "server/record/verify.hpp"
#include "tests/support/folder.hpp"
#include "tests/support/recorded_run.hpp"

namespace latticed::test {
namespace {

using record::Handle;
using record::Storage;
using testing::ElementsAre;
using testing::HasSubstr;

class RepackTest : public testing::Test {
 protected:
  RepackTest() {
    auto recording = std::move(*record::Recording::create(folder_.path(), run_.facts()));
    for (std::uint64_t seq = 0; seq < 100; ++seq) EXPECT_TRUE(recording->add(*run_.frame(seq)));
    from_ = *recording->finish({});
  }
  void expect_refused(ErrorCode code, const std::string& says,
                      const record::ImageProgress& progress = {}) {
    const auto names = folder_.names();
    const auto refused = record::repack(from_, to_, Storage::archive, progress);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, code) << refused.error().message;
    EXPECT_THAT(refused.error().message, HasSubstr(says));
    EXPECT_EQ(folder_.names(), names);
  }

  Folder folder_;
  RecordedRun run_{{128, 96, PixelType::u16}};
  std::string from_, to_ = folder_ / "to.nxs";
};

TEST_F(RepackTest, WritesAVerifiedFileBesideTheOriginal) {
  std::uint64_t told = 0;
  const auto done =
      record::repack(from_, to_, Storage::archive, [&](auto, auto) { return ++told; });
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(done->images, 100u);
  EXPECT_LT(done->bytes_after, done->bytes_before);
  EXPECT_THAT(folder_.names(), ElementsAre("run.nxs", "to.nxs"));
  EXPECT_TRUE(record::verify(to_)->is_whole());
  EXPECT_GE(told, 6u) << "reading, writing and reading again, twice each";
}

TEST_F(RepackTest, LeavesNothingWhenItIsCancelledAnywhere) {
  for (int at = 0; at < 6; ++at) {
    int calls = 0;
    expect_refused(ErrorCode::cancelled, "end", [&](auto, auto) { return calls++ != at; });
  }
}

TEST_F(RepackTest, OverwritesNothing) {
  std::rename(from_.c_str(), (folder_ / "other.nxs").c_str());
  from_ = folder_ / "other.nxs";
  to_ = from_;
  expect_refused(ErrorCode::failed_precondition, "there already");
}

TEST_F(RepackTest, KeepsNoDamagedImageQuiet) {
  {
    const Handle file(H5Fopen(from_.c_str(), H5F_ACC_RDWR, H5P_DEFAULT)),
        images(H5Dopen2(file, record::kImages, H5P_DEFAULT));
    const std::vector<std::uint16_t> black(128 * 96);
    const hsize_t at[] = {7, 0, 0};
    ASSERT_GE(H5Dwrite_chunk(images, H5P_DEFAULT, 0, at, black.size() * 2, black.data()), 0);
  }
  expect_refused(ErrorCode::data_loss, "frames 7");
}

TEST_F(RepackTest, AFullDiskIsSaidAndLeavesNothing) {
  const auto before = ::signal(SIGXFSZ, SIG_IGN);
  rlimit limit{};
  ::getrlimit(RLIMIT_FSIZE, &limit);
  const rlimit small{900'000, limit.rlim_max};
  ::setrlimit(RLIMIT_FSIZE, &small);
  expect_refused(ErrorCode::resource_exhausted, "File too large");
  ::setrlimit(RLIMIT_FSIZE, &limit);
  ::signal(SIGXFSZ, before);
}

}  // namespace
}  // namespace latticed::test
