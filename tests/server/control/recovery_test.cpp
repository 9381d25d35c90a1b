// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/control/recovery.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <mutex>

#include "server/record/recording.hpp"
#include "server/record/verify.hpp"
#include "tests/support/deadline.hpp"
#include "tests/support/folder.hpp"
#include "tests/support/recorded_run.hpp"

namespace latticed::test {
namespace {

using testing::ElementsAre;

class RecoveryTest : public testing::Test {
 protected:
  std::unique_ptr<record::Recording> begun(const Folder& folder, const std::string& name) {
    run_.facts().name = name;
    auto recording = std::move(*record::Recording::create(folder.path(), run_.facts()));
    for (std::uint64_t seq = 0; seq < 20; ++seq) EXPECT_TRUE(recording->add(*run_.frame(seq)));
    EXPECT_TRUE(recording->flush());
    return recording;
  }
  /// By file name: "" or what went wrong.
  std::map<std::string, std::string> recovered(std::vector<std::string> directories) {
    std::mutex mutex;
    std::map<std::string, std::string> out;
    Recovery sut(std::move(directories), [&](const std::string& part, const auto& done) {
      const std::lock_guard lock(mutex);
      out[std::filesystem::path(part).filename()] = done ? "" : done.error().message;
    });
    EXPECT_TRUE(happens([&] { return sut.has_ended(); }));
    return out;
  }

  RecordedRun run_;
};

TEST_F(RecoveryTest, CompletesWhatNobodyWritesInEveryDirectory) {
  const Folder first, second;
  begun(first, "a").reset();
  begun(second, "b").reset();
  const auto living = begun(first, "living");
  std::ofstream(first / "text.nxs.part") << "nothing of ours";
  std::ofstream(first / "other.txt") << "nothing of ours";
  std::ofstream(first / "gone.nxs.part.log") << "of a recording that is complete";
  const auto told = recovered({first.path(), "", second.path(), first / "missing"});
  EXPECT_EQ(told.size(), 3u);
  EXPECT_EQ(told.at("a.nxs.part"), "");
  EXPECT_EQ(told.at("b.nxs.part"), "");
  EXPECT_THAT(told.at("text.nxs.part"), testing::HasSubstr("text.nxs.part"));
  EXPECT_THAT(first.names(), ElementsAre("a.nxs", "living.nxs.part", "other.txt", "text.nxs.part"));
  EXPECT_THAT(second.names(), ElementsAre("b.nxs"));
  EXPECT_TRUE(record::verify(first / "a.nxs")->is_whole());
}

}  // namespace
}  // namespace latticed::test
