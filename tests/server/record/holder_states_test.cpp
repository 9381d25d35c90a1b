// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/record/holder_states.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/folder.hpp"
#include "tests/support/hdf5_reading.hpp"

namespace latticed::record {
namespace {

constexpr std::int64_t kMs = 1'000'000;

HolderSample sample(std::int64_t time_ms, double bias_v, double temperature_k = kNotMeasured) {
  HolderSample out;
  out.time_ns = time_ms * kMs;
  out.bias_v = bias_v;
  out.temperature_k = temperature_k;
  return out;
}

/// A frame table in a file, and states that fill it.
class HolderStatesTest : public testing::Test {
 protected:
  void SetUp() override {
    auto file = Hdf5File::create(folder_ / "a.h5");
    ASSERT_TRUE(file);
    file_ = std::move(*file);
    Hdf5Author author;
    const Handle info = author.group(file_.id(), "info", {}),
                 images = author.group(file_.id(), "images", {});
    table_ = FrameTable::create(author, info, images, "start");
    ASSERT_TRUE(author.result());
  }
  void add_frame(HolderStates& states, std::int64_t time_ms) {
    FrameRow row;
    row.time_ns = time_ms * kMs;
    row.flags = kInfoSimulated;
    states.enter(row, table_.count());
    ASSERT_TRUE(table_.add(row));
  }
  struct Read {
    std::vector<double> bias_v, temperature_k;
    std::vector<float> age_s;
    std::vector<std::uint32_t> flags;
  };
  Read read() {
    EXPECT_TRUE(table_.write());
    table_ = {};
    EXPECT_TRUE(file_.close());
    const test::ReadRecording file(folder_ / "a.h5");
    return {file.column<double>("/info/bias_v"), file.column<double>("/info/temperature_k"),
            file.column<float>("/info/holder_age"), file.column<std::uint32_t>("/info/flags")};
  }

  test::Folder folder_;
  Hdf5File file_;
  FrameTable table_;
};

TEST_F(HolderStatesTest, AFrameBetweenTwoSamplesIsFinalAtOnce) {
  auto log = std::make_shared<HolderLog>("a", 1.0);
  log->add(sample(0, 1.0));
  log->add(sample(100, 2.0));
  HolderStates states({log});
  add_frame(states, 25);
  EXPECT_EQ(states.pending(), 0u);
  const Read out = read();
  EXPECT_DOUBLE_EQ(out.bias_v.at(0), 1.25);
  EXPECT_EQ(out.flags.at(0), std::uint32_t{kInfoSimulated});
}

TEST_F(HolderStatesTest, RowsAreCorrectedWhenASampleFollowsWrittenOrNot) {
  auto log = std::make_shared<HolderLog>("a", 1.0);
  log->add(sample(0, 1.0));
  HolderStates states({log});
  add_frame(states, 25);
  add_frame(states, 50);
  ASSERT_TRUE(table_.write());
  add_frame(states, 75);
  add_frame(states, 150);
  EXPECT_EQ(states.pending(), 4u);
  log->add(sample(100, 2.0));
  states.settle(table_);
  EXPECT_EQ(states.pending(), 1u);
  const Read out = read();
  EXPECT_EQ(out.bias_v, (std::vector<double>{1.25, 1.5, 1.75, 1.0}));
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(out.flags.at(i), std::uint32_t{kInfoSimulated}) << i;
    EXPECT_EQ(out.age_s.at(i), 0.0f);
  }
  EXPECT_EQ(out.flags.at(3), std::uint32_t{kInfoSimulated | kInfoHolderProvisional});
  EXPECT_FLOAT_EQ(out.age_s.at(3), 0.15f);
}

TEST_F(HolderStatesTest, AtTheEndTheLastSampleIsTakenThoughNoneFollows) {
  auto log = std::make_shared<HolderLog>("a", 1.0);
  log->add(sample(0, 1.0));
  HolderStates states({log});
  add_frame(states, 150);
  log->add(sample(140, 2.0));
  states.settle(table_);
  EXPECT_EQ(states.pending(), 1u);
  states.settle_for_good(table_);
  EXPECT_EQ(states.pending(), 0u);
  const Read out = read();
  EXPECT_EQ(out.bias_v.at(0), 2.0);
  EXPECT_FLOAT_EQ(out.age_s.at(0), 0.01f);
  EXPECT_NE(out.flags.at(0) & kInfoHolderProvisional, 0u);
}

TEST_F(HolderStatesTest, NothingIsMadeUpWhereNobodyMeasured) {
  auto log = std::make_shared<HolderLog>("a", 0.05);
  HolderStates states({log});
  add_frame(states, 10);  // no sample yet
  log->add(sample(20, 1.0));
  log->add(sample(520, 9.0));
  add_frame(states, 10);   // before the first
  add_frame(states, 270);  // in a gap that is too long
  states.settle(table_);
  const Read out = read();
  EXPECT_TRUE(std::isnan(out.bias_v.at(0)));
  EXPECT_TRUE(std::isnan(out.bias_v.at(1)));
  EXPECT_EQ(out.flags.at(0) & kInfoHolderProvisional, 0u);
  EXPECT_EQ(out.bias_v.at(2), 1.0);
  EXPECT_NE(out.flags.at(2) & kInfoHolderProvisional, 0u);
  EXPECT_FLOAT_EQ(out.age_s.at(2), 0.25f);
  EXPECT_TRUE(std::isnan(out.temperature_k.at(2)));
}

TEST_F(HolderStatesTest, EachQuantityIsOfTheFirstHolderThatMeasuresIt) {
  auto bias = std::make_shared<HolderLog>("bias", 1.0),
       heat = std::make_shared<HolderLog>("heat", 1.0);
  for (const int ms : {0, 100}) {
    bias->add(sample(ms, 1.0 + ms));
    heat->add(sample(ms, -7.0, 300.0 + ms));
  }
  HolderStates states({bias, heat});
  add_frame(states, 50);
  const Read out = read();
  EXPECT_EQ(out.bias_v.at(0), 51.0);
  EXPECT_EQ(out.temperature_k.at(0), 350.0);
}

TEST_F(HolderStatesTest, ARowWithAWrongTimeDoesNotHoldUpTheOthers) {
  auto log = std::make_shared<HolderLog>("a", 1.0);
  log->add(sample(0, 0.0));
  HolderStates states({log});
  add_frame(states, 1'000'000);  // the clock jumped, once
  add_frame(states, 50);
  log->add(sample(100, 1.0));
  states.settle(table_);
  EXPECT_EQ(states.pending(), 1u);
  EXPECT_EQ(read().bias_v.at(1), 0.5);
}

TEST_F(HolderStatesTest, AHolderThatFallsSilentCostsNoMemoryWithoutEnd) {
  auto log = std::make_shared<HolderLog>("a", 1.0);
  HolderStates states({log});
  for (std::size_t i = 0; i < HolderStates::kMostPending + 10; ++i) {
    FrameRow row;
    row.time_ns = 5;
    states.enter(row, i);
  }
  EXPECT_EQ(states.pending(), HolderStates::kMostPending);
  EXPECT_EQ(states.given_up(), 10u);
}

}  // namespace
}  // namespace latticed::record
