// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/record/disk_room.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/folder.hpp"

namespace latticed::test {
namespace {

using namespace std::chrono_literals;
using record::DiskRoom;

TEST(DiskRoom, GoesByTheDetectorBeforeTheFirstFrameAndThenByWhatCame) {
  const Folder folder;
  std::uint64_t free = 700'000;
  DiskRoom sut([&](const std::string&) -> Result<std::uint64_t> { return free; }, 100'000, 1'000.0);
  ASSERT_TRUE(sut.check(folder.path()));
  EXPECT_DOUBLE_EQ(sut.minutes_left().value(), 10.0);
  sut.begin(5s);
  ASSERT_TRUE(sut.look(folder.path(), 2'000, 6s));
  EXPECT_DOUBLE_EQ(sut.bytes_per_s(), 2'000.0);
  EXPECT_DOUBLE_EQ(sut.minutes_left().value(), 5.0);
  free = 99'999;
  const auto full = sut.look(folder.path(), 4'000, 7s);
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().code, ErrorCode::resource_exhausted);
  EXPECT_DOUBLE_EQ(sut.minutes_left().value(), 0.0);
  EXPECT_EQ(sut.check(folder.path()).error().code, ErrorCode::resource_exhausted);
}

TEST(DiskRoom, KnowsNothingWithoutARateAndAsksTheSystemWhenNobodyElse) {
  const Folder folder;
  DiskRoom sut({}, 0, 0.0);
  ASSERT_TRUE(sut.check(folder.path()));
  EXPECT_FALSE(sut.minutes_left());
  const auto missing = sut.check(folder / "missing");
  ASSERT_FALSE(missing);
  EXPECT_THAT(missing.error().message, testing::HasSubstr("missing: No such file"));
}

}  // namespace
}  // namespace latticed::test
