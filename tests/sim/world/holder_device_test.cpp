// SPDX-License-Identifier: GPL-3.0-or-later
#include "sim/world/holder_device.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <thread>

#include "tests/sim/support/build_scenario.hpp"
#include "tests/support/deadline.hpp"

namespace latticed::sim {
namespace {

using namespace std::chrono_literals;

Step step(double t_s, std::optional<double> current_a, std::optional<double> temperature_k = {}) {
  Step out;
  out.t_s = t_s;
  out.current_a = current_a;
  out.temperature_k = temperature_k;
  return out;
}

SourceSetpoint amperes(double level_a, double compliance_v) {
  return {SourceMode::current, level_a, compliance_v};
}
SourceSetpoint volts(double level_v, double compliance_a) {
  return {SourceMode::voltage, level_v, compliance_a};
}

class HolderDeviceTest : public testing::Test {
 protected:
  HolderDeviceTest() : scenario_(test::still_scenario(64)), log_(1) {
    scenario_.frame_period_s = 0.1;
    scenario_.steps = {step(0.25, 1e-9), step(0.3, {}, 400.0), step(1.0, 2e-9)};
  }
  HolderDevice& sut(HolderDevice::Options options = {}) {
    if (!sut_) sut_ = std::make_unique<HolderDevice>(scenario_, options, log_);
    return *sut_;
  }
  std::vector<Step> taken(std::uint64_t frame) {
    std::vector<Step> out;
    log_.take(0, frame, out);
    return out;
  }
  static SpecimenState state(std::uint64_t frame, double period_s = 0.1) {
    SpecimenState out;
    out.frame = frame;
    out.t_s = period_s * static_cast<double>(frame);
    return out;
  }

