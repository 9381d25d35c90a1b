// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/holder/holder_log.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <thread>

namespace latticed {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

HolderSample sample(std::int64_t time_ns, double bias_v, double current_a = 1e-9) {
  HolderSample out;
  out.time_ns = time_ns;
  out.bias_v = bias_v;
  out.current_a = current_a;
  out.is_output_on = true;
  return out;
}

TEST(HolderLog, IsEmptyAtFirst) {
  HolderLog sut("bias", 1.0);
  EXPECT_EQ(sut.name(), "bias");
  EXPECT_FALSE(sut.at(0));
  EXPECT_FALSE(sut.latest());
  EXPECT_FALSE(sut.is_final_at(0));
  EXPECT_EQ(sut.count(), 0u);
  EXPECT_TRUE(sut.read(0, 10).samples.empty());
}

TEST(HolderLog, InterpolatesBetweenTwoSamples) {
  HolderLog sut("bias", 1.0);
  sut.add(sample(10 * kSecond, 1.0, 2e-9));
  sut.add(sample(11 * kSecond, 3.0, 4e-9));
  const auto state = sut.at(10 * kSecond + kSecond / 4);
  ASSERT_TRUE(state);
  EXPECT_DOUBLE_EQ(state->bias_v, 1.5);
  EXPECT_DOUBLE_EQ(state->current_a, 2.5e-9);
  EXPECT_TRUE(std::isnan(state->temperature_k));
  EXPECT_FALSE(state->is_provisional);
  EXPECT_TRUE(state->is_output_on);
  EXPECT_EQ(state->age_s, 0.0);
  EXPECT_TRUE(sut.is_final_at(10 * kSecond + kSecond / 4));
}

TEST(HolderLog, GivesASampleItselfAtItsOwnTime) {
  HolderLog sut("bias", 1.0);
  sut.add(sample(10 * kSecond, 1.0));
  const auto state = sut.at(10 * kSecond);
  ASSERT_TRUE(state);
  EXPECT_EQ(state->bias_v, 1.0);
  EXPECT_FALSE(state->is_provisional);
  EXPECT_TRUE(sut.is_final_at(10 * kSecond));
  EXPECT_FALSE(sut.is_final_at(10 * kSecond + 1));
}

TEST(HolderLog, IsProvisionalAfterTheLastSample) {
  HolderLog sut("bias", 1.0);
  sut.add(sample(10 * kSecond, 1.0));
  sut.add(sample(11 * kSecond, 2.0));
  const auto state = sut.at(13 * kSecond);
  ASSERT_TRUE(state);
  EXPECT_EQ(state->bias_v, 2.0);
  EXPECT_TRUE(state->is_provisional);
  EXPECT_DOUBLE_EQ(state->age_s, 2.0);
  EXPECT_FALSE(sut.is_final_at(13 * kSecond));
}

TEST(HolderLog, DoesNotBridgeAGap) {
  HolderLog sut("bias", 0.5);
  sut.add(sample(10 * kSecond, 1.0));
  sut.add(sample(12 * kSecond, 2.0));
  const auto state = sut.at(11 * kSecond);
  ASSERT_TRUE(state);
  EXPECT_EQ(state->bias_v, 1.0);
  EXPECT_TRUE(state->is_provisional);
  EXPECT_DOUBLE_EQ(state->age_s, 1.0);
  EXPECT_TRUE(sut.is_final_at(11 * kSecond));  // nothing will fill it
}

TEST(HolderLog, KnowsNothingOfAnUnknownTimeAndSaysSoAtOnce) {
  HolderLog sut("bias", 1.0);
  EXPECT_TRUE(sut.is_final_at(kUnknownTime));
  sut.add(sample(10 * kSecond, 1.0));
  EXPECT_FALSE(sut.at(kUnknownTime));
  EXPECT_FALSE(sut.at(9 * kSecond));
}

TEST(HolderLog, LeavesOutAndCountsWhatIsOutOfOrder) {
  HolderLog sut("bias", 1.0);
  sut.add(sample(10 * kSecond, 1.0));
  sut.add(sample(10 * kSecond, 2.0));
  sut.add(sample(9 * kSecond, 3.0));
  sut.add(sample(kUnknownTime, 4.0));
  EXPECT_EQ(sut.count(), 1u);
  EXPECT_EQ(sut.out_of_order(), 3u);
  EXPECT_EQ(sut.latest()->bias_v, 1.0);
}

TEST(HolderLog, ForgetsTheOldestWhenFullAndSaysWhichNumberIsTheFirst) {
  HolderLog sut("bias", 2.0, 4);
  for (int i = 0; i < 10; ++i) sut.add(sample(i * kSecond, i));
  EXPECT_EQ(sut.count(), 10u);
  const auto all = sut.read(0, 100);
  EXPECT_EQ(all.first, 6u);
  ASSERT_EQ(all.samples.size(), 4u);
  EXPECT_EQ(all.samples.front().bias_v, 6.0);
  const auto few = sut.read(7, 2);
  EXPECT_EQ(few.first, 7u);
  ASSERT_EQ(few.samples.size(), 2u);
  EXPECT_EQ(few.samples.back().bias_v, 8.0);
  EXPECT_EQ(sut.read(10, 5).first, 10u);
  EXPECT_TRUE(sut.read(99, 5).samples.empty());
  EXPECT_FALSE(sut.at(5 * kSecond));  // overwritten
  EXPECT_DOUBLE_EQ(sut.at(6 * kSecond + kSecond / 2)->bias_v, 6.5);
}

TEST(HolderLog, FindsEveryMomentInAFullRing) {
  HolderLog sut("bias", 2.0, 7);
  for (int i = 0; i < 23; ++i) sut.add(sample(i * kSecond, i));
  for (std::int64_t quarter = 16 * 4; quarter <= 22 * 4; ++quarter) {
    const auto state = sut.at(quarter * kSecond / 4);
    ASSERT_TRUE(state) << quarter;
    EXPECT_DOUBLE_EQ(state->bias_v, 0.25 * static_cast<double>(quarter));
    EXPECT_FALSE(state->is_provisional);
  }
}

TEST(HolderLog, BeginsAnewWithTheHoldersClock) {
  HolderLog sut("bias", 1.0);
  sut.add(sample(10 * kSecond, 1.0));
  sut.add(sample(11 * kSecond, 2.0));
  sut.restart_clock();
  EXPECT_FALSE(sut.at(10 * kSecond + 1));
  EXPECT_FALSE(sut.is_final_at(10 * kSecond));
  sut.add(sample(5 * kSecond, 7.0));
  EXPECT_EQ(sut.out_of_order(), 0u);
  EXPECT_EQ(sut.at(5 * kSecond)->bias_v, 7.0);
  EXPECT_FALSE(sut.at(4 * kSecond));
  EXPECT_EQ(sut.read(0, 10).samples.size(), 3u);  // what was, was
}

// One adds, one reads by number, one asks for moments: nobody ever sees half a sample.
TEST(HolderLog, IsReadWhileItGrows) {
  HolderLog sut("bias", 1.0, 64);
  constexpr int kSamples = 20000;
  std::atomic<bool> is_done{false};
  std::thread adds([&] {
    for (int i = 0; i < kSamples; ++i) sut.add(sample(i * 1000 + 1, i, i));
    is_done.store(true);
  });
  std::thread asks([&] {
    while (!is_done.load()) {
      const auto last = sut.latest();
      if (!last) continue;
      const auto state = sut.at(last->time_ns);
      if (state) {
        EXPECT_EQ(state->bias_v, state->current_a);
      }
    }
  });
  std::uint64_t next = 0;
  while (next < kSamples) {
    const auto batch = sut.read(next, 16);
    for (std::size_t i = 0; i < batch.samples.size(); ++i) {
      ASSERT_EQ(batch.samples[i].bias_v, static_cast<double>(batch.first + i));
      ASSERT_EQ(batch.samples[i].current_a, batch.samples[i].bias_v);
    }
    next = batch.first + batch.samples.size();
  }
  adds.join();
  asks.join();
  EXPECT_EQ(sut.count(), static_cast<std::uint64_t>(kSamples));
}

}  // namespace
}  // namespace latticed
