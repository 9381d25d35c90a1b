// SPDX-License-Identifier: GPL-3.0-or-later
// What every holder driver must do, in one suite. A driver's test gives a factory and instantiates:
//
//   INSTANTIATE_TEST_SUITE_P(Mine, HolderConformance, testing::Values(HolderCase{"mine", make}));
//
// and links latticed_conformance plus its driver. Samples must flow while the suite runs. A source
// that holds both is a case for each.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <thread>

#include "drivers/kit/holder.hpp"
#include "tests/conformance/allocations.hpp"
#include "tests/support/deadline.hpp"

namespace latticed::test {

/// A holder and whatever must live as long as it; `lose` breaks its link, `restore` allows a new
/// one.
struct HolderUnderTest {
  std::shared_ptr<void> surroundings;
  std::unique_ptr<Holder> holder;
  std::function<void()> lose, restore;
};

struct HolderCase {
  std::string name;
  std::function<HolderUnderTest()> make;
  SourceMode mode = SourceMode::current;  // what its source is to hold
};

inline void PrintTo(const HolderCase& which, std::ostream* out) { *out << which.name; }

class HolderConformance : public testing::TestWithParam<HolderCase> {
 protected:
  static constexpr std::chrono::milliseconds kTimeout{5000};

  void SetUp() override {
    under_test_ = GetParam().make();
    ASSERT_NE(under_test_.holder, nullptr);
  }
  Holder& sut() { return *under_test_.holder; }

  /// A quarter of what it can, with the smallest sensible compliance.
  SourceSetpoint some_source() {
    const HolderCapabilities& can = sut().capabilities();
    if (GetParam().mode == SourceMode::current)
      return {SourceMode::current, 0.25 * can.current_a.high, can.voltage_v.high};
    return {SourceMode::voltage, 0.25 * can.voltage_v.high, can.current_a.high};
  }
  bool has_source() {
    return sut().capabilities().holds_current || sut().capabilities().holds_voltage;
  }
  bool has_heater() { return !sut().capabilities().temperature_k.is_absent(); }

  /// The first sample from now on for which it is so; nothing when none comes in time.
  std::optional<HolderSample> await(const std::function<bool(const HolderSample&)>& is_so) {
    std::optional<HolderSample> found;
    std::array<HolderSample, 16> samples;
    const bool happened = happens([&] {
      const auto reading = sut().read(samples, kTimeout);
      if (!reading) return true;
      for (std::size_t i = 0; i < reading->count && !found; ++i)
        if (is_so(samples[i])) found = samples[i];
      return found.has_value();
    });
    EXPECT_TRUE(happened);
    return found;
  }
  void turn_on() {
    if (has_source()) {
      ASSERT_TRUE(sut().set_source(some_source()));
      ASSERT_TRUE(sut().set_output(Switch::on));
      ASSERT_TRUE(await([](const HolderSample& s) { return s.is_output_on; }));
    }
    if (has_heater()) {
      ASSERT_TRUE(sut().set_temperature(sut().capabilities().temperature_k.high));
      ASSERT_TRUE(sut().set_heater(Switch::on));
      ASSERT_TRUE(await([](const HolderSample& s) { return s.is_heater_on; }));
    }
  }
  static bool is_off(const HolderSample& s) { return !s.is_output_on && !s.is_heater_on; }

