// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/guard/holder_core.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

namespace latticed {
namespace {

using namespace std::chrono_literals;
using enum HolderVerb;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();

HolderPolicy policy() {
  HolderPolicy out;
  out.limits.voltage_v = {-1.0, 10.0};
  out.limits.current_a = {-1e-3, 1e-3};
  out.limits.temperature_k = {280.0, 600.0};
  out.limits.voltage_v_per_s = 1.0;
  out.limits.current_a_per_s = 1e-4;
  out.limits.temperature_k_per_s = 10.0;
  return out;
}

HolderCapabilities everything() {
  return {{-20.0, 20.0}, {-1.0, 1.0}, {1.0, 2000.0}, true, true, OnLinkLoss::outputs_off};
}

class HolderCoreTest : public testing::Test {
 protected:
  HolderCoreTest() { sut_.device_opened(everything(), now_); }

  Refusal tell(CoreCommand command) { return ask(command).reason; }
  CoreAnswer ask(CoreCommand command) {
    command.lowered_seen = sut_.lowered();
    return sut_.obey(command, now_);
  }
  Refusal tell(HolderVerb verb) {
    CoreCommand command;
    command.verb = verb;
    command.is_somebody = true;
    return tell(command);
  }
  Refusal turn(HolderVerb verb, Switch wanted) {
    CoreCommand command;
    command.verb = verb;
    command.wanted = wanted;
    return tell(command);
  }
  CoreAnswer source(double level, double compliance, SourceMode mode = SourceMode::voltage) {
    CoreCommand command;
    command.verb = set_source;
    command.source = {mode, level, compliance};
    return ask(command);
  }
  CoreAnswer temperature(double temperature_k) {
    CoreCommand command;
    command.verb = set_temperature;
    command.temperature_k = temperature_k;
    return ask(command);
  }
  /// A healthy device answers all the while.
  void pass(std::chrono::milliseconds time) {
    for (const auto end = now_ + time; now_ < end;) {
      now_ += 10ms;
      sut_.device_answered(now_);
      sut_.step(now_);
    }
  }
  void sample(double bias_v, double current_a = 0.0, double temperature_k = 293.0) {
    HolderSample out;
    out.bias_v = bias_v;
    out.current_a = current_a;
    out.temperature_k = temperature_k;
    sut_.take_sample(out, now_);
  }
  void raise_to(double level_v) {
    ASSERT_EQ(tell(arm), Refusal::none);
    ASSERT_EQ(source(level_v, 1e-4).reason, Refusal::none);
    ASSERT_EQ(turn(set_output, Switch::on), Refusal::none);
  }