  Scenario scenario_;
  CommandLog log_;
  std::unique_ptr<HolderDevice> sut_;
};

TEST_F(HolderDeviceTest, ListsTheStepsByTheirFirstFrame) {
  const auto& steps = sut().steps();
  ASSERT_EQ(steps.size(), 2u);
  EXPECT_EQ(steps[0].frame, 3u);  // both begin by 0.3 s
  EXPECT_EQ(steps[0].current_a, 1e-9);
  EXPECT_EQ(steps[0].temperature_k, 400.0);
  EXPECT_EQ(steps[1].frame, 10u);
  EXPECT_FALSE(steps[1].temperature_k);
}

TEST_F(HolderDeviceTest, LeavesBeamAndJumpsToTheWorld) {
  scenario_.steps[0].jump_nm = Pair{1.0, 2.0};
  const Scenario rest = without_stimulus(scenario_);
  EXPECT_FALSE(rest.steps[0].current_a);
  EXPECT_EQ(rest.steps[0].jump_nm, (Pair{1.0, 2.0}));
}

TEST_F(HolderDeviceTest, NoOutputIsNoCurrent) {
  log_.begin(0);
  taken(0);
  EXPECT_EQ(*sut().set_source(amperes(1e-6, 4.2)), 1u);
  EXPECT_TRUE(taken(1).empty());
  EXPECT_EQ(sut().set_output(true), 2u);
  const auto on = taken(2);
  ASSERT_EQ(on.size(), 1u);
  EXPECT_EQ(on[0].current_a, 1e-6);
  EXPECT_EQ(on[0].compliance_v, 4.2);
  sut().set_output(false);
  const auto off = taken(3);
  ASSERT_EQ(off.size(), 1u);
  EXPECT_EQ(off[0].current_a, 0.0);
}

TEST_F(HolderDeviceTest, HoldsAVoltageAndNothingWhenItIsOff) {
  log_.begin(0);
  sut().set_output(true);
  EXPECT_TRUE(taken(0).empty());  // it held no current, and still does
  sut().set_output(false);
  EXPECT_TRUE(sut().set_source(volts(4.2, 1e-9)));
  sut().set_output(true);
  const auto on = taken(1);
  ASSERT_EQ(on.size(), 1u);
  EXPECT_EQ(on[0].source_v, 4.2);
  EXPECT_EQ(on[0].compliance_a, 1e-9);
  EXPECT_FALSE(on[0].current_a);
  EXPECT_EQ(sut().standing(), on[0]);
  EXPECT_EQ(sut().present().source, volts(4.2, 1e-9));
  sut().make_safe();
  EXPECT_EQ(taken(2).at(0).current_a, 0.0);
  EXPECT_FALSE(sut().standing().source_v);
}

TEST_F(HolderDeviceTest, ChangesItsModeOnlyWhileTheOutputIsOff) {
  EXPECT_TRUE(sut().set_source(volts(4.2, 1e-9)));
  sut().set_output(true);
  const auto refused = sut().set_source(amperes(1e-9, 4.2));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::failed_precondition);
  EXPECT_EQ(sut().present().source, volts(4.2, 1e-9));
  EXPECT_TRUE(sut().set_source(volts(4.0, 1e-9)));
  sut().set_output(false);
  EXPECT_TRUE(sut().set_source(amperes(1e-9, 4.2)));
}

TEST_F(HolderDeviceTest, AHeldVoltagePlaysNoStepOfCurrent) {
  scenario_.steps = {step(0.3, 0.0)};
  sut({Stimulus::client, 1ms});
  EXPECT_TRUE(sut().set_source(volts(0.0, 1e-9)));
  sut().set_output(true);
  EXPECT_EQ(sut().await_step(3, [] { return false; }), HolderDevice::Awaited::not_played);
}

TEST_F(HolderDeviceTest, HeaterOffIsTheScenariosOwnTemperature) {
  log_.begin(0);
  EXPECT_TRUE(sut().set_temperature(500.0));
  sut().set_heater(true);
  EXPECT_EQ(taken(0).at(0).temperature_k, 500.0);
  sut().make_safe();
  EXPECT_EQ(taken(1).at(0).temperature_k, scenario_.heat.temperature_k);
}

TEST_F(HolderDeviceTest, ARampBetweenTwoFramesIsOneCommand) {
  log_.begin(0);
  taken(0);
  sut().set_output(true);
  for (const double current_a : {1e-9, 2e-9, 3e-9})
    EXPECT_TRUE(sut().set_source(amperes(current_a, 5.0)));
  const auto commands = taken(1);
  ASSERT_EQ(commands.size(), 1u);
  EXPECT_EQ(commands[0].current_a, 3e-9);
}

TEST_F(HolderDeviceTest, RefusesWhatNoHolderCan) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_FALSE(sut().set_source(amperes(nan, 1.0)));
  EXPECT_FALSE(sut().set_source(amperes(2.0, 1.0)));
  EXPECT_FALSE(sut().set_source(amperes(0.0, 0.0)));
  EXPECT_FALSE(sut().set_source(amperes(0.0, nan)));
  EXPECT_FALSE(sut().set_source(amperes(0.0, 11.0)));
  EXPECT_FALSE(sut().set_source(volts(nan, 1e-6)));
  EXPECT_FALSE(sut().set_source(volts(10.1, 1e-6)));
  EXPECT_FALSE(sut().set_source(volts(1.0, 0.0)));
  EXPECT_FALSE(sut().set_source(volts(1.0, 1.1)));
  EXPECT_TRUE(sut().set_source(volts(-10.0, 1.0)));
  EXPECT_FALSE(sut().set_temperature(nan));
  EXPECT_FALSE(sut().set_temperature(0.5));
}

