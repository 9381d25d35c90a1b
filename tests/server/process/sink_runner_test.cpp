// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/process/sink_runner.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>
#include <thread>

#include "tests/support/collecting_sink.hpp"
#include "tests/support/deadline.hpp"

namespace latticed::test {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;

class SinkRunnerTest : public testing::Test {
 protected:
  std::unique_ptr<SinkRunner> runner(Collection& into) {
    auto made = std::make_unique<SinkRunner>(std::make_unique<CollectingSink>(into));
    made->start(0);
    return made;
  }
  FrameLease frame(std::uint64_t seq) {
    FrameLease lease = frames_.try_acquire();
    lease->seq = seq;
    return lease;
  }
  std::shared_ptr<SharedThread> share() {
    return std::make_shared<SharedThread>(ThreadOptions{.name = "latd-shared"});
  }
  StallDeadlines deadlines_{{.min_s = 1.0, .sink_s = 10.0}, {}};
  FramePool frames_{64, [](Frame&) {}};
  Collection first_, second_;
};

TEST_F(SinkRunnerTest, ServesTwoSinksOnOneThreadEachInItsOwnOrder) {
  std::atomic<std::thread::id> on_first{}, on_second{};
  first_.on_frame = [&](const Frame&) { on_first = std::this_thread::get_id(); };
  second_.on_frame = [&](const Frame&) { on_second = std::this_thread::get_id(); };
  first_.thread = second_.thread = share();
  const auto a = runner(first_), b = runner(second_);
  for (std::uint64_t i = 0; i < 40; ++i) {
    ASSERT_TRUE(a->offer(frame(i), kPatience));
    ASSERT_TRUE(b->offer(frame(100 + i), kPatience));
  }
  a->end();
  b->end();
  a->join();
  b->join();
  ASSERT_EQ(first_.size(), 40u);
  ASSERT_EQ(second_.size(), 40u);
  for (std::uint64_t i = 0; i < 40; ++i) {
    EXPECT_EQ(first_.seqs()[i], i);
    EXPECT_EQ(second_.seqs()[i], 100 + i);
  }
  EXPECT_EQ(on_first.load(), on_second.load());
  EXPECT_EQ(first_.finished + second_.finished, 2);
  EXPECT_EQ(a->counters().out, 40u);
  EXPECT_EQ(a->counters().level(), 0u);
  EXPECT_EQ(frames_.count_free(), frames_.size());
}

TEST_F(SinkRunnerTest, OneSinkThatFailsLeavesTheOtherOnItsThread) {
  first_.on_frame = [](const Frame&) { throw std::runtime_error("no disk"); };
  first_.thread = second_.thread = share();
  const auto a = runner(first_), b = runner(second_);
  for (std::uint64_t i = 0; i < 10; ++i) {
    ASSERT_TRUE(a->offer(frame(i), kPatience));
    ASSERT_TRUE(b->offer(frame(i), kPatience));
  }
  for (const auto& sut : {a.get(), b.get()}) {
    sut->end();
    sut->join();
  }
  ASSERT_TRUE(a->error());
  EXPECT_THAT(a->error()->message, HasSubstr("no disk"));
  EXPECT_EQ(first_.finished, 0);
  EXPECT_EQ(second_.size(), 10u);
  EXPECT_FALSE(b->error());
}

TEST_F(SinkRunnerTest, GivenUpOnASharedThreadItFinishesWithoutWhatWaits) {
  first_.thread = share();
  first_.hold();
  const auto sut = runner(first_);
  for (std::uint64_t i = 0; i < 4; ++i) ASSERT_TRUE(sut->offer(frame(i), kPatience));
  ASSERT_TRUE(happens([&] { return first_.arrived() == 1; }));
  sut->abandon();
  EXPECT_FALSE(sut->has_ended());
  first_.open();
  sut->join();
  EXPECT_TRUE(sut->has_ended());
  EXPECT_THAT(first_.seqs(), ElementsAre(0));
  EXPECT_EQ(first_.finished, 1);
}

TEST_F(SinkRunnerTest, CountsOnlyItsOwnTimeOnASharedThread) {
  const auto burn = [](const Frame&) {
    const auto begin = thread_cpu_now();
    while (thread_cpu_now() - begin < 20ms) {
    }
  };
  first_.on_frame = burn;
  first_.thread = second_.thread = share();
  const auto a = runner(first_), b = runner(second_);
  ASSERT_TRUE(a->offer(frame(0), kPatience));
  ASSERT_TRUE(b->offer(frame(0), kPatience));
  for (const auto& sut : {a.get(), b.get()}) {
    sut->end();
    sut->join();
  }
  EXPECT_GE(a->cpu_time(), 20ms);
  EXPECT_LT(b->cpu_time(), a->cpu_time());
}

TEST_F(SinkRunnerTest, ASinkMayKeepFramesAfterItReturned) {
  class Keeper final : public Sink {
   public:
    [[nodiscard]] std::string_view name() const noexcept override { return "keeper"; }
    [[nodiscard]] SinkOptions options() const noexcept override { return {}; }
    void consume(const FrameLease& frame) override { kept = frame; }
    Result<void> finish() override {
      last = kept->seq;
      kept.reset();
      return {};
    }
    FrameLease kept;
    std::uint64_t last = 0;
  };
  auto keeper = std::make_unique<Keeper>();
  Keeper& kept = *keeper;
  SinkRunner sut(std::move(keeper));
  sut.start(0);
  for (std::uint64_t i = 0; i < 3; ++i) ASSERT_TRUE(sut.offer(frame(i), kPatience));
  ASSERT_TRUE(happens([&] { return frames_.leased() == 1; }));
  sut.end();
  sut.join();
  EXPECT_EQ(kept.last, 2u);
  EXPECT_EQ(frames_.count_free(), frames_.size());
}

// Whoever keeps the shared thread is named; who waits behind it is named later.
TEST_F(SinkRunnerTest, NamesTheSinkThatHangsBeforeTheOneThatSharesItsThread) {
  first_.name = "view";
  second_.name = "stream";
  first_.thread = second_.thread = share();
  first_.hold();
  const auto a = runner(first_), b = runner(second_);
  ASSERT_TRUE(a->offer(frame(3), kPatience));
  ASSERT_TRUE(happens([&] { return first_.arrived() == 1; }));
  EXPECT_FALSE(b->find_stall(deadlines_, "camera", steady_now() + 1h)) << "nothing waits for it";
  ASSERT_TRUE(b->offer(frame(7), kPatience));
  const auto later = [](std::chrono::seconds ahead) { return steady_now() + ahead; };
  EXPECT_FALSE(a->find_stall(deadlines_, "camera", later(9s)));
  ASSERT_TRUE(a->find_stall(deadlines_, "camera", later(10s)));
  EXPECT_THAT(a->find_stall(deadlines_, "camera", later(10s))->message,
              HasSubstr("detector camera: sink view works on a frame (frame 3)"));
  EXPECT_FALSE(b->find_stall(deadlines_, "camera", later(10s)));
  ASSERT_TRUE(b->find_stall(deadlines_, "camera", later(12s)));
  EXPECT_THAT(b->find_stall(deadlines_, "camera", later(12s))->message,
              HasSubstr("sink stream waits for the thread it shares"));
  first_.open();
  a->end();
  b->end();
  a->join();
  b->join();
  EXPECT_FALSE(b->find_stall(deadlines_, "camera", later(1000s)));
}

TEST_F(SinkRunnerTest, ASinkThatOnlyWaitsForItsEndIsFoundToo) {
  first_.thread = second_.thread = share();
  first_.hold();
  const auto a = runner(first_), b = runner(second_);
  ASSERT_TRUE(a->offer(frame(0), kPatience));
  ASSERT_TRUE(happens([&] { return first_.arrived() == 1; }));
  b->end();
  EXPECT_TRUE(b->find_stall(deadlines_, "camera", steady_now() + 12s));
  first_.open();
  b->join();
  EXPECT_EQ(second_.finished, 1);
  a->end();
}

}  // namespace
}  // namespace latticed::test
