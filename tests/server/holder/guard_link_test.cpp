// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/holder/guard_link.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <mutex>

#include "server/guard/safe_off_client.hpp"
#include "tests/support/deadline.hpp"
#include "tests/support/fake_guard.hpp"

namespace latticed {
namespace {

using test::FakeGuard;
using test::happens;
using enum HolderVerb;
using Kind = HolderEvent::Kind;

HolderCommand command(HolderVerb verb, const std::string& holder = "bias") {
  HolderCommand out;
  out.holder = holder;
  out.verb = verb;
  out.who = "Ada";
  out.token = 1;
  return out;
}

HolderCommand source(double level_v, double compliance_a = 1e-4) {
  HolderCommand out = command(set_source);
  out.source = {SourceMode::voltage, level_v, compliance_a};
  return out;
}

HolderCommand switched(HolderVerb verb, Switch wanted) {
  HolderCommand out = command(verb);
  out.wanted = wanted;
  return out;
}

class GuardLinkTest : public testing::Test {
 protected:
  void start_link(std::vector<std::string> holders = {}) {
    GuardLinkOptions options;
    options.socket = guard_.config().socket;
    options.holders = std::move(holders);
    options.longest_backoff = std::chrono::milliseconds(50);
    options.request_timeout = test::kPatience;
    options.on_event = [this](const HolderEvent& event) {
      const std::lock_guard lock(mutex_);
      events_.push_back(event);
      if (event.kind == Kind::trip) state_at_trip_ = link_.load()->status().at(0).state;
    };
    auto link = GuardLink::start(options);
    ASSERT_TRUE(link) << link.error().message;
    sut_ = std::move(*link);
    link_ = sut_.get();
  }
  void start() {
    guard_.start();
    start_link();
    ASSERT_TRUE(happens([&] { return is(ArmingState::disarmed); }));
  }
  void TearDown() override { sut_.reset(); }

  std::optional<HolderStatus> status() {
    const auto all = sut_->status();
    return all.empty() ? std::nullopt : std::optional(all.front());
  }
  bool is(ArmingState state) {
    const auto one = status();
    return one && one->state == state;
  }
  bool heard(Kind kind) {
    const std::lock_guard lock(mutex_);
    return std::any_of(events_.begin(), events_.end(),
                       [&](const HolderEvent& event) { return event.kind == kind; });
  }
  void turn_on(double level_v = 2.0) {
    for (const HolderCommand& one :
         {command(arm), source(level_v), switched(set_output, Switch::on)}) {
      const auto refused = sut_->request(one);
      ASSERT_FALSE(refused) << refused->message;
    }
    ASSERT_TRUE(happens([&] { return guard_.device().is_output_on.load(); }));
  }