TEST_F(HolderDeviceTest, GivesEachFrameOneSampleWithinABoundedHistory) {
  sut().begin_experiment(1'000);
  for (std::uint64_t frame = 0; frame < 3; ++frame) {
    sut().add_sample(state(frame));
    sut().add_sample(state(frame));  // the other detector's
  }
  auto found = sut().samples(1, 100);
  EXPECT_EQ(found.next, 3u);
  ASSERT_EQ(found.samples.size(), 2u);
  EXPECT_EQ(found.samples[0].time_ns, 100'001'000);
  EXPECT_EQ(sut().samples(0, 2).next, 2u);
  EXPECT_TRUE(sut().samples(99, 10).samples.empty());
  for (std::uint64_t frame = 3; frame < HolderDevice::kHistory + 5; ++frame)
    sut().add_sample(state(frame));
  found = sut().samples(0, 1);
  EXPECT_EQ(found.samples[0].time_ns, 500'001'000);  // five were overwritten
}

TEST_F(HolderDeviceTest, AWorldThatIsAheadOfTheClockGoesOnFromThere) {
  sut().begin_experiment(1'000);
  sut().add_sample(state(0));
  sut().add_sample(state(50));
  EXPECT_EQ(sut().begin_experiment(2'000), 5'000'001'001);
  sut().add_sample(state(0));
  EXPECT_EQ(sut().samples(0, 10).samples.size(), 3u);  // still one clock
}

TEST_F(HolderDeviceTest, AFixedStartIsANewClockEachTime) {
  scenario_.start_time_unix_s = 7;
  sut().begin_experiment(1'000);
  sut().add_sample(state(0));
  EXPECT_EQ(sut().begin_experiment(2'000), 7'000'000'000);
  sut().add_sample(state(0));
  const auto first = sut().samples(0, 10);
  ASSERT_EQ(first.samples.size(), 1u);
  const auto second = sut().samples(first.next, 10);
  ASSERT_EQ(second.samples.size(), 1u);
  EXPECT_NE(second.clock, first.clock);
}

TEST_F(HolderDeviceTest, ANewExperimentBeginsWithWhatStands) {
  sut().set_output(true);
  EXPECT_TRUE(sut().set_source(amperes(1e-9, 5.0)));
  const Step standing = sut().standing();
  EXPECT_EQ(standing.current_a, 1e-9);
  EXPECT_FALSE(standing.temperature_k);
  EXPECT_TRUE(log_.begin(0, standing));
  EXPECT_EQ(taken(0).at(0).current_a, 1e-9);
  log_.end(0);
  log_.begin(0, sut().standing());
  EXPECT_EQ(taken(0).at(0).current_a, 1e-9);
}

TEST_F(HolderDeviceTest, WaitsForNothingWhenTheWorldPlays) {
  EXPECT_EQ(sut().await_step(3, [] { return false; }), HolderDevice::Awaited::nothing);
}

TEST_F(HolderDeviceTest, WaitsUntilTheClientHasPlayedAllOfTheStep) {
  sut({Stimulus::client, 20s});
  log_.begin(0);
  EXPECT_EQ(sut().await_step(2, [] { return false; }), HolderDevice::Awaited::nothing);
  auto awaited = HolderDevice::Awaited::nothing;
  std::thread detector([&] { awaited = sut().await_step(3, [] { return false; }); });
  ASSERT_TRUE(latticed::test::happens([&] { return sut().waiting_for().has_value(); }));
  EXPECT_EQ(sut().waiting_for()->current_a, 1e-9);
  EXPECT_EQ(sut().waiting_for()->temperature_k, 400.0);
  EXPECT_TRUE(sut().set_source(amperes(1e-9, 5.0)));
  sut().set_output(true);
  EXPECT_TRUE(sut().waiting_for());  // the heater is still off
  EXPECT_TRUE(sut().set_temperature(400.0));
  sut().set_heater(true);
  detector.join();
  EXPECT_EQ(awaited, HolderDevice::Awaited::played);
  EXPECT_FALSE(sut().waiting_for());
  sut().make_safe();  // a second detector that comes later does not wait again
  EXPECT_EQ(sut().await_step(3, [] { return false; }), HolderDevice::Awaited::nothing);
}

TEST_F(HolderDeviceTest, GoesOnWithoutAClientAfterItsPatience) {
  sut({Stimulus::client, 1ms});
  EXPECT_EQ(sut().await_step(3, [] { return false; }), HolderDevice::Awaited::not_played);
  EXPECT_FALSE(sut().waiting_for());
}

TEST_F(HolderDeviceTest, StopsWaitingWithTheRun) {
  sut({Stimulus::client, 20s});
  EXPECT_EQ(sut().await_step(3, [] { return true; }), HolderDevice::Awaited::stopped);
}

}  // namespace
}  // namespace latticed::sim
