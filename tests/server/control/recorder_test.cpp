// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/control/recorder.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "tests/support/movie_writers.hpp"

namespace latticed::test {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

class RecorderTest : public testing::Test {
 protected:
  RecorderTest() {
    config_.directory = folder_ / "recordings";
    config_.least_free_gb = 0.0;
    session_ = std::move(*SessionStore::open(folder_ / "session.json"));
  }
  Recorder recorder() {
    return Recorder({config_, *session_, [] { return HolderLogs{}; }, "", true,
                     [this](const std::string& detector) {
                       asked_.push_back(detector);
                       return std::vector<RecordedEvent>{};
                     },
                     [this](const std::string& detector, const RecordTrouble& trouble) {
                       troubles_.push_back(detector + ": " + trouble.text);
                     }});
  }
  static RunInfo run() {
    RunInfo run;
    run.detector.name = "haadf";
    run.configuration.geometry = {32, 32, PixelType::u16};
    return run;
  }

  TemporaryFolder folder_;
  RecordConfig config_;
  std::unique_ptr<SessionStore> session_;
  std::vector<std::string> asked_, troubles_;
};

TEST_F(RecorderTest, NamesFilesAfterWhatIsRecorded) {
  v1::SessionInfo said;
  said.set_sample("NaMnO2 #3");
  ASSERT_TRUE(session_->change(said));
  Recorder sut = recorder();
  const auto file_of = [&] {
    auto sink = sut.make_sink("haadf", true, 1'700'000'000'000'000'000);
    EXPECT_TRUE((*sink)->begin(run()));
    const std::string file = sut.status().files(0);
    sut.release();
    return file;
  };
  EXPECT_THAT(file_of(), HasSubstr("/recordings/NaMnO2__3-haadf-20231114T221320Z"));
  ASSERT_TRUE(sut.enable("cycle-2"));
  EXPECT_THAT(file_of(), HasSubstr("/recordings/cycle-2-haadf-"));
  for (const char* wrong : {"a/b", "..", "a b", "\xc3\xa4"})
    EXPECT_EQ(sut.enable(wrong).error().code, ErrorCode::invalid_argument) << wrong;
  EXPECT_EQ(sut.enable(std::string(65, 'a')).error().code, ErrorCode::invalid_argument);
}

TEST_F(RecorderTest, KnowsARunNoMoreThatWasNeverMade) {
  Recorder sut = recorder();
  auto sink = sut.make_sink("haadf", true, 1);
  ASSERT_TRUE(sink && *sink);
  ASSERT_TRUE((*sink)->begin(run()));
  EXPECT_TRUE(sut.status().active());
  sink->reset();  // as when the line it belongs to cannot be made
  EXPECT_FALSE(sut.status().active());
  sut.add(RecordedEvent{});
  EXPECT_EQ(sut.status().files_size(), 1) << "of the last run, see the proto";
}

TEST_F(RecorderTest, AsksForSpansThatAreOpenBeforeARecordingEnds) {
  Recorder sut = recorder();
  auto sink = sut.make_sink("haadf", true, 1);
  ASSERT_TRUE((*sink)->begin(run()));
  ASSERT_TRUE((*sink)->finish());
  EXPECT_THAT(asked_, ElementsAre("haadf"));
  EXPECT_FALSE(sut.status().active());
}

TEST_F(RecorderTest, MakesADetectorWaitThatDoesAndOtherwiseDoesAsConfigured) {
  Recorder sut = recorder();
  EXPECT_EQ((*sut.make_sink("haadf", true, 1))->options().policy, LossPolicy::block);
  EXPECT_EQ((*sut.make_sink("haadf", false, 1))->options().policy, LossPolicy::drop_newest);
  config_.when_behind = WhenBehind::stop_run;
  Recorder strict = recorder();
  EXPECT_EQ((*strict.make_sink("haadf", true, 1))->options().policy, LossPolicy::block);
  EXPECT_EQ((*strict.make_sink("haadf", false, 1))->options().policy, LossPolicy::stop_run);
}

TEST_F(RecorderTest, GoesToTheSecondDirectoryWhereTheFirstCannotBeMade) {
  std::ofstream(folder_ / "file") << "x";
  config_.directory = folder_ / "file/below";
  config_.second_directory = folder_ / "second";
  Recorder sut = recorder();
  auto sink = sut.make_sink("haadf", true, 1);
  ASSERT_TRUE((*sink)->begin(run()));
  EXPECT_THAT(sut.status().files(0), HasSubstr("/second/run-haadf-"));
  ASSERT_EQ(troubles_.size(), 1u);
  EXPECT_THAT(troubles_[0], HasSubstr("haadf: recording into"));
  config_.second_directory.clear();
  Recorder alone = recorder();
  auto refused = alone.make_sink("haadf", true, 1);
  EXPECT_FALSE((*refused)->begin(run()));
}

TEST_F(RecorderTest, RecordsNothingUnlessWanted) {
  config_.enabled = false;
  Recorder sut = recorder();
  EXPECT_EQ(*sut.make_sink("haadf", true, 1), nullptr);
  ASSERT_TRUE(sut.enable(""));
  EXPECT_TRUE(sut.status().wanted());
  EXPECT_NE(*sut.make_sink("haadf", true, 1), nullptr);
  sut.disable();
  EXPECT_EQ(*sut.make_sink("haadf", true, 1), nullptr);
}

}  // namespace
}  // namespace latticed::test
