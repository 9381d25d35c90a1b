// SPDX-License-Identifier: GPL-3.0-or-later
// The state machine with a real driver: a recording that is replayed.
#include "server/control/acquisition.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <thread>

#include "server/control/mean_sink.hpp"
#include "tests/support/deadline.hpp"
#include "tests/support/movie_writers.hpp"

namespace latticed::test {
namespace {

using testing::HasSubstr;

class Participants final : public RunParticipants {
 public:
  Result<std::vector<std::unique_ptr<Sink>>> make_sinks(Run&, const ConfiguredDetector&,
                                                        std::uint32_t) override {
    if (refusal) return *refusal;
    std::vector<std::unique_ptr<Sink>> sinks;
    if (sink) sinks.push_back(std::move(sink));
    return sinks;
  }
  void run_ended(std::uint32_t epoch, RunEnd how, const std::string& why) override {
    ended.emplace_back(epoch, how);
    fault = why;
  }
  void run_released() override { ++released; }
  void state_changed() override {}

  std::optional<Error> refusal;
  std::unique_ptr<Sink> sink;  // of the next run
  std::vector<std::pair<std::uint32_t, RunEnd>> ended;
  std::string fault;
  int released = 0;
};

/// Tells where it was destroyed.
class LastSeen final : public Sink {
 public:
  explicit LastSeen(std::promise<std::thread::id>& where) : where_(where) {}
  ~LastSeen() override { where_.set_value(std::this_thread::get_id()); }
  [[nodiscard]] std::string_view name() const noexcept override { return "last_seen"; }
  [[nodiscard]] SinkOptions options() const noexcept override { return {}; }
  void consume(const FrameLease&) override {}

 private:
  std::promise<std::thread::id>& where_;
};

class AcquisitionTest : public testing::Test {
 protected:
  AcquisitionTest() {
    const SmallMovie movie{.width = 64, .height = 64, .frames = 40};
    write_bytes(folder_ / "movie.mrc", mrc_bytes<std::uint16_t>(movie, 6));
    config_.pipeline.pin_workers = false;
    DetectorConfig& detector = config_.detectors.emplace_back();
    detector.name = "haadf";
    detector.driver = DriverKind::replay;
    detector.replay.files = {folder_ / "movie.mrc"};
    detector.replay.name = "haadf";
    detector.line.frame_period_s = 0.01;
  }
  /// So slow that it does not end by itself while a test runs.
  void make_endless() {
    config_.detectors[0].replay.pace = 0.001;
    config_.detectors[0].line.frame_period_s = 0.1;
  }
  Acquisition& sut() {
    if (!sut_) sut_ = std::make_unique<Acquisition>(config_, control_, participants_);
    return *sut_;
  }
  /// On the control thread, as services do.
  template <class Work>
  auto there(Work work) {
    std::promise<decltype(work())> done;
    control_.post([&] { done.set_value(work()); });
    return done.get_future().get();
  }
  ErrorCode error_of(const Result<void>& result) {
    return result ? ErrorCode::internal : result.error().code;
  }
  bool configure() {
    return there([&] { return sut().configure({}).has_value(); });
  }
  bool configure_and_arm() {
    return configure() && there([&] { return sut().arm().has_value(); });
  }
  bool run() {
    return configure_and_arm() && there([&] { return sut().start().has_value(); });
  }
  /// Returns when the run has ended.
  void stop(RunEnd how) {
    std::promise<void> done;
    control_.post([&] { sut().stop(how, [&] { done.set_value(); }); });
    ASSERT_EQ(done.get_future().wait_for(kPatience), std::future_status::ready);
  }
  void abort() {
    std::promise<void> done;
    control_.post([&] { sut().abort([&] { done.set_value(); }); });
    ASSERT_EQ(done.get_future().wait_for(kPatience), std::future_status::ready);
  }

  TemporaryFolder folder_;
  Config config_;
  Participants participants_;
  std::unique_ptr<Acquisition> sut_;
  ControlThread control_{"test-control"};  // ends before the others go

