// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/base/shared_thread.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "server/base/stage_clock.hpp"
#include "tests/support/deadline.hpp"

namespace latticed::test {
namespace {

using namespace std::chrono_literals;

/// So many pieces of work, then it leaves; tells whose turn it was.
class Worker final : public SharedThread::Guest {
 public:
  Worker(std::vector<char>& turns, char name, int pieces)
      : turns_(turns), name_(name), left_(pieces) {}
  Turn serve() noexcept override {
    if (is_idle) return Turn::nothing;
    turns_.push_back(name_);
    thread = std::this_thread::get_id();
    return --left_ > 0 ? Turn::worked : Turn::leaves;
  }
  std::atomic<bool> is_idle{false};
  std::thread::id thread;

 private:
  std::vector<char>& turns_;  // the shared thread's
  char name_;
  int left_;
};

TEST(SharedThread, GivesItsGuestsTheirTurnsOnOneThread) {
  std::vector<char> turns;
  Worker a(turns, 'a', 3), b(turns, 'b', 3), late(turns, 'l', 1);
  a.is_idle = b.is_idle = true;
  SharedThread sut({.name = "latd-shared"});
  sut.add(a);
  sut.add(b);
  ASSERT_TRUE(sut.post([&] { a.is_idle = b.is_idle = false; }));
  sut.wait_until_left(a);
  sut.wait_until_left(b);
  EXPECT_EQ(turns, (std::vector<char>{'a', 'b', 'a', 'b', 'a', 'b'}));
  EXPECT_EQ(a.thread, b.thread);
  EXPECT_NE(a.thread, std::this_thread::get_id());
  sut.add(late);
  sut.wait_until_left(late);
  EXPECT_EQ(late.thread, a.thread);
}

TEST(SharedThread, AGuestThatLeavesIsNotCalledAgain) {
  std::vector<char> turns;
  SharedThread sut({.name = "latd-shared"});
  {
    Worker brief(turns, 'b', 1);
    sut.add(brief);
    sut.wait_until_left(brief);
  }
  std::atomic<bool> is_done{false};
  ASSERT_TRUE(sut.post([&] { is_done = true; }));
  ASSERT_TRUE(happens([&] { return is_done.load(); }));
  EXPECT_EQ(turns.size(), 1u);
}

TEST(SharedThread, DoesNotWaitForAGuestItNeverHad) {
  std::vector<char> turns;
  Worker stranger(turns, 's', 1);
  SharedThread sut({.name = "latd-shared"});
  sut.wait_until_left(stranger);
  EXPECT_TRUE(turns.empty());
}

TEST(SharedThread, RunsWhatIsPostedInOrderAlsoAtItsEnd) {
  std::vector<int> done;
  {
    SharedThread sut({.name = "latd-shared"});
    for (int i = 0; i < 100; ++i) ASSERT_TRUE(sut.post([&done, i] { done.push_back(i); }));
  }
  ASSERT_EQ(done.size(), 100u);
  EXPECT_TRUE(std::is_sorted(done.begin(), done.end()));
}

TEST(SharedThread, RefusesMoreThanMayWait) {
  std::atomic<bool> is_in{false}, may_go{false};
  std::atomic<int> done{0};
  {
    SharedThread sut({.name = "latd-shared"}, {}, 3);
    ASSERT_TRUE(sut.post([&] {
      is_in = true;
      EXPECT_TRUE(happens([&] { return may_go.load(); }));
    }));
    ASSERT_TRUE(happens([&] { return is_in.load(); }));
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(sut.post([&] { ++done; }));
    EXPECT_FALSE(sut.post([&] { done = 1000; }));
    may_go = true;
  }
  EXPECT_EQ(done, 3);
}

TEST(SharedThread, CallsItsTimerAtOnceWhenDueAndAfterWhatWasPosted) {
  std::atomic<int> calls{0};
  std::atomic<std::int64_t> second_due{0}, second_at{0};
  SharedThread sut({.name = "latd-shared"}, [&](std::chrono::nanoseconds now) {
    const int call = calls + 1;
    if (call == 1) second_due = (now + 10ms).count();
    if (call == 2) second_at = now.count();
    calls = call;  // last: who sees it sees the times
    return call == 1 ? now + 10ms : now + 1h;
  });
  ASSERT_TRUE(happens([&] { return calls == 2; }));
  EXPECT_GE(second_at, second_due);
  ASSERT_TRUE(sut.post([] {}));
  EXPECT_TRUE(happens([&] { return calls == 3; }));
}

TEST(SharedThread, IsNotKeptFromItsTimerByABusyGuest) {
  std::vector<char> turns;
  class Busy final : public SharedThread::Guest {
   public:
    Turn serve() noexcept override { return is_over ? Turn::leaves : Turn::worked; }
    std::atomic<bool> is_over{false};
  } busy;
  std::atomic<int> calls{0};
  SharedThread sut({.name = "latd-shared"}, [&](std::chrono::nanoseconds now) {
    ++calls;
    return now;
  });
  sut.add(busy);
  EXPECT_TRUE(happens([&] { return calls > 5; }));
  busy.is_over = true;
  sut.wait_until_left(busy);
}

}  // namespace
}  // namespace latticed::test
