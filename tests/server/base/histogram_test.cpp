// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/base/histogram.hpp"

#include <gtest/gtest.h>

#include <thread>

namespace latticed::test {
namespace {

using namespace std::chrono_literals;

constexpr double kBucket = 0.125;  // a bucket's width over its value

TEST(DurationHistogram, IsAllZeroAtFirst) {
  const DurationHistogram sut;
  const DurationSummary got = sut.summary();
  EXPECT_EQ(got.count, 0u);
  EXPECT_EQ(got.mean_ms, 0.0);
  EXPECT_EQ(got.p50_ms, 0.0);
  EXPECT_EQ(got.p99_ms, 0.0);
  EXPECT_EQ(got.max_ms, 0.0);
}

TEST(DurationHistogram, TellsQuantilesWithinABucketAtEveryScale) {
  for (std::int64_t unit : {1, 7, 100, 4096, 1'000'000, 30'000'000}) {
    DurationHistogram sut;
    for (std::int64_t i = 1; i <= 1000; ++i) sut.record(std::chrono::nanoseconds(i * unit));
    const DurationSummary got = sut.summary();
    const double ms = static_cast<double>(unit) * 1e-6;
    EXPECT_EQ(got.count, 1000u);
    EXPECT_NEAR(got.mean_ms, 500.5 * ms, 1e-9 * ms + 1e-12);
    EXPECT_NEAR(got.p50_ms, 500 * ms, kBucket * 500 * ms) << unit;
    EXPECT_NEAR(got.p99_ms, 990 * ms, kBucket * 990 * ms) << unit;
    EXPECT_DOUBLE_EQ(got.max_ms, 1000 * ms);
  }
}

TEST(DurationHistogram, KeepsEveryValueInABucketThatContainsIt) {
  for (std::uint64_t ns = 1; ns < (1ULL << 39); ns += 1 + ns / 5) {
    DurationHistogram sut;
    sut.record(std::chrono::nanoseconds(ns));
    sut.record(1h);  // so that the largest value does not cap the median
    const double got = sut.summary().p50_ms * 1e6;
    EXPECT_NEAR(got, static_cast<double>(ns), kBucket * static_cast<double>(ns)) << ns;
  }
}

TEST(DurationHistogram, TakesZeroAndWhatIsLessAsZero) {
  DurationHistogram sut;
  sut.record(0ns);
  sut.record(-5s);
  const DurationSummary got = sut.summary();
  EXPECT_EQ(got.count, 2u);
  EXPECT_EQ(got.p50_ms, 0.0);
  EXPECT_EQ(got.max_ms, 0.0);
}

TEST(DurationHistogram, PutsTheHugeIntoItsLastBucketAndKeepsTheLargest) {
  DurationHistogram sut;
  sut.record(std::chrono::hours(24 * 365));
  const DurationSummary got = sut.summary();
  EXPECT_DOUBLE_EQ(got.max_ms, 24.0 * 365 * 3600e3);
  EXPECT_GT(got.p50_ms, 17.0 * 60e3);  // its buckets end at 18 minutes
  EXPECT_LE(got.p50_ms, got.max_ms);
}

TEST(DurationHistogram, NeverTellsAQuantileAboveTheLargest) {
  DurationHistogram sut;
  sut.record(1000001ns);
  EXPECT_LE(sut.summary().p99_ms, sut.summary().max_ms);
}

TEST(DurationHistogram, TellsWhatCameAfterACertainPointAlone) {
  DurationHistogram sut;
  for (int i = 0; i < 100; ++i) sut.record(1s);
  const auto before = sut.counts();
  EXPECT_EQ(sut.summary_since(before).count, 0u);
  EXPECT_EQ(sut.summary_since(before).max_ms, 0.0);
  for (int i = 1; i <= 1000; ++i) sut.record(std::chrono::microseconds(i));
  const DurationSummary got = sut.summary_since(before);
  EXPECT_EQ(got.count, 1000u);
  EXPECT_NEAR(got.mean_ms, 0.5005, 1e-9);
  EXPECT_NEAR(got.p50_ms, 0.5, kBucket * 0.5);
  EXPECT_NEAR(got.p99_ms, 0.99, kBucket * 0.99);
  EXPECT_GE(got.max_ms, 1.0);  // a longer one came before: known to a bucket
  EXPECT_LE(got.max_ms, 1.0 + kBucket);
  sut.record(3s);
  EXPECT_DOUBLE_EQ(sut.summary_since(before).max_ms, 3000.0);
}

TEST(DurationHistogram, CanBeReadWhileItIsWritten) {
  DurationHistogram sut;
  std::atomic<bool> is_done{false};
  std::thread writer([&] {
    for (int i = 0; i < 100000; ++i) sut.record(1us);
    is_done = true;
  });
  while (!is_done) {
    const DurationSummary got = sut.summary();
    EXPECT_LE(got.p50_ms, 0.00101);
  }
  writer.join();
  EXPECT_EQ(sut.summary().count, 100000u);
}

}  // namespace
}  // namespace latticed::test
