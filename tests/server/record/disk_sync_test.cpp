// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/record/disk_sync.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "tests/support/deadline.hpp"
#include "tests/support/folder.hpp"

namespace latticed::record {
namespace {

using test::happens;

TEST(DiskSync, DoesWhatIsAskedAlsoWhenTheOwnerHasClosedItsDescriptor) {
  const test::Folder folder;
  const int file = ::open((folder / "a").c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0666);
  DiskSync sync(file);
  ::close(file);
  EXPECT_EQ(sync.done(), 0u);
  sync.request();
  EXPECT_TRUE(happens([&] { return sync.done() == 1; }));
  sync.request();
  EXPECT_TRUE(happens([&] { return sync.done() == 2; }));
  EXPECT_FALSE(sync.error());
}

TEST(DiskSync, SaysWhatWentWrong) {
  int ends[2] = {-1, -1};
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);  // cannot be synced
  DiskSync sync(ends[1]);
  ::close(ends[0]);
  ::close(ends[1]);
  sync.request();
  EXPECT_TRUE(happens([&] { return sync.error().has_value(); }));
  EXPECT_EQ(sync.error()->code, ErrorCode::data_loss);
}

TEST(DiskSync, EndsWithoutHavingBeenAsked) {
  const test::Folder folder;
  const int file = ::open((folder / "a").c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0666);
  { DiskSync sync(file); }
  EXPECT_EQ(::close(file), 0);
}

}  // namespace
}  // namespace latticed::record
