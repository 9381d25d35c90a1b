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
  DiskSync sync(file, folder / "a.log");
  ::close(file);
  EXPECT_EQ(sync.done(), 0u);
  sync.request({}, false);
  EXPECT_TRUE(happens([&] { return sync.done() == 1; }));
  sync.request({}, false);
  EXPECT_TRUE(happens([&] { return sync.done() == 2; }));
  EXPECT_FALSE(sync.error());
}

TEST(DiskSync, LogsPagesAfterTheyAreSyncedAndTheNewerOfTwoRequests) {
  const test::Folder folder;
  const int file = ::open((folder / "a").c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0666);
  {
    DiskSync sync(file, folder / "a.log");
    EXPECT_TRUE(sync.wants_all());
    Page old_page, new_page;
    old_page.fill(std::byte{1});
    new_page.fill(std::byte{2});
    sync.request({{0, old_page}, {1, old_page}}, true);
    EXPECT_FALSE(sync.wants_all());
    sync.request({{1, new_page}}, false);
    EXPECT_TRUE(happens([&] { return sync.done() >= 1; }));
    sync.request({}, false);
    const auto done = sync.done();
    EXPECT_TRUE(happens([&] { return sync.done() > done; }));
    EXPECT_FALSE(sync.error());
  }
  ASSERT_TRUE(put_back(folder / "a.log", folder / "a"));
  Page pages[2];
  EXPECT_EQ(::pread(file, pages, sizeof pages, 0), static_cast<ssize_t>(sizeof pages));
  EXPECT_EQ(pages[0][7], std::byte{1});
  EXPECT_EQ(pages[1][7], std::byte{2});
  ::close(file);
}

TEST(DiskSync, SaysWhatWentWrong) {
  const test::Folder folder;
  int ends[2] = {-1, -1};
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);  // cannot be synced
  DiskSync sync(ends[1], folder / "a.log");
  ::close(ends[0]);
  ::close(ends[1]);
  sync.request({}, false);
  EXPECT_TRUE(happens([&] { return sync.error().has_value(); }));
  EXPECT_EQ(sync.error()->code, ErrorCode::data_loss);
}

TEST(DiskSync, EndsWithoutHavingBeenAsked) {
  const test::Folder folder;
  const int file = ::open((folder / "a").c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0666);
  { DiskSync sync(file, folder / "a.log"); }
  EXPECT_EQ(::close(file), 0);
}

}  // namespace
}  // namespace latticed::record