  HolderUnderTest under_test_;
};

TEST_P(HolderConformance, IsNamedConnectedAndSaysWhatItCan) {
  EXPECT_FALSE(sut().info().name.empty());
  EXPECT_FALSE(sut().info().driver.empty());
  EXPECT_EQ(sut().state(), DeviceState::configured);
  EXPECT_TRUE(has_source() || has_heater());
  if (has_source()) {
    EXPECT_FALSE(sut().capabilities().voltage_v.is_absent());
    EXPECT_FALSE(sut().capabilities().current_a.is_absent());
    const bool is_voltage = GetParam().mode == SourceMode::voltage;
    EXPECT_TRUE(is_voltage ? sut().capabilities().holds_voltage
                           : sut().capabilities().holds_current);
  }
}

TEST_P(HolderConformance, IsOffWhenItIsOpened) {
  const auto first = await([](const HolderSample&) { return true; });
  ASSERT_TRUE(first);
  EXPECT_TRUE(is_off(*first));
}

TEST_P(HolderConformance, TimesOfSamplesAscendWithinOneClock) {
  std::array<HolderSample, 16> samples;
  std::int64_t before = kUnknownTime;
  std::optional<std::uint32_t> clock;
  int seen = 0;
  ASSERT_TRUE(happens([&] {
    const auto reading = sut().read(samples, kTimeout);
    EXPECT_TRUE(reading);
    if (!reading) return true;
    if (clock != reading->clock) before = kUnknownTime;
    clock = reading->clock;
    for (std::size_t i = 0; i < reading->count; ++i, ++seen) {
      EXPECT_GT(samples[i].time_ns, before);
      before = samples[i].time_ns;
    }
    return seen >= 20;
  }));
}

TEST_P(HolderConformance, KeepsForTheNextReadWhatHadNoRoom) {
  std::array<HolderSample, 1> one;
  std::int64_t before = kUnknownTime;
  int seen = 0;
  ASSERT_TRUE(happens([&] {
    const auto reading = sut().read(one, kTimeout);
    EXPECT_TRUE(reading && reading->count <= 1);
    if (!reading || reading->count == 0) return !reading.has_value();
    EXPECT_GT(one[0].time_ns, before);
    before = one[0].time_ns;
    return ++seen >= 10;
  }));
}

TEST_P(HolderConformance, RefusesWhatIsNoNumberAndWhatItCannot) {
  const HolderCapabilities& can = sut().capabilities();
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double inf = std::numeric_limits<double>::infinity();
  const auto refused = [](const Result<void>& result) {
    return !result && !result.error().message.empty() &&
           (result.error().code == ErrorCode::out_of_range ||
            result.error().code == ErrorCode::invalid_argument);
  };
  if (has_source()) {
    for (const double bad : {nan, inf, -inf, 1e300}) {
      SourceSetpoint source = some_source();
      source.level = bad;
      EXPECT_TRUE(refused(sut().set_source(source))) << bad;
      source = some_source();
      source.compliance = bad;
      EXPECT_TRUE(refused(sut().set_source(source))) << bad;
    }
    SourceSetpoint other = some_source();
    other.compliance = 0.0;
    EXPECT_TRUE(refused(sut().set_source(other)));
    const bool is_voltage = other.mode == SourceMode::voltage;
    const HolderRange& level = is_voltage ? can.voltage_v : can.current_a;
    const HolderRange& compliance = is_voltage ? can.current_a : can.voltage_v;
    for (const double bad : {level.low - 0.01, level.high + 0.01}) {
      other = some_source();
      other.level = bad;
      EXPECT_TRUE(refused(sut().set_source(other))) << bad;
    }
    other = some_source();
    other.compliance = compliance.high + 0.01;
    EXPECT_TRUE(refused(sut().set_source(other)));
    if (!(can.holds_current && can.holds_voltage)) {
      other = {can.holds_current ? SourceMode::voltage : SourceMode::current, 0.0, 1e-3};
      EXPECT_TRUE(refused(sut().set_source(other)));
    }
  }
  if (has_heater()) {
    for (const double bad : {nan, inf, -inf, -1.0, can.temperature_k.high + 1.0})
      EXPECT_TRUE(refused(sut().set_temperature(bad))) << bad;
  }
  EXPECT_EQ(sut().state(), DeviceState::configured);
}

TEST_P(HolderConformance, TurnsOnAndOffWhatItIsTold) {
  turn_on();
  if (has_source()) {
    ASSERT_TRUE(sut().set_output(Switch::off));
    ASSERT_TRUE(await([](const HolderSample& s) { return !s.is_output_on; }));
  }
  if (has_heater()) {
    ASSERT_TRUE(sut().set_heater(Switch::off));
    ASSERT_TRUE(await([](const HolderSample& s) { return !s.is_heater_on; }));
  }
}

TEST_P(HolderConformance, HoldsTheOtherQuantityAfterTheOutputWasOff) {
  const HolderCapabilities& can = sut().capabilities();
  if (!(can.holds_voltage && can.holds_current)) GTEST_SKIP() << "holds one quantity only";
  turn_on();
  ASSERT_TRUE(sut().set_output(Switch::off));
  const SourceSetpoint other =
      GetParam().mode == SourceMode::current
          ? SourceSetpoint{SourceMode::voltage, 0.25 * can.voltage_v.high, can.current_a.high}
          : SourceSetpoint{SourceMode::current, 0.25 * can.current_a.high, can.voltage_v.high};
  EXPECT_TRUE(sut().set_source(other));
  EXPECT_TRUE(sut().set_output(Switch::on));
  EXPECT_TRUE(await([](const HolderSample& s) { return s.is_output_on; }));
}

TEST_P(HolderConformance, SettingASourceTurnsNothingOn) {
  if (!has_source()) GTEST_SKIP() << "no source";
  ASSERT_TRUE(sut().set_source(some_source()));
  std::array<HolderSample, 16> samples;
  ASSERT_TRUE(sut().read(samples, kTimeout));
  const auto later = await([](const HolderSample&) { return true; });
  ASSERT_TRUE(later);
  EXPECT_FALSE(later->is_output_on);
}

TEST_P(HolderConformance, MakeSafeTurnsAllOffAndTwiceIsHarmless) {
  turn_on();
  sut().make_safe();
  sut().make_safe();
  EXPECT_TRUE(await(is_off));
  EXPECT_EQ(sut().state(), DeviceState::configured);
}

TEST_P(HolderConformance, MakeSafeFromAnyThreadAllocatesNothing) {
  turn_on();
  std::uint64_t allocations = 1;
  std::thread other([&] {
    const std::uint64_t before = allocations_of_this_thread();
    sut().make_safe();
    allocations = allocations_of_this_thread() - before;
  });
  other.join();
  EXPECT_EQ(allocations, 0u);
  EXPECT_TRUE(await(is_off));
}

TEST_P(HolderConformance, MakeSafeWhileAnotherThreadCalls) {
  turn_on();
  std::atomic<bool> is_done{false};
  std::thread other([&] {
    do {
      sut().make_safe();
    } while (!is_done.load());
  });
  std::array<HolderSample, 16> samples;
  for (int i = 0; i < 50; ++i) {
    EXPECT_TRUE(sut().read(samples, kTimeout));
    if (has_source()) {
      EXPECT_TRUE(sut().set_source(some_source()));
    }
  }
  is_done.store(true);
  other.join();
  EXPECT_TRUE(await(is_off));
}

TEST_P(HolderConformance, ALostDeviceIsAFaultAndComesBackOff) {
  turn_on();
  under_test_.lose();
  std::array<HolderSample, 16> samples;
  ErrorCode code = ErrorCode::internal;
  ASSERT_TRUE(happens([&] {
    const auto reading = sut().read(samples, kTimeout);
    if (!reading) code = reading.error().code;
    return !reading.has_value();
  }));
  EXPECT_EQ(code, ErrorCode::unavailable);
  EXPECT_EQ(sut().state(), DeviceState::fault);
  EXPECT_FALSE(sut().set_output(Switch::on));
  sut().make_safe();  // nobody there: returns all the same
  under_test_.restore();
  const auto again = sut().reconnect();
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(sut().state(), DeviceState::configured);
}

TEST_P(HolderConformance, ReconnectingAHealthyDeviceTurnsItOff) {
  turn_on();
  ASSERT_TRUE(sut().reconnect());
  EXPECT_TRUE(await(is_off));
}

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(HolderConformance);

}  // namespace latticed::test
