// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/base/doorbell.hpp"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "tests/support/cpus.hpp"
#include "tests/support/deadline.hpp"

namespace latticed::test {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

TEST(Doorbell, DoesNotWaitWhenItRangSinceListening) {
  Doorbell sut;
  const auto seen = sut.listen();
  sut.ring();
  const auto before = Clock::now();
  sut.wait(seen, kPatience);
  EXPECT_LT(Clock::now() - before, kPatience / 2);
}

TEST(Doorbell, ReturnsAtItsTimeout) {
  Doorbell sut;
  const auto before = Clock::now();
  sut.wait(sut.listen(), 20ms);
  // A signal may end a wait early, but this process gets none; the futex never does by itself.
  EXPECT_GE(Clock::now() - before, 19ms);
  EXPECT_LT(Clock::now() - before, kPatience / 2);
}

TEST(Doorbell, ReturnsAtOnceWhenThereIsNoTimeLeft) {
  Doorbell sut;
  sut.wait(sut.listen(), 0ns);
  sut.wait(sut.listen(), -5s);
}

TEST(Doorbell, WakesEveryWaiter) {
  Doorbell sut;
  std::atomic<bool> is_open{false};
  std::atomic<int> through{0};
  std::vector<std::thread> waiters;
  for (int i = 0; i < 3; ++i)
    waiters.emplace_back([&] {
      while (true) {
        const auto seen = sut.listen();
        if (is_open.load()) break;
        sut.wait(seen, kPatience);
      }
      ++through;
    });
  const auto before = Clock::now();
  is_open = true;
  sut.ring();
  for (auto& waiter : waiters) waiter.join();
  EXPECT_EQ(through, 3);
  EXPECT_LT(Clock::now() - before, kPatience / 2);
}

// Two threads hand a number to and fro. Every wait would last the whole patience if one ring were
// lost, so a lost wake-up shows as a run that takes that long.
TEST(Doorbell, LosesNoWakeUpBetweenTwoThreads) {
  constexpr std::uint32_t kRounds = 20000;
  Doorbell to_there, to_here;
  std::atomic<std::uint32_t> there{0}, here{0};
  const auto await = [](Doorbell& bell, const std::atomic<std::uint32_t>& number,
                        std::uint32_t wanted) {
    while (true) {
      const auto seen = bell.listen();
      if (number.load(std::memory_order_acquire) == wanted) return;
      bell.wait(seen, kPatience);
    }
  };
  const auto before = Clock::now();
  std::thread other = thread_on_cpu(0, [&] {
    for (std::uint32_t i = 1; i <= kRounds; ++i) {
      await(to_there, there, i);
      here.store(i, std::memory_order_release);
      to_here.ring();
    }
  });
  std::thread one = thread_on_cpu(1, [&] {
    for (std::uint32_t i = 1; i <= kRounds; ++i) {
      there.store(i, std::memory_order_release);
      to_there.ring();
      await(to_here, here, i);
    }
  });
  one.join();
  other.join();
  EXPECT_LT(Clock::now() - before, kPatience) << "a wake-up was lost";
}

}  // namespace
}  // namespace latticed::test
