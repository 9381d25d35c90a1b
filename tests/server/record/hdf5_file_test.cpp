// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/record/hdf5_file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <numeric>
#include <vector>

#include "server/record/disk_driver.hpp"
#include "server/record/hdf5_author.hpp"
#include "server/record/superblock.hpp"
#include "tests/support/folder.hpp"

namespace latticed::record {
namespace {

using test::Folder;
using testing::HasSubstr;

std::vector<std::int64_t> counted(std::size_t count, std::int64_t first = 0) {
  std::vector<std::int64_t> out(count);
  std::iota(out.begin(), out.end(), first);
  return out;
}

struct Counting {
  Hdf5File file;
  Rows rows;
};

Counting make(const std::string& path) {
  auto file = Hdf5File::create(path);
  EXPECT_TRUE(file) << file.error().message;
  Hdf5Author author;
  Rows rows(author.rows(file->id(), "rows", H5T_NATIVE_INT64, 16, nullptr),
            Handle(H5Tcopy(H5T_NATIVE_INT64)), sizeof(std::int64_t));
  author.text(file->id(), "word", "before", 10);
  EXPECT_TRUE(author.result());
  EXPECT_TRUE(file->start_swmr());
  return {std::move(*file), std::move(rows)};
}

std::vector<std::int64_t> read(const std::string& path) {
  const QuietHdf5 quiet;
  const Handle file(H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT));
  if (!file) return {-1};
  const Handle dataset(H5Dopen2(file, "rows", H5P_DEFAULT));
  std::vector<std::int64_t> out(static_cast<std::size_t>(files::extent_of(dataset).at(0)));
  EXPECT_GE(H5Dread(dataset, H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, out.data()), 0);
  return out;
}

TEST(Hdf5File, RowsComeBackInTheirOrderWhateverTheChunks) {
  const Folder folder;
  auto [file, rows] = make(folder / "a.h5");
  const auto all = counted(1000);
  for (std::size_t at = 0, count = 1; at < all.size(); at += count, count = count % 37 + 1) {
    count = std::min(count, all.size() - at);
    ASSERT_TRUE(rows.append(&all[at], count));
  }
  const auto changed = counted(20, 5000);
  ASSERT_TRUE(rows.overwrite(10, changed.data(), changed.size()));
  EXPECT_EQ(rows.overwrite(990, changed.data(), changed.size()).error().code,
            ErrorCode::out_of_range);
  rows = {};
  ASSERT_TRUE(file.close());
  auto wanted = all;
  std::copy(changed.begin(), changed.end(), wanted.begin() + 10);
  EXPECT_EQ(read(folder / "a.h5"), wanted);
}

TEST(Hdf5File, ANameThatExistsIsRefusedAndWhatItHoldsStays) {
  const Folder folder;
  std::ofstream(folder / "a.h5") << "precious";
  const auto refused = Hdf5File::create(folder / "a.h5");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::failed_precondition);
  EXPECT_THAT(refused.error().message, HasSubstr("File exists"));
  EXPECT_EQ(std::filesystem::file_size(folder / "a.h5"), 8u);
}

TEST(Hdf5File, AfterItWasLetGoNothingReachesTheFileAndItCanBeReopened) {
  const Folder folder;
  auto [file, rows] = make(folder / "a.h5");
  const auto all = counted(400);
  ASSERT_TRUE(rows.append(all.data(), 100));
  ASSERT_TRUE(file.flush());
  ASSERT_TRUE(rows.append(&all[100], 300));
  EXPECT_EQ(rows.count(), 400u);
  file.abandon();
  rows = {};
  auto again = Hdf5File::reopen(folder / "a.h5");
  ASSERT_TRUE(again) << again.error().message;
  ASSERT_TRUE(replace_text(again->id(), "word", "after that which fits"));
  ASSERT_TRUE(again->close());
  const auto kept = read(folder / "a.h5");
  ASSERT_GE(kept.size(), 100u);
  EXPECT_TRUE(std::equal(kept.begin(), kept.begin() + 100, all.begin()));
  const Handle plain(H5Fopen((folder / "a.h5").c_str(), H5F_ACC_RDONLY, H5P_DEFAULT));
  EXPECT_EQ(files::text_attribute(plain, "word"), "after that");
}

TEST(Hdf5File, ADescriptorIsThereWhileItIsOpen) {
  const Folder folder;
  auto [file, rows] = make(folder / "a.h5");
  EXPECT_GE(file.descriptor(), 0);
  EXPECT_EQ(disk_descriptor(file.id()), file.descriptor());
  rows = {};
  ASSERT_TRUE(file.close());
  EXPECT_EQ(file.descriptor(), -1);
}

TEST(Superblock, AFileOfAKilledWriterOpensAfterMendingAndOneWithAWrongEndToo) {
  const Folder folder;
  auto [file, rows] = make(folder / "a.h5");
  const auto all = counted(50);
  ASSERT_TRUE(rows.append(all.data(), all.size()));
  ASSERT_TRUE(file.flush());
  // As if the writer were killed here: a copy of what is on the disk.
  std::filesystem::copy_file(folder / "a.h5", folder / "killed.h5");
  EXPECT_EQ(read(folder / "killed.h5"), std::vector<std::int64_t>{-1});
  ASSERT_TRUE(mend_superblock(folder / "killed.h5"));
  EXPECT_EQ(read(folder / "killed.h5"), all);
  rows = {};
  ASSERT_TRUE(file.close());
  // Mending what is whole changes nothing.
  std::filesystem::copy_file(folder / "a.h5", folder / "b.h5");
  ASSERT_TRUE(mend_superblock(folder / "b.h5"));
  EXPECT_EQ(read(folder / "b.h5"), all);
}

TEST(Superblock, WhatIsNoSuchFileOrDamagedIsSaidAndLeftAlone) {
  const Folder folder;
  std::ofstream(folder / "text") << std::string(100, 'x');
  std::ofstream(folder / "short") << "\x89HDF";
  EXPECT_EQ(mend_superblock(folder / "text").error().code, ErrorCode::data_loss);
  EXPECT_EQ(mend_superblock(folder / "short").error().code, ErrorCode::data_loss);
  EXPECT_EQ(mend_superblock(folder / "none").error().code, ErrorCode::unavailable);
  {
    auto [file, rows] = make(folder / "a.h5");
    rows = {};
    ASSERT_TRUE(file.close());
  }
  std::fstream bytes(folder / "a.h5", std::ios::in | std::ios::out | std::ios::binary);
  bytes.seekp(38);
  bytes.put('\x55');
  bytes.close();
  const auto damaged = mend_superblock(folder / "a.h5");
  ASSERT_FALSE(damaged);
  EXPECT_EQ(damaged.error().code, ErrorCode::data_loss);
  EXPECT_THAT(damaged.error().message, HasSubstr("damaged"));
}

TEST(Hdf5Author, TheFirstFailureIsKeptAndNothingIsMadeAfterIt) {
  const Folder folder;
  auto file = Hdf5File::create(folder / "a.h5");
  ASSERT_TRUE(file);
  const QuietHdf5 quiet;
  Hdf5Author author;
  const Handle once = author.group(file->id(), "once", "NXcollection");
  const Handle twice = author.group(file->id(), "once", "NXcollection");
  EXPECT_FALSE(twice);
  author.text_field(once, "after", "not made");
  ASSERT_FALSE(author.result());
  EXPECT_THAT(author.result().error().message, HasSubstr("group once"));
  EXPECT_FALSE(files::exists(file->id(), "/once/after"));
}

}  // namespace
}  // namespace latticed::record
