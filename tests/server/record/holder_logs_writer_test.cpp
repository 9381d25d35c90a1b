// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/record/holder_logs_writer.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/folder.hpp"
#include "tests/support/hdf5_reading.hpp"

namespace latticed::record {
namespace {

using testing::ElementsAre;

HolderSample sample(std::int64_t time_ns, double bias_v) {
  HolderSample out;
  out.time_ns = time_ns;
  out.bias_v = bias_v;
  return out;
}

class HolderLogsWriterTest : public testing::Test {
 protected:
  HolderLogsWriter make(const HolderLogs& holders, std::int64_t started_ns) {
    auto file = Hdf5File::create(folder_ / "a.h5");
    EXPECT_TRUE(file);
    file_ = std::move(*file);
    Hdf5Author author;
    HolderLogsWriter writer = HolderLogsWriter::create(author, file_.id(), holders, started_ns);
    EXPECT_TRUE(author.result());
    return writer;
  }
  test::ReadRecording read(HolderLogsWriter& writer) {
    writer = {};
    EXPECT_TRUE(file_.close());
    return test::ReadRecording(folder_ / "a.h5");
  }
  test::Folder folder_;
  Hdf5File file_;
};

TEST_F(HolderLogsWriterTest, BeginsWithTheLastSampleBeforeTheRunAndMissesNone) {
  auto log = std::make_shared<HolderLog>("a", 1.0);
  for (int i = 0; i < 5; ++i) log->add(sample(10 * i, i));
  HolderLogsWriter writer = make({log}, 45);
  EXPECT_TRUE(writer.has_news());
  ASSERT_TRUE(writer.write());
  EXPECT_FALSE(writer.has_news());
  log->add(sample(50, 5));
  log->add(sample(60, 6));
  ASSERT_TRUE(writer.write());
  EXPECT_EQ(writer.samples(), 3u);
  EXPECT_EQ(writer.missed(), 0u);
  const auto file = read(writer);
  EXPECT_THAT(file.column<double>("/sensor_bias_voltage/value_log/value"), ElementsAre(4, 5, 6));
  EXPECT_THAT(file.column<std::int64_t>("/sensor_temperature/value_log/time_ns"),
              ElementsAre(40, 50, 60));
}

TEST_F(HolderLogsWriterTest, WhatALogOverwroteIsCounted) {
  auto log = std::make_shared<HolderLog>("a", 1.0, 4);
  HolderLogsWriter writer = make({log}, 0);
  for (int i = 0; i < 10; ++i) log->add(sample(10 * i, i));
  ASSERT_TRUE(writer.write());
  EXPECT_EQ(writer.samples(), 4u);
  EXPECT_EQ(writer.missed(), 6u);
  EXPECT_THAT(read(writer).column<double>("/sensor_bias_voltage/value_log/value"),
              ElementsAre(6, 7, 8, 9));
}

TEST_F(HolderLogsWriterTest, ASecondHolderHasSensorsWithItsName) {
  auto first = std::make_shared<HolderLog>("a", 1.0),
       second = std::make_shared<HolderLog>("b", 1.0);
  HolderLogsWriter writer = make({first, second}, 0);
  first->add(sample(1, 1.5));
  second->add(sample(2, 2.5));
  ASSERT_TRUE(writer.write());
  const auto file = read(writer);
  EXPECT_THAT(file.column<double>("/sensor_bias_voltage/value_log/value"), ElementsAre(1.5));
  EXPECT_THAT(file.column<double>("/sensor_bias_voltage_b/value_log/value"), ElementsAre(2.5));
  EXPECT_EQ(file.text("/sensor_bias_voltage_b/name"), "b");
}

TEST(Iso8601, KeepsEveryNanosecondAlsoBefore1970) {
  EXPECT_EQ(iso8601(1'700'000'000'123'456'789), "2023-11-14T22:13:20.123456789Z");
  EXPECT_EQ(iso8601(0), "1970-01-01T00:00:00.000000000Z");
  EXPECT_EQ(iso8601(-1), "1969-12-31T23:59:59.999999999Z");
}

}  // namespace
}  // namespace latticed::record
