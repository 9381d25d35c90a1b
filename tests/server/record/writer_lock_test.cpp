// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/record/writer_lock.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <unistd.h>

#include <fstream>

#include "tests/support/folder.hpp"

namespace latticed::test {
namespace {

TEST(WriterLock, IsThereAsLongAsTheFileIsOpenAndKeepsNoReaderAway) {
  const Folder folder;
  const std::string path = folder / "file";
  std::ofstream(path) << "x";
  EXPECT_FALSE(record::is_being_written(path));
  const int writer = ::open(path.c_str(), O_RDWR);
  ASSERT_TRUE(record::lock_as_writer(writer, path));
  EXPECT_TRUE(record::is_being_written(path));
  const int other = ::open(path.c_str(), O_RDWR);
  const auto refused = record::lock_as_writer(other, path);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::failed_precondition);
  EXPECT_EQ(::flock(other, LOCK_SH | LOCK_NB), 0) << "what HDF5's readers ask for";
  ::close(other);
  const int duplicate = ::dup(writer);
  ::close(writer);
  EXPECT_TRUE(record::is_being_written(path));
  ::close(duplicate);
  EXPECT_FALSE(record::is_being_written(path));
  EXPECT_FALSE(record::is_being_written(folder / "missing"));
}

}  // namespace
}  // namespace latticed::test
