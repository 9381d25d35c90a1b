// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/app/csv_table.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/sim/support/temporary_directory.hpp"

namespace latticed {
namespace {

using sim::test::TemporaryDirectory;
using testing::ElementsAre;
using testing::HasSubstr;

Result<CsvTable> read(const std::string& text) {
  const TemporaryDirectory directory;
  std::ofstream(directory.file("t.csv")) << text;
  return CsvTable::read(directory.file("t.csv"));
}

TEST(CsvTable, GivesColumnsByName) {
  const auto sut = read("seq,lost,d\n0,,0.5\n1,gap,\r\n2,,x1\n");
  ASSERT_TRUE(sut) << sut.error().message;
  EXPECT_EQ(sut->rows(), 3u);
  EXPECT_THAT(sut->texts("lost"), ElementsAre("", "gap", ""));
  const auto d = sut->numbers("d");
  EXPECT_EQ(d[0], 0.5);
  EXPECT_TRUE(std::isnan(d[1]) && std::isnan(d[2]));
  EXPECT_TRUE(std::isnan(sut->numbers("no such column").at(2)));
}

TEST(CsvTable, NamesTheLineThatDoesNotFit) {
  const auto sut = read("a,b\n1,2\n3\n");
  ASSERT_FALSE(sut);
  EXPECT_THAT(sut.error().message, HasSubstr("t.csv:3: 1 cells, expected 2"));
}

TEST(CsvTable, RefusesWhatIsNotThereOrEmpty) {
  EXPECT_THAT(CsvTable::read("/nonexistent.csv").error().message, HasSubstr("/nonexistent.csv"));
  EXPECT_FALSE(read(""));
}

}  // namespace
}  // namespace latticed