  HolderCore::TimePoint now_{1h};
  HolderCore sut_{policy()};
};

TEST_F(HolderCoreTest, RampsAsSlowlyAsItIsAskedToAndNeverFasterThanTheLimit) {
  ASSERT_EQ(tell(arm), Refusal::none);
  CoreCommand slow;
  slow.verb = set_source;
  slow.source = {SourceMode::voltage, 1.0, 1e-3};
  slow.rate_per_s = 0.1;
  ASSERT_EQ(tell(slow), Refusal::none);
  ASSERT_EQ(turn(set_output, Switch::on), Refusal::none);
  pass(1000ms);
  EXPECT_NEAR(sut_.present().source.level, 0.1, 0.005);
  slow.rate_per_s = 1e9;
  const double from = sut_.present().source.level;
  ASSERT_EQ(tell(slow), Refusal::none);
  pass(10ms);
  EXPECT_LE(sut_.present().source.level - from, 1.01 * 0.01 * policy().limits.voltage_v_per_s);
  slow.rate_per_s = std::nan("");
  EXPECT_EQ(tell(slow), Refusal::not_a_number);
  slow.rate_per_s = -1.0;
  EXPECT_EQ(tell(slow), Refusal::below_limit);
}

TEST_F(HolderCoreTest, RampsAVoltageFromWhatIsThere) {
  ASSERT_EQ(tell(arm), Refusal::none);
  ASSERT_EQ(source(4.2, 1e-3).reason, Refusal::none);
  sample(3.9);
  ASSERT_EQ(turn(set_output, Switch::on), Refusal::none);
  pass(10ms);
  ASSERT_TRUE(sut_.present().is_output_on);
  EXPECT_NEAR(sut_.present().source.level, 3.9, 0.02);
  pass(2000ms);
  EXPECT_EQ(sut_.present().source.level, 4.2);
}

TEST_F(HolderCoreTest, OpensABatterysCircuitInsteadOfDischargingIt) {
  HolderPolicy battery = policy();
  battery.voltage_off = VoltageOff::open;
  for (const VoltageOff how : {VoltageOff::open, VoltageOff::ramp}) {
    battery.voltage_off = how;
    HolderCore sut(battery);
    sut.device_opened(everything(), now_);
    CoreCommand command;
    command.verb = arm;
    command.is_somebody = true;
    ASSERT_EQ(sut.obey(command, now_).reason, Refusal::none);
    command.verb = set_source;
    command.source = {SourceMode::voltage, 1.0, 1e-3};
    ASSERT_EQ(sut.obey(command, now_).reason, Refusal::none);
    command.verb = set_output;
    command.wanted = Switch::on;
    ASSERT_EQ(sut.obey(command, now_).reason, Refusal::none);
    const auto go_on = [&](int steps) {
      for (int i = 0; i < steps; ++i) {
        now_ += 10ms;
        sut.device_answered(now_);
        sut.step(now_);
      }
    };
    go_on(200);
    ASSERT_EQ(sut.present().source.level, 1.0);
    command.verb = safe;
    ASSERT_EQ(sut.obey(command, now_).reason, Refusal::none);
    go_on(2);
    EXPECT_EQ(sut.present().is_output_on, how == VoltageOff::ramp);
  }
}

TEST_F(HolderCoreTest, GoesSafeAtTheLimitsSlopeHoweverSlowlyItRose) {
  ASSERT_EQ(tell(arm), Refusal::none);
  CoreCommand slow;
  slow.verb = set_temperature;
  slow.temperature_k = 400.0;
  ASSERT_EQ(tell(slow), Refusal::none);
  ASSERT_EQ(turn(set_heater, Switch::on), Refusal::none);
  pass(30000ms);
  ASSERT_EQ(sut_.present().temperature_k, 400.0);
  slow.rate_per_s = 1e-6;
  ASSERT_EQ(tell(slow), Refusal::none);
  ASSERT_EQ(tell(safe), Refusal::none);
  pass(15000ms);  // well before the safe-off's own time limit
  EXPECT_FALSE(sut_.is_energised());
}

TEST_F(HolderCoreTest, IsDisarmedAtFirstAndTakesNothing) {
  EXPECT_EQ(sut_.status().state, ArmingState::disarmed);
  EXPECT_EQ(source(1.0, 1e-4).reason, Refusal::not_armed);
  EXPECT_EQ(turn(set_output, Switch::on), Refusal::not_armed);
  EXPECT_EQ(temperature(300.0).reason, Refusal::not_armed);
  EXPECT_EQ(turn(set_heater, Switch::on), Refusal::not_armed);
  pass(100ms);
  EXPECT_FALSE(sut_.is_energised());
}

TEST_F(HolderCoreTest, IsUnreachableBeforeItsDeviceIsThere) {
  HolderCore sut(policy());
  EXPECT_EQ(sut.status().state, ArmingState::unreachable);
  CoreCommand command;
  command.verb = arm;
  command.is_somebody = true;
  EXPECT_EQ(sut.obey(command, now_).reason, Refusal::unreachable);
}

TEST_F(HolderCoreTest, IsArmedByANamedPersonOnly) {
  CoreCommand command;
  command.verb = arm;
  EXPECT_EQ(tell(command), Refusal::nobody_named);
  command.is_somebody = true;
  EXPECT_EQ(tell(command), Refusal::none);
  EXPECT_EQ(sut_.status().state, ArmingState::armed);
  EXPECT_EQ(tell(command), Refusal::none);  // twice is harmless
}

TEST_F(HolderCoreTest, RampsFromZeroToItsTarget) {
  raise_to(2.0);
  pass(10ms);
  EXPECT_TRUE(sut_.present().is_output_on);
  EXPECT_EQ(sut_.present().source.level, 0.0);  // on first, then up
  EXPECT_TRUE(sut_.status().is_ramping);
  pass(1000ms);
  EXPECT_NEAR(sut_.present().source.level, 1.0, 1e-9);
  pass(1100ms);
  EXPECT_EQ(sut_.present().source.level, 2.0);
  EXPECT_FALSE(sut_.status().is_ramping);
}

TEST_F(HolderCoreTest, LateStepsDoNotCatchUp) {
  raise_to(5.0);
  pass(10ms);
  now_ += 900ms;
  sut_.step(now_);
  EXPECT_LE(sut_.present().source.level, 0.02 + 1e-12);
}

TEST_F(HolderCoreTest, HeatsFromWhereTheSpecimenIs) {
  ASSERT_EQ(tell(arm), Refusal::none);
  sample(0.0, 0.0, 350.0);
  ASSERT_EQ(temperature(400.0).reason, Refusal::none);
  ASSERT_EQ(turn(set_heater, Switch::on), Refusal::none);
  pass(10ms);
  EXPECT_EQ(sut_.present().temperature_k, 350.0);
  pass(1000ms);
  EXPECT_NEAR(sut_.present().temperature_k, 360.0, 1e-9);
}

TEST_F(HolderCoreTest, SaysWhichLimitWasPassedByHowMuch) {
  ASSERT_EQ(tell(arm), Refusal::none);
  CoreAnswer answer = source(12.0, 1e-4);
  EXPECT_EQ(answer.reason, Refusal::above_limit);
  EXPECT_EQ(answer.value, 12.0);
  EXPECT_EQ(answer.limit, 10.0);
  EXPECT_EQ(answer.unit, 'V');
  EXPECT_EQ(source(-1.5, 1e-4).reason, Refusal::below_limit);
  answer = source(1.0, 2e-3);
  EXPECT_EQ(answer.reason, Refusal::compliance_above_limit);
  EXPECT_EQ(answer.unit, 'A');
  EXPECT_EQ(source(1.0, 0.0).reason, Refusal::compliance_required);
  EXPECT_EQ(source(1.0, -1e-4).reason, Refusal::compliance_required);
  EXPECT_EQ(temperature(601.0).reason, Refusal::above_limit);
  EXPECT_EQ(temperature(279.0).reason, Refusal::below_limit);
  EXPECT_EQ(turn(set_output, Switch::on), Refusal::compliance_required);
}

TEST_F(HolderCoreTest, RefusesWhatIsNoNumber) {
  ASSERT_EQ(tell(arm), Refusal::none);
  for (const double bad : {kNan, kInf, -kInf}) {
    EXPECT_EQ(source(bad, 1e-4).reason, Refusal::not_a_number);
    EXPECT_EQ(source(1.0, bad).reason, Refusal::not_a_number);
    EXPECT_EQ(temperature(bad).reason, Refusal::not_a_number);
  }
}

TEST_F(HolderCoreTest, RefusesWhatTheDeviceCannot) {
  HolderCapabilities can;
  can.voltage_v = {-5.0, 5.0};
  can.current_a = {-1.0, 1.0};
  can.holds_current = true;
  sut_.device_opened(can, now_);
  ASSERT_EQ(tell(arm), Refusal::none);
  EXPECT_EQ(source(1.0, 1e-4).reason, Refusal::not_supported);   // cannot hold a voltage
  EXPECT_EQ(source(1e-4, 6.0, SourceMode::current).limit, 5.0);  // the device's, below ours
  EXPECT_EQ(temperature(300.0).reason, Refusal::not_supported);
  EXPECT_EQ(turn(set_heater, Switch::on), Refusal::not_supported);
}

TEST_F(HolderCoreTest, ChangesItsModeOnlyWithTheOutputOff) {
  raise_to(1.0);
  pass(100ms);
  EXPECT_EQ(source(1e-4, 1.0, SourceMode::current).reason, Refusal::mode_needs_output_off);
  ASSERT_EQ(turn(set_output, Switch::off), Refusal::none);
  pass(500ms);
  EXPECT_FALSE(sut_.present().is_output_on);
  EXPECT_EQ(source(1e-4, 1.0, SourceMode::current).reason, Refusal::none);
}

TEST_F(HolderCoreTest, RefusesAnOlderTokenForWhatRaisesOnly) {
  CoreCommand command;
  command.verb = arm;
  command.is_somebody = true;
  command.token = 7;
  ASSERT_EQ(tell(command), Refusal::none);
  command.verb = set_source;
  command.source = {SourceMode::voltage, 1.0, 1e-4};
  command.token = 6;
  EXPECT_EQ(tell(command), Refusal::stale_token);
  command.token = 8;
  EXPECT_EQ(tell(command), Refusal::none);
  command.token = 0;
  for (const HolderVerb verb : {hold, stop, safe, off, disarm}) {
    command.verb = verb;
    EXPECT_EQ(tell(command), Refusal::none) << to_string(verb);
  }
}

TEST_F(HolderCoreTest, ACommandFromBeforeASafeIsOvertaken) {
  raise_to(1.0);
  CoreCommand late;
  late.verb = set_source;
  late.source = {SourceMode::voltage, 2.0, 1e-4};
  late.lowered_seen = sut_.lowered();
  for (const HolderVerb verb : {stop, hold}) {
    late.lowered_seen = sut_.lowered();
    ASSERT_EQ(tell(verb), Refusal::none);
    EXPECT_EQ(sut_.obey(late, now_).reason, Refusal::overtaken);
  }
  late.verb = arm;
  late.is_somebody = true;
  late.lowered_seen = sut_.lowered();
  ASSERT_EQ(tell(off), Refusal::none);
  EXPECT_EQ(sut_.obey(late, now_).reason, Refusal::overtaken);
  EXPECT_FALSE(sut_.is_armed());
}

TEST_F(HolderCoreTest, StopHoldsTheLevelItHas) {
  raise_to(5.0);
  pass(1000ms);
  const double reached = sut_.present().source.level;
  ASSERT_EQ(tell(stop), Refusal::none);
  pass(1000ms);
  EXPECT_EQ(sut_.present().source.level, reached);
  EXPECT_EQ(sut_.status().target.source.level, reached);
  EXPECT_TRUE(sut_.is_armed());
}

TEST_F(HolderCoreTest, HoldKeepsTheTargetAndTheNextSetGoesOn) {
  raise_to(5.0);
  pass(1000ms);
  const double reached = sut_.present().source.level;
  ASSERT_EQ(tell(hold), Refusal::none);
  pass(1000ms);
  EXPECT_EQ(sut_.present().source.level, reached);
  EXPECT_EQ(sut_.status().target.source.level, 5.0);
  EXPECT_TRUE(sut_.status().is_holding);
  ASSERT_EQ(source(5.0, 1e-4).reason, Refusal::none);
  pass(1000ms);
  EXPECT_GT(sut_.present().source.level, reached);
}

TEST_F(HolderCoreTest, SafeRampsDownThenTurnsOffAndDisarms) {
  raise_to(1.0);
  ASSERT_EQ(temperature(310.0).reason, Refusal::none);
  ASSERT_EQ(turn(set_heater, Switch::on), Refusal::none);
  pass(3000ms);
  ASSERT_EQ(sut_.present().source.level, 1.0);
  ASSERT_EQ(tell(safe), Refusal::none);
  EXPECT_EQ(sut_.status().state, ArmingState::disarmed);
  EXPECT_TRUE(sut_.present().is_output_on);
  pass(500ms);
  EXPECT_NEAR(sut_.present().source.level, 0.5, 0.02);
  ASSERT_EQ(tell(safe), Refusal::none);  // again changes nothing
  ASSERT_EQ(tell(stop), Refusal::none);  // nothing but off interferes with it
  ASSERT_EQ(tell(hold), Refusal::none);
  EXPECT_EQ(tell(arm), Refusal::busy);
  pass(600ms);
  EXPECT_FALSE(sut_.present().is_output_on);
  EXPECT_TRUE(sut_.present().is_heater_on);
  pass(2000ms);
  EXPECT_FALSE(sut_.is_energised());
  EXPECT_EQ(sut_.cuts(), 0u);
}

TEST_F(HolderCoreTest, SafeThatTakesTooLongIsOff) {
  HolderPolicy slow = policy();
  slow.limits.voltage_v_per_s = 1e-3;
  slow.longest_safe = 1s;
  sut_.~HolderCore();
  new (&sut_) HolderCore(slow);
  sut_.device_opened(everything(), now_);
  raise_to(1.0);
  pass(5000ms);
  ASSERT_EQ(tell(safe), Refusal::none);
  pass(900ms);
  EXPECT_TRUE(sut_.is_energised());
  pass(200ms);
  EXPECT_FALSE(sut_.is_energised());
  EXPECT_EQ(sut_.cuts(), 1u);
}

TEST_F(HolderCoreTest, OffIsAtOnceAndNothingComesBackByItself) {
  raise_to(1.0);
  pass(2000ms);
  ASSERT_EQ(tell(off), Refusal::none);
  EXPECT_FALSE(sut_.is_energised());
  EXPECT_EQ(sut_.cuts(), 1u);
  pass(1000ms);
  EXPECT_FALSE(sut_.is_energised());
  ASSERT_EQ(tell(arm), Refusal::none);
  pass(1000ms);
  EXPECT_FALSE(sut_.is_energised());
  EXPECT_EQ(turn(set_output, Switch::on), Refusal::compliance_required);  // set anew
}

TEST_F(HolderCoreTest, TwoSamplesOverALimitTripIt) {
  raise_to(1.0);
  pass(1000ms);
  sample(10.5);
  EXPECT_TRUE(sut_.is_energised());
  sample(9.0);
  sample(10.5);
  EXPECT_TRUE(sut_.is_energised());  // not in a row
  sample(11.0);
  EXPECT_FALSE(sut_.is_energised());
  const CoreStatus status = sut_.status();
  EXPECT_EQ(status.state, ArmingState::tripped);
  EXPECT_EQ(status.cause, TripCause::voltage_limit);
  EXPECT_EQ(status.trip_value, 11.0);
  EXPECT_EQ(status.trip_limit, 10.0);
  EXPECT_EQ(status.trips, 1u);
  EXPECT_EQ(tell(arm), Refusal::none);
  EXPECT_EQ(sut_.status().cause, TripCause::none);
}

TEST_F(HolderCoreTest, EveryMeasuredQuantityTrips) {
  const auto tripped_by = [&](double v, double a, double k) {
    raise_to(1.0);
    pass(100ms);
    sample(v, a, k);
    sample(v, a, k);
    return sut_.status().cause;
  };
  EXPECT_EQ(tripped_by(-2.0, 0.0, 293.0), TripCause::voltage_limit);
  EXPECT_EQ(tripped_by(1.0, 2e-3, 293.0), TripCause::current_limit);
  EXPECT_EQ(tripped_by(1.0, 0.0, 700.0), TripCause::temperature_limit);
  EXPECT_EQ(tripped_by(kInf, 0.0, 293.0), TripCause::voltage_limit);
  EXPECT_EQ(tripped_by(kNan, kNan, kNan), TripCause::none);  // not measured
}

TEST_F(HolderCoreTest, ASpecimensOwnVoltageTripsNothingThatIsOff) {
  ASSERT_EQ(tell(arm), Refusal::none);
  for (int i = 0; i < 5; ++i) sample(11.0);
  EXPECT_EQ(sut_.status().state, ArmingState::armed);
}

TEST_F(HolderCoreTest, ASilentDeviceTrips) {
  raise_to(1.0);
  pass(100ms);
  for (int i = 0; i < 101; ++i) {
    now_ += 10ms;
    sut_.step(now_);
  }
  EXPECT_EQ(sut_.status().cause, TripCause::stale_readback);
  EXPECT_FALSE(sut_.is_energised());
  EXPECT_EQ(tell(arm), Refusal::readback_stale);
}

TEST_F(HolderCoreTest, HeartbeatLossMakesSafeAndDisarms) {
  raise_to(1.0);
  pass(1100ms);
  sut_.heartbeat_lost(now_);
  EXPECT_EQ(sut_.status().state, ArmingState::disarmed);
  EXPECT_EQ(sut_.status().cause, TripCause::heartbeat_lost);
  pass(1100ms);
  EXPECT_FALSE(sut_.is_energised());
}

TEST_F(HolderCoreTest, HeartbeatLossWithHoldKeepsTheOutputAndTakesNothing) {
  HolderPolicy holding = policy();
  holding.on_heartbeat_loss = OnHeartbeatLoss::hold;
  sut_.~HolderCore();
  new (&sut_) HolderCore(holding);
  sut_.device_opened(everything(), now_);
  raise_to(5.0);
  pass(1000ms);
  const double reached = sut_.present().source.level;
  sut_.heartbeat_lost(now_);
  pass(1000ms);
  EXPECT_TRUE(sut_.present().is_output_on);
  EXPECT_EQ(sut_.present().source.level, reached);
  EXPECT_EQ(source(1.0, 1e-4).reason, Refusal::not_armed);
  sample(11.0);
  sample(11.0);
  EXPECT_FALSE(sut_.is_energised());  // it is still watched
}

TEST_F(HolderCoreTest, ALostDeviceComesBackDisarmed) {
  raise_to(1.0);
  pass(1000ms);
  sut_.device_lost();
  EXPECT_EQ(sut_.status().state, ArmingState::unreachable);
  EXPECT_FALSE(sut_.is_energised());
  EXPECT_EQ(tell(arm), Refusal::unreachable);
  sut_.device_opened(everything(), now_);
  pass(100ms);
  EXPECT_EQ(sut_.status().state, ArmingState::disarmed);
  EXPECT_EQ(sut_.status().cause, TripCause::device_lost);
  EXPECT_FALSE(sut_.is_energised());
}

// Every value of a small grid, on both sides of every limit: what is outside is never accepted.
TEST_F(HolderCoreTest, AcceptsNothingOutsideItsLimits) {
  ASSERT_EQ(tell(arm), Refusal::none);
  const HolderLimits limits = policy().limits;
  int accepted = 0;
  for (int mode = 0; mode < 2; ++mode) {
    const auto which = static_cast<SourceMode>(mode);
    const HolderRange& own = mode == 0 ? limits.voltage_v : limits.current_a;
    const HolderRange& other = mode == 0 ? limits.current_a : limits.voltage_v;
    const double most = std::max(std::abs(other.low), std::abs(other.high));
    for (int i = -60; i <= 60; ++i) {
      for (int j = -60; j <= 60; ++j) {
        double level = own.high * i / 40.0;
        double compliance = most * j / 40.0;
        for (const int ulp : {-1, 0, 1}) {
          if (ulp != 0) level = std::nextafter(level, ulp > 0 ? kInf : -kInf);
          const bool is_inside = own.contains(level) && compliance > 0.0 && compliance <= most;
          ASSERT_EQ(source(level, compliance, which).reason == Refusal::none, is_inside)
              << to_string(which) << " " << level << " " << compliance;
          accepted += is_inside ? 1 : 0;
        }
      }
    }
  }
  EXPECT_GT(accepted, 5000);
}

// Random commands, samples, pauses and losses: no write is ever outside the limits, none is steeper
// than the slope but for an immediate off, and nothing is energised without somebody having armed.
TEST_F(HolderCoreTest, NoSequenceOfEventsBreaksARule) {
  const HolderLimits limits = policy().limits;
  for (std::uint32_t seed = 1; seed <= 200; ++seed) {
    std::mt19937 random(seed);
    const auto pick = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
    const auto real = [&](double low, double high) {
      return std::uniform_real_distribution<double>(low, high)(random);
    };
    HolderCore sut(policy());
    sut.device_opened(everything(), now_);
    bool was_armed = false;
    double last_bias_v = 0.0;
    auto sampled_at = now_ - 1h;
    HolderSetpoints before = sut.present();
    for (int i = 0; i < 3000; ++i) {
      const auto passed = std::chrono::microseconds(pick(30000));
      now_ += passed;
      if (pick(20) != 0) sut.device_answered(now_);
      CoreCommand command;
      command.verb = static_cast<HolderVerb>(pick(10));
      command.is_somebody = pick(2) == 0;
      command.wanted = pick(3) == 0 ? Switch::off : Switch::on;
      command.source = {pick(4) == 0 ? SourceMode::current : SourceMode::voltage, real(-2.0, 12.0),
                        pick(10) == 0 ? kNan : real(-1e-3, 2e-3)};
      if (command.source.mode == SourceMode::current)
        command.source = {SourceMode::current, real(-2e-3, 2e-3), real(-1.0, 12.0)};
      command.temperature_k = real(250.0, 650.0);
      command.lowered_seen = sut.lowered();
      if (command.verb >= hold && pick(20) != 0) command.verb = set_source;
      if (pick(3) == 0 && sut.obey(command, now_).reason == Refusal::none && command.verb == arm)
        was_armed = true;
      if (pick(400) == 0) sut.heartbeat_lost(now_);
      if (pick(500) == 0) {
        sut.device_lost();
        sut.device_opened(everything(), now_);
        was_armed = false;
        sampled_at = now_ - 1h;
        before = sut.present();
      }
      HolderSample measured;
      measured.temperature_k = real(285.0, 500.0);
      measured.bias_v = real(-0.9, 9.9);
      if (pick(10) == 0) {
        sut.take_sample(measured, now_);
        last_bias_v = measured.bias_v;
        sampled_at = now_;
      }
      sut.step(now_);
      const HolderSetpoints& now = sut.present();
      const double passed_s = 1e-6 * static_cast<double>(passed.count());
      if (now.is_output_on) {
        ASSERT_TRUE(was_armed) << "seed " << seed;
        const bool is_voltage = now.source.mode == SourceMode::voltage;
        ASSERT_TRUE((is_voltage ? limits.voltage_v : limits.current_a).contains(now.source.level));
        ASSERT_GT(now.source.compliance, 0.0);
        const bool is_known = is_voltage && now_ - sampled_at <= policy().stale_after;
        const double rest = is_known ? last_bias_v : 0.0;
        const double from = before.is_output_on ? before.source.level : rest;
        const double slope = is_voltage ? limits.voltage_v_per_s : limits.current_a_per_s;
        ASSERT_LE(std::abs(now.source.level - from), 1.01 * slope * passed_s + 1e-15)
            << "seed " << seed << " event " << i;
      }
      if (now.is_heater_on) {
        ASSERT_TRUE(was_armed) << "seed " << seed;
        ASSERT_TRUE(limits.temperature_k.contains(now.temperature_k));
        if (before.is_heater_on) {
          ASSERT_LE(std::abs(now.temperature_k - before.temperature_k),
                    1.01 * limits.temperature_k_per_s * passed_s + 1e-12);
        }
      }
      before = now;
    }
  }
}

}  // namespace
}  // namespace latticed