  void TearDown() override { control_.finish(); }
};

TEST_F(AcquisitionTest, SaysWhatWillReallyHappenBeforeAnythingDoes) {
  const auto configured = there([&] {
    const auto opened = sut().configure({});
    return opened ? (*opened)->front().configuration : DetectorConfiguration{};
  });
  EXPECT_EQ(configured.geometry.width, 64);
  EXPECT_EQ(configured.frame_count, 40u);
  EXPECT_EQ(sut().state(), RunState::configured);
  EXPECT_EQ(sut().known_detectors().front().state, DeviceState::configured);
}

TEST_F(AcquisitionTest, MeasuresEveryFrameAndIsIdleAgain) {
  ASSERT_TRUE(run());
  ASSERT_TRUE(happens([&] { return sut().state() == RunState::idle; }));
  const AcquisitionStatus status = sut().status();
  EXPECT_EQ(status.ended, RunEnd::completed);
  ASSERT_EQ(status.detectors.size(), 1u);
  EXPECT_EQ(status.detectors[0].measured, 40u);
  EXPECT_EQ(status.detectors[0].lost, 0u);
  EXPECT_EQ(status.detectors[0].last_seq, 39u);
  EXPECT_EQ(participants_.ended,
            (std::vector<std::pair<std::uint32_t, RunEnd>>{{1, RunEnd::completed}}));
}

TEST_F(AcquisitionTest, GivesEveryRunANumberOfItsOwn) {
  for (std::uint32_t epoch = 1; epoch <= 3; ++epoch) {
    ASSERT_TRUE(run());
    ASSERT_TRUE(sut().wait_idle(kPatience));
    EXPECT_EQ(sut().status().epoch, epoch);
    EXPECT_EQ(sut().run()->pipeline().lines().front()->run().epoch, epoch);
  }
  EXPECT_EQ(participants_.released, 2) << "each run frees the one before";
}

TEST_F(AcquisitionTest, RefusesCommandsInTheWrongStateAndChangesNothing) {
  make_endless();
  const auto arm = [&] { return there([&] { return error_of(sut().arm()); }); };
  const auto start = [&] { return there([&] { return error_of(sut().start()); }); };
  EXPECT_EQ(arm(), ErrorCode::failed_precondition);
  EXPECT_EQ(start(), ErrorCode::failed_precondition);
  ASSERT_TRUE(configure());
  EXPECT_EQ(start(), ErrorCode::failed_precondition);
  EXPECT_EQ(sut().state(), RunState::configured);
  ASSERT_TRUE(configure()) << "once more is allowed";
  ASSERT_TRUE(there([&] { return sut().arm().has_value(); }));
  EXPECT_EQ(arm(), ErrorCode::failed_precondition);
  EXPECT_FALSE(configure());
  ASSERT_TRUE(there([&] { return sut().start().has_value(); }));
  EXPECT_EQ(start(), ErrorCode::failed_precondition);
  EXPECT_FALSE(configure());
  EXPECT_EQ(sut().state(), RunState::running);
  stop(RunEnd::stopped);
}

/// Where a stop, a cancel or an abort may come.
class InEveryState : public AcquisitionTest, public testing::WithParamInterface<RunState> {
 protected:
  void reach(RunState state) {
    make_endless();
    switch (state) {
      case RunState::configured:
        ASSERT_TRUE(configure());
        break;
      case RunState::armed:
        ASSERT_TRUE(configure_and_arm());
        break;
      case RunState::running:
        ASSERT_TRUE(run());
        break;
      case RunState::fault:
        participants_.refusal = Error{ErrorCode::unavailable, "no disk"};
        ASSERT_TRUE(configure());
        EXPECT_FALSE(there([&] { return sut().arm().has_value(); }));
        participants_.refusal.reset();
        break;
      default:
        sut();
    }
    ASSERT_EQ(sut().state(), state);
  }
  void expect_usable() {
    there([&] { return sut().detectors()[0].replay.pace = 0.0; });
    ASSERT_TRUE(run());
    ASSERT_TRUE(sut().wait_idle(kPatience));
    EXPECT_EQ(sut().status().ended, RunEnd::completed);
    EXPECT_EQ(sut().status().detectors[0].measured, 40u);
  }
};

TEST_P(InEveryState, StopLeavesItUsable) {
  reach(GetParam());
  stop(RunEnd::stopped);
  EXPECT_TRUE(sut().state() == RunState::idle || sut().state() == RunState::fault);
  if (GetParam() == RunState::running) {
    EXPECT_EQ(sut().status().ended, RunEnd::stopped);
  }
  expect_usable();
}

TEST_P(InEveryState, CancelLeavesItUsable) {
  reach(GetParam());
  stop(RunEnd::cancelled);
  if (GetParam() == RunState::running || GetParam() == RunState::armed) {
    EXPECT_EQ(sut().status().ended, RunEnd::cancelled);
    EXPECT_EQ(participants_.ended.back().second, RunEnd::cancelled);
  }
  expect_usable();
}

TEST_P(InEveryState, AbortLeavesItUsable) {
  reach(GetParam());
  abort();
  EXPECT_EQ(sut().state(), RunState::idle);
  if (GetParam() == RunState::running) {
    EXPECT_EQ(sut().status().ended, RunEnd::aborted);
    EXPECT_EQ(sut().status().fault, "") << "an abort that was wanted is no fault";
  }
  expect_usable();
}

INSTANTIATE_TEST_SUITE_P(Acquisition, InEveryState,
                         testing::Values(RunState::idle, RunState::configured, RunState::armed,
                                         RunState::running, RunState::fault),
                         [](const auto& tested) { return std::string(to_string(tested.param)); });

TEST_F(AcquisitionTest, AnswersEveryoneWhoAskedItToStop) {
  make_endless();
  ASSERT_TRUE(run());
  std::promise<void> first, second, third;
  control_.post([&] {
    sut().stop(RunEnd::stopped, [&] { first.set_value(); });
    sut().stop(RunEnd::cancelled, [&] { second.set_value(); });
    sut().abort([&] { third.set_value(); });
  });
  for (auto* done : {&first, &second, &third})
    EXPECT_EQ(done->get_future().wait_for(kPatience), std::future_status::ready);
}

TEST_F(AcquisitionTest, IsAtFaultWhenADetectorCannotBeOpenedAndRecovers) {
  config_.detectors[0].replay.files = {folder_ / "nothing.mrc"};
  EXPECT_FALSE(configure());
  EXPECT_EQ(sut().state(), RunState::fault);
  EXPECT_THAT(sut().status().fault, HasSubstr("nothing.mrc"));
  EXPECT_EQ(sut().known_detectors().front().state, DeviceState::fault);
  there([&] {
    sut().detectors()[0].replay.files = {folder_ / "movie.mrc"};
    return true;
  });
  EXPECT_TRUE(configure());
  EXPECT_EQ(sut().status().fault, "");
}

TEST_F(AcquisitionTest, IsAtFaultWhenAParticipantRefuses) {
  participants_.refusal = Error{ErrorCode::resource_exhausted, "disk full"};
  ASSERT_TRUE(configure());
  const auto armed = there([&] { return sut().arm(); });
  ASSERT_FALSE(armed);
  EXPECT_THAT(armed.error().message, HasSubstr("disk full"));
  EXPECT_EQ(participants_.ended.back().second, RunEnd::failed);
  EXPECT_EQ(sut().state(), RunState::fault);
  EXPECT_EQ(sut().status().ended, RunEnd::failed);
}

TEST_F(AcquisitionTest, RefusesSettingsThatCannotBe) {
  const auto refused = [&](WantedSettings wanted) {
    return there([&] {
      const auto done = sut().configure({wanted});
      return done ? std::string() : done.error().message;
    });
  };
  EXPECT_THAT(refused({"abf", {}}), HasSubstr("no detector abf"));
  EXPECT_THAT(refused({"haadf", {.exposure_s = -1.0}}), HasSubstr("expected 0 to 3600"));
  EXPECT_THAT(refused({"haadf", {.exposure_s = std::nan("")}}), HasSubstr("expected 0 to 3600"));
  EXPECT_EQ(sut().state(), RunState::idle);
  const auto twice = there([&] {
    return sut()
        .configure({{"haadf", {.frame_count = 3}}, {"haadf", {.frame_count = 4}}})
        .has_value();
  });
  EXPECT_FALSE(twice) << "which of them?";
}

TEST_F(AcquisitionTest, ForgetsTheLastRunsTimeWhenTheNextIsConfigured) {
  ASSERT_TRUE(run());
  ASSERT_TRUE(sut().wait_idle(kPatience));
  EXPECT_GT(sut().status().started_ns, 0);
  ASSERT_TRUE(configure());
  EXPECT_EQ(sut().status().started_ns, 0);
}

TEST_F(AcquisitionTest, EndsLinesOnItsOwnThreadWhoeverStillLooksAtThem) {
  std::promise<std::thread::id> where;
  participants_.sink = std::make_unique<LastSeen>(where);
  ASSERT_TRUE(run());
  ASSERT_TRUE(sut().wait_idle(kPatience));
  auto looking = sut().run();
  std::promise<bool> configured;
  control_.post([&] { configured.set_value(sut().configure({}).has_value()); });
  ASSERT_TRUE(happens([&] { return sut().run() == nullptr; }));
  looking.reset();
  EXPECT_TRUE(configured.get_future().get());
  EXPECT_EQ(where.get_future().get(), there([] { return std::this_thread::get_id(); }));
}

TEST_F(AcquisitionTest, TakesReferencesAndRegionAsTheyAreWhenItIsArmed) {
  ASSERT_TRUE(configure());
  there([&] {
    sut().detectors()[0].line.prepare.region = {8, 8, 32, 32};
    return true;
  });
  ASSERT_TRUE(there([&] { return sut().arm().has_value(); }));
  EXPECT_EQ(sut().run()->pipeline().lines().front()->run().grid.width, 32);
  abort();
  ASSERT_TRUE(configure());
  there([&] {
    sut().detectors()[0].references.dark = folder_ / "no-dark.tif";
    return true;
  });
  const auto armed = there([&] { return sut().arm(); });
  ASSERT_FALSE(armed);
  EXPECT_THAT(armed.error().message, HasSubstr("no-dark.tif"));
}

TEST_F(AcquisitionTest, KnowsWhichChangesAnArmedRunCanTake) {
  make_endless();
  ASSERT_TRUE(configure_and_arm());
  const auto change = [&](TrackChange wanted) {
    return sut().change("haadf", std::move(wanted), std::chrono::milliseconds(0));
  };
  EXPECT_EQ(change(SetReference{}).error().code, ErrorCode::failed_precondition)
      << "nothing has been measured";
  EXPECT_EQ(change(WatchSpot{{0.1, 0.1}, 0.0}).error().code, ErrorCode::failed_precondition)
      << "nobody would hear its id";
  ASSERT_TRUE(change(ResetTracking{}));
  EXPECT_EQ(change(ResetTracking{})->from_seq, 0u);
}

TEST_F(AcquisitionTest, StartsNothingAfterItWasClosed) {
  ASSERT_TRUE(configure_and_arm());
  there([&] {
    sut().close();
    return true;
  });
  EXPECT_EQ(there([&] { return error_of(sut().start()); }), ErrorCode::unavailable);
  stop(RunEnd::stopped);
  EXPECT_FALSE(configure());
  EXPECT_EQ(sut().state(), RunState::idle);
}

TEST_F(AcquisitionTest, TakesAReferenceThatIsNoRun) {
  make_endless();
  std::promise<Result<void>> done;
  ASSERT_TRUE(there([&] {
    return sut()
        .run_alone(config_.detectors[0], {},
                   [&](const Result<void>& outcome) { done.set_value(outcome); })
        .has_value();
  }));
  EXPECT_EQ(sut().status().state, RunState::running);
  EXPECT_EQ(sut().status().epoch, 0u);
  const auto changed = sut().change("haadf", ResetTracking{}, kPatience);
  ASSERT_FALSE(changed);
  EXPECT_THAT(changed.error().message, HasSubstr("reference"));
  EXPECT_TRUE(sut().set_rules({}, kPatience)->empty()) << "they hold for the runs that follow";
  abort();
  const auto outcome = done.get_future().get();
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, ErrorCode::cancelled);
  EXPECT_EQ(sut().state(), RunState::idle);
}

TEST_F(AcquisitionTest, RemembersHowADetectorWasConfigured) {
  sut();
  EXPECT_EQ(there([&] { return sut().settings_of("haadf").frame_count; }), 0u);
  ASSERT_TRUE(there([&] { return sut().configure({{"haadf", {.frame_count = 7}}}).has_value(); }));
  EXPECT_EQ(there([&] { return sut().settings_of("haadf").frame_count; }), 7u);
}

TEST_F(AcquisitionTest, RunsOneDetectorForItself) {
  auto image = std::make_shared<MeanImage>();
  std::promise<bool> done;
  control_.post([&] {
    std::vector<std::unique_ptr<Sink>> sinks;
    sinks.push_back(std::make_unique<MeanSink>(image));
    const auto started =
        sut().run_alone(config_.detectors[0], std::move(sinks),
                        [&](const Result<void>& outcome) { done.set_value(outcome.has_value()); });
    if (!started) done.set_value(false);
  });
  auto ended = done.get_future();
  ASSERT_EQ(ended.wait_for(kPatience), std::future_status::ready);
  EXPECT_TRUE(ended.get());
  EXPECT_EQ(image->frames, 40u);
  // The mean of test_value() over 40 frames at the first pixel.
  double expected = 0.0;
  for (int frame = 0; frame < 40; ++frame) expected += test_value(frame, 0, 0) / 40.0;
  EXPECT_NEAR(image->mean[0], expected, 1e-4);
  EXPECT_EQ(sut().state(), RunState::idle);
  EXPECT_TRUE(participants_.ended.empty()) << "it is nobody else's run";
}

}  // namespace
}  // namespace latticed::test
