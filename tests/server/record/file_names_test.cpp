// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/record/file_names.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "tests/support/folder.hpp"

namespace latticed::test {
namespace {

using testing::ElementsAre;

TEST(FileNames, TheFinalNameIsTheFirstThatIsFreeAndNothingIsOverwritten) {
  const Folder folder;
  std::ofstream(folder / "a.nxs") << "old";
  std::ofstream(folder / "a.nxs.part") << "new";
  EXPECT_EQ(record::give_final_name(folder / "a.nxs.part").value(), folder / "a-2.nxs");
  EXPECT_THAT(folder.names(), ElementsAre("a-2.nxs", "a.nxs"));
  std::string text;
  std::ifstream(folder / "a.nxs") >> text;
  EXPECT_EQ(text, "old");
  EXPECT_FALSE(record::give_final_name(folder / "a.nxs.part"));
}

TEST(FileNames, AFileThatWasRenamedKeepsItsName) {
  const Folder folder;
  std::ofstream(folder / "mine") << "x";
  EXPECT_EQ(record::give_final_name(folder / "mine").value(), folder / "mine.nxs");
}

TEST(FileNames, NumbersFollowTheStem) {
  EXPECT_EQ(record::numbered("run", 1), "run");
  EXPECT_EQ(record::numbered("run", 2), "run-2");
}

TEST(FileNames, SyncingSaysWhatIsMissing) {
  const Folder folder;
  EXPECT_TRUE(record::sync_path(folder.path(), O_RDONLY | O_DIRECTORY));
  const auto missing = record::sync_path(folder / "missing", O_RDONLY);
  ASSERT_FALSE(missing);
  EXPECT_THAT(missing.error().message, testing::HasSubstr("missing"));
}

}  // namespace
}  // namespace latticed::test