  FakeGuard guard_;
  std::mutex mutex_;
  std::vector<HolderEvent> events_;
  ArmingState state_at_trip_ = ArmingState::disarmed;
  std::unique_ptr<GuardLink> sut_;
  std::atomic<GuardLink*> link_{nullptr};  // also while it ends, when sut_ is already null
};

TEST_F(GuardLinkTest, IsUnreachableWithoutAGuardAndSaysWhy) {
  start_link({"bias", "heat"});
  EXPECT_FALSE(sut_->is_connected());
  ASSERT_EQ(sut_->logs().size(), 2u);
  EXPECT_EQ(sut_->logs()[1]->name(), "heat");
  ASSERT_TRUE(happens([&] { return sut_->problem().find("guard.sock") != std::string::npos; }));
  const auto refused = sut_->request(command(arm));
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->code, ErrorCode::unavailable);
  guard_.start();
  EXPECT_TRUE(happens([&] { return sut_->is_connected(); }));
  EXPECT_EQ(sut_->problem(), "");
  EXPECT_TRUE(happens([&] { return heard(Kind::connected); }));
}

TEST_F(GuardLinkTest, RefusesAPathNoSocketCanHave) {
  GuardLinkOptions options;
  options.socket = std::string(200, 'x');
  EXPECT_FALSE(GuardLink::start(options));
}

TEST_F(GuardLinkTest, DescribesTheHolders) {
  start();
  ASSERT_TRUE(happens([&] { return sut_->descriptions().at(0).driver == "fake"; }));
  const HolderDescription holder = sut_->descriptions().at(0);
  EXPECT_EQ(holder.name, "bias");
  EXPECT_EQ(holder.limits, guard_.config().holders[0].policy.limits);
  EXPECT_EQ(holder.can.voltage_v, (HolderRange{-20.0, 20.0}));
  EXPECT_EQ(holder.can.on_link_loss, OnLinkLoss::outputs_off);
  EXPECT_EQ(holder.safe_temperature_k, 293.0);
}

TEST_F(GuardLinkTest, FillsTheHoldersLog) {
  start();
  guard_.device().bias_v.store(3.5);
  const auto log = sut_->logs().at(0);
  ASSERT_TRUE(happens([&] { return log->count() > 5 && log->latest()->bias_v == 3.5; }));
  EXPECT_EQ(log->out_of_order(), 0u);
  EXPECT_TRUE(happens([&] { return heard(Kind::samples); }));
  EXPECT_TRUE(happens([&] { return status()->last && status()->last->bias_v == 3.5; }));
  // The device's clock begins anew.
  const std::uint64_t before = log->count();
  guard_.device().clock.store(2);
  guard_.device().time_ns.store(1000);
  ASSERT_TRUE(happens([&] { return log->latest()->time_ns < 1'000'000'000; }));
  EXPECT_GE(log->count(), before);
  EXPECT_FALSE(log->at(0));
}

TEST_F(GuardLinkTest, RampsAndStops) {
  guard_.config().holders[0].policy.limits.voltage_v_per_s =
      0.2;  // 25 s: a busy machine is in time to stop it
  start();
  turn_on(5.0);
  EXPECT_TRUE(
      happens([&] { return status()->is_ramping && status()->present.source.level > 0.02; }));
  EXPECT_EQ(status()->target.source.level, 5.0);
  EXPECT_EQ(status()->armed_by, "Ada");
  EXPECT_FALSE(sut_->request(command(stop)));
  EXPECT_TRUE(happens([&] { return !status()->is_ramping; }));
  EXPECT_LT(status()->present.source.level, 5.0);
  EXPECT_FALSE(sut_->request(command(off)));
  EXPECT_TRUE(happens([&] { return !guard_.device().is_output_on.load(); }));
}

TEST_F(GuardLinkTest, WhoHasTheAnswerKnowsTheStateItLedTo) {
  start();
  for (int round = 0; round < 20; ++round) {
    ASSERT_FALSE(sut_->request(command(arm)));
    EXPECT_EQ(status()->state, ArmingState::armed);
    EXPECT_EQ(status()->armed_by, "Ada");
    ASSERT_FALSE(sut_->request(source(1.0 + 0.1 * round)));
    EXPECT_EQ(status()->target.source.level, 1.0 + 0.1 * round);
    ASSERT_FALSE(sut_->request(command(off)));
    EXPECT_EQ(status()->state, ArmingState::disarmed);
  }
}

TEST_F(GuardLinkTest, GivesRefusalsWithTheirNumbers) {
  start();
  ASSERT_FALSE(sut_->request(command(arm)));
  const auto refused = sut_->request(source(12.0));
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->code, ErrorCode::out_of_range);
  EXPECT_EQ(refused->reason, Refusal::above_limit);
  EXPECT_EQ(refused->value, 12.0);
  EXPECT_EQ(refused->limit, 10.0);
  EXPECT_EQ(refused->unit, "V");
  EXPECT_EQ(refused->message, "set_source 12 V: above holder limit 10 V");
  const auto nan = sut_->request(source(kNotMeasured));
  ASSERT_TRUE(nan);
  EXPECT_EQ(nan->reason, Refusal::not_a_number);
  EXPECT_EQ(sut_->request(command(arm, "nobody"))->reason, Refusal::no_such_holder);
  HolderCommand old = source(1.0);
  old.token = 0;
  EXPECT_EQ(sut_->request(old)->reason, Refusal::stale_token);
}

TEST_F(GuardLinkTest, ATripIsAnEventAndAState) {
  start();
  turn_on();
  guard_.device().bias_v.store(10.5);
  ASSERT_TRUE(happens([&] { return is(ArmingState::tripped); }));
  EXPECT_EQ(status()->cause, TripCause::voltage_limit);
  EXPECT_TRUE(happens([&] { return heard(Kind::trip); }));
  EXPECT_EQ(state_at_trip_, ArmingState::tripped);  // who hears of it finds it in the status
  EXPECT_TRUE(happens([&] { return !guard_.device().is_output_on.load(); }));
  EXPECT_EQ(sut_->request(switched(set_output, Switch::on))->reason, Refusal::not_armed);
}

TEST_F(GuardLinkTest, ADeviceThatRefusesTrips) {
  start();
  guard_.device().refuses.store(true);
  ASSERT_FALSE(sut_->request(command(arm)));
  ASSERT_FALSE(sut_->request(source(1.0)));
  ASSERT_FALSE(sut_->request(switched(set_output, Switch::on)));
  ASSERT_TRUE(happens([&] { return is(ArmingState::tripped); }));
  EXPECT_EQ(status()->cause, TripCause::write_failed);
}

TEST_F(GuardLinkTest, ADriverThatHangsIsMadeSafeWithoutIt) {
  start();
  turn_on();
  guard_.device().hangs.store(true);
  ASSERT_TRUE(happens([&] { return !guard_.device().is_output_on.load(); }));
  ASSERT_TRUE(happens([&] { return is(ArmingState::tripped); }));
  EXPECT_EQ(status()->cause, TripCause::driver_hung);
  const int made_safe = guard_.device().made_safe.load();
  guard_.device().hangs.store(false);  // what it was about to write does not come through
  ASSERT_TRUE(happens([&] { return guard_.device().made_safe.load() > made_safe; }));
  EXPECT_FALSE(guard_.device().is_output_on.load());
}

TEST_F(GuardLinkTest, OffDoesNotWaitForADriverThatHangs) {
  guard_.config().driver_patience_ms = 60000;
  start();
  turn_on();
  guard_.device().hangs.store(true);
  EXPECT_TRUE(is(ArmingState::armed));
  ASSERT_FALSE(sut_->request(command(off)));
  EXPECT_TRUE(happens([&] { return !guard_.device().is_output_on.load(); }));
}

TEST_F(GuardLinkTest, ALostDeviceComesBackDisarmed) {
  start();
  turn_on();
  guard_.device().is_lost.store(true);
  ASSERT_TRUE(happens([&] { return is(ArmingState::unreachable); }));
  EXPECT_EQ(sut_->request(command(arm))->reason, Refusal::unreachable);
  guard_.device().is_lost.store(false);
  ASSERT_TRUE(happens([&] { return is(ArmingState::disarmed); }));
  EXPECT_EQ(status()->cause, TripCause::device_lost);
  EXPECT_FALSE(guard_.device().is_output_on.load());
}

TEST_F(GuardLinkTest, SafeOffNeedsNobodyAndHitsEveryHolder) {
  FakeGuard two({"bias", "heat"});
  two.start();
  ASSERT_TRUE(happens([&] { return two.device(0).opened > 0 && two.device(1).opened > 0; }));
  const int before = two.device(1).made_safe.load();
  auto said = safe_off(two.config().safe_off_socket, SafeOff::at_once);
  ASSERT_TRUE(said) << said.error().message;
  EXPECT_EQ(*said, "ok off issued");
  EXPECT_TRUE(happens([&] { return two.device(1).made_safe.load() > before; }));
  EXPECT_TRUE(safe_off(two.config().safe_off_socket, SafeOff::ramp));
  EXPECT_FALSE(safe_off("/nowhere/safe-off.sock", SafeOff::ramp));
}

TEST_F(GuardLinkTest, OneCommandForAllHolders) {
  start();
  turn_on();
  EXPECT_FALSE(sut_->request(command(safe, "")));
  EXPECT_TRUE(happens([&] { return !guard_.device().is_output_on.load(); }));
  EXPECT_EQ(sut_->request(command(arm, ""))->reason, Refusal::no_such_holder);
}

TEST_F(GuardLinkTest, ConnectsAgainToAGuardThatWasStartedAnew) {
  start();
  turn_on();
  guard_.stop();
  EXPECT_FALSE(guard_.device().is_output_on.load());
  ASSERT_TRUE(happens([&] { return !sut_->is_connected() && heard(Kind::disconnected); }));
  EXPECT_TRUE(is(ArmingState::unreachable));
  guard_.start();
  ASSERT_TRUE(happens([&] { return sut_->is_connected() && is(ArmingState::disarmed); }));
}

TEST_F(GuardLinkTest, AnswersEveryRequestOnceWhateverBecomesOfTheGuard) {
  start();
  std::atomic<int> answered{0};
  constexpr int kRequests = 200;
  for (int i = 0; i < kRequests; ++i) {
    sut_->request(command(hold), [&](GuardResult) { ++answered; });
    if (i == kRequests / 2) guard_.stop();
  }
  sut_.reset();
  EXPECT_EQ(answered.load(), kRequests);
}

TEST_F(GuardLinkTest, StopsAndRefusesWhatIsAskedAfterwards) {
  start();
  sut_->stop();
  EXPECT_FALSE(sut_->is_connected());
  const GuardResult refused = sut_->request(command(hold));
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->code, ErrorCode::unavailable);
  EXPECT_NE(refused->message.find("closed"), std::string::npos) << refused->message;
  EXPECT_EQ(sut_->descriptions().size(), 1U);  // what is known stays
  sut_->stop();
}

}  // namespace
}  // namespace latticed
