// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/guard/control.hpp"

#include <gtest/gtest.h>

#include "tests/conformance/allocations.hpp"
#include "tests/support/fake_holder.hpp"

namespace latticed {
namespace {

using namespace std::chrono_literals;

/// The control thread's rounds by hand; the test is server and worker.
class ControlTest : public testing::Test {
 protected:
  ControlTest()
      : channel_(std::make_shared<Channel>("bias", policy())),
        sut_({channel_}, {500ms, 100ms}, [] {}) {
    channel_->holder.store(&holder_);
    DriverReport opened;
    opened.kind = DriverReport::Kind::opened;
    opened.link = 1;
    opened.can = holder_.capabilities();
    channel_->reports.push(opened);
    tick();
  }
  static HolderPolicy policy() {
    HolderPolicy out;
    out.limits.voltage_v = {-1.0, 10.0};
    out.limits.current_a = {-1e-3, 1e-3};
    out.limits.voltage_v_per_s = 1.0;
    out.limits.current_a_per_s = 1.0;
    return out;
  }
  void tick(bool beats = true) {
    now_ += 10ms;
    if (beats) sut_.heartbeat();
    DriverReport answered;
    answered.link = 1;
    channel_->reports.push(answered);
    sut_.tick(now_);
    channel_->orders.take(orders_);
  }
  Refusal tell(CoreCommand command) {
    command.is_somebody = true;
    command.lowered_seen = channel_->lowered.load();
    channel_->commands.push({++number_, command});
    tick();
    NumberedAnswer answer;
    EXPECT_TRUE(channel_->answers.pop(answer));
    EXPECT_EQ(answer.number, number_);
    return answer.answer.reason;
  }
  Refusal tell(HolderVerb verb) {
    CoreCommand command;
    command.verb = verb;
    return tell(command);
  }
  void turn_on() {
    ASSERT_EQ(tell(HolderVerb::arm), Refusal::none);
    CoreCommand command;
    command.verb = HolderVerb::set_source;
    command.source = {SourceMode::voltage, 5.0, 1e-4};
    ASSERT_EQ(tell(command), Refusal::none);
    command.verb = HolderVerb::set_output;
    command.wanted = Switch::on;
    ASSERT_EQ(tell(command), Refusal::none);
    for (int i = 0; i < 10; ++i) tick();
    ASSERT_TRUE(orders_.setpoints.is_output_on);
  }

  std::shared_ptr<test::FakeDevice> device_ = std::make_shared<test::FakeDevice>();
  test::FakeHolder holder_{device_};
  std::shared_ptr<Channel> channel_;
  Control sut_;
  Control::Clock::time_point now_ = Control::Clock::now();
  Orders orders_;
  std::uint64_t number_ = 0;
};

TEST_F(ControlTest, OrdersAreOutBeforeTheAnswer) {
  turn_on();
  CoreCommand command;
  command.verb = HolderVerb::off;
  channel_->commands.push({99, command});
  tick();
  EXPECT_FALSE(orders_.setpoints.is_output_on);
  EXPECT_EQ(orders_.cuts, channel_->cuts.load());
  NumberedAnswer answer;
  ASSERT_TRUE(channel_->answers.pop(answer));
  EXPECT_EQ(answer.number, 99u);
}

TEST_F(ControlTest, ASilentDaemonIsALostHeartbeat) {
  turn_on();
  now_ += 600ms;  // later than any heartbeat
  tick(false);
  CoreStatus status;
  ASSERT_TRUE(channel_->status.take(status));
  EXPECT_EQ(status.state, ArmingState::disarmed);
  EXPECT_EQ(status.cause, TripCause::heartbeat_lost);
}

TEST_F(ControlTest, DemandsAreIssuedInTheNextRound) {
  turn_on();
  const std::uint64_t off = sut_.demand_off();
  EXPECT_FALSE(sut_.is_issued(0, off));
  tick();
  EXPECT_TRUE(sut_.is_issued(0, off));
  EXPECT_FALSE(orders_.setpoints.is_output_on);
}

TEST_F(ControlTest, MakesSafeItselfWhenTheWorkerIsStuckInTheDriver) {
  turn_on();
  device_->is_output_on.store(true);
  channel_->busy_since_ns.store(now_.time_since_epoch().count());
  tick();
  EXPECT_EQ(device_->made_safe.load(), 0);
  for (int i = 0; i < 20; ++i) tick();
  EXPECT_EQ(device_->made_safe.load(), 1);  // once a call
  EXPECT_FALSE(device_->is_output_on.load());
  CoreStatus status;
  ASSERT_TRUE(channel_->status.take(status));
  EXPECT_EQ(status.cause, TripCause::driver_hung);
}

TEST_F(ControlTest, ACutDoesNotWaitForABusyDriver) {
  turn_on();
  channel_->busy_since_ns.store(now_.time_since_epoch().count());
  ASSERT_EQ(tell(HolderVerb::off), Refusal::none);
  for (int i = 0; i < 4; ++i) tick();
  EXPECT_EQ(device_->made_safe.load(), 1);
}

TEST_F(ControlTest, ARoundAllocatesNothing) {
  turn_on();
  DriverReport sample;
  sample.kind = DriverReport::Kind::sample;
  sample.link = 1;
  const std::uint64_t before = test::allocations_of_this_thread();
  for (int i = 0; i < 1000; ++i) {
    channel_->reports.push(sample);
    if (i % 100 == 0) tell(HolderVerb::hold);
    if (i % 250 == 0) sut_.demand_safe();
    if (i == 700) sut_.demand_off();
    tick();
  }
  EXPECT_EQ(test::allocations_of_this_thread() - before, 0u);
}

}  // namespace
}  // namespace latticed
