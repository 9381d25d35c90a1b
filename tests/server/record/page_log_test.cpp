// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/record/page_log.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "tests/support/folder.hpp"

namespace latticed::test {
namespace {

using record::kPageBytes;
using record::Page;
using record::PageLog;
using record::Pages;

Page page_of(int value) {
  Page page;
  page.fill(static_cast<std::byte>(value));
  return page;
}

class PageLogTest : public testing::Test {
 protected:
  PageLogTest() { std::ofstream(file_) << std::string(3 * kPageBytes, 'x'); }
  /// The first byte of each page after the log was put back.
  std::string put_back() const {
    EXPECT_TRUE(record::put_back(log_, file_));
    std::ifstream file(file_, std::ios::binary);
    const std::string all{std::istreambuf_iterator<char>(file), {}};
    std::string out;
    for (std::size_t at = 0; at < all.size(); at += kPageBytes) out += all[at];
    return out;
  }
  Folder folder_;
  const std::string file_ = folder_ / "a", log_ = folder_ / "a.log";
};

TEST_F(PageLogTest, PutsBackTheLastOfEachPageAndNoOther) {
  auto sut = std::move(*PageLog::create(log_));
  ASSERT_TRUE(sut.append({{0, page_of('a')}, {2, page_of('b')}}));
  ASSERT_TRUE(sut.append({{2, page_of('c')}, {4, page_of('d')}}));
  EXPECT_EQ(sut.bytes(), std::filesystem::file_size(log_));
  EXPECT_EQ(put_back(), std::string("axc\0d", 5));
}

TEST_F(PageLogTest, ARecordThatIsNotCompleteWasNeverThere) {
  auto sut = std::move(*PageLog::create(log_));
  ASSERT_TRUE(sut.append({{0, page_of('a')}}));
  const auto one = sut.bytes();
  ASSERT_TRUE(sut.append({{1, page_of('b')}, {2, page_of('c')}}));
  for (const std::uint64_t cut : {std::uint64_t{1}, one / 2, sut.bytes() - one - 1}) {
    std::filesystem::resize_file(log_, sut.bytes() - cut);
    EXPECT_EQ(put_back(), "axx") << cut;
  }
}

TEST_F(PageLogTest, ADamagedRecordEndsIt) {
  auto sut = std::move(*PageLog::create(log_));
  ASSERT_TRUE(sut.append({{0, page_of('a')}}));
  const auto one = sut.bytes();
  ASSERT_TRUE(sut.append({{1, page_of('b')}}));
  ASSERT_TRUE(sut.append({{2, page_of('c')}}));
  std::fstream file(log_, std::ios::binary | std::ios::in | std::ios::out);
  file.seekp(static_cast<std::streamoff>(one + 500)).put('!').flush();
  EXPECT_EQ(put_back(), "axx");
}

TEST_F(PageLogTest, BeginsAnewWithWhatThereIsAndGoesOn) {
  auto sut = std::move(*PageLog::create(log_));
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(sut.append({{0, page_of('a')}}));
  const auto before = sut.bytes();
  ASSERT_TRUE(sut.begin_anew({{0, page_of('b')}, {1, page_of('c')}}));
  EXPECT_LT(sut.bytes(), before);
  ASSERT_TRUE(sut.append({{1, page_of('d')}}));
  EXPECT_EQ(put_back(), "bdx");
  EXPECT_EQ(folder_.names(), (std::vector<std::string>{"a", "a.log"}));
}

TEST_F(PageLogTest, KnowsItsBootAndWhatIsNone) {
  EXPECT_EQ(record::boot_of_log(log_), "");
  EXPECT_FALSE(record::put_back(log_, file_));
  std::ofstream(folder_ / "other.log") << std::string(100, 'x');
  EXPECT_FALSE(record::put_back(folder_ / "other.log", file_));
  { const auto sut = std::move(*PageLog::create(log_)); }
  EXPECT_EQ(record::boot_of_log(log_), record::boot_id());
  EXPECT_EQ(put_back(), "xxx");
}

}  // namespace
}  // namespace latticed::test
