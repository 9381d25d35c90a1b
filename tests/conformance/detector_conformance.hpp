// SPDX-License-Identifier: GPL-3.0-or-later
// What every detector driver must do, in one suite. A driver's test gives a factory and
// instantiates:
//
//   INSTANTIATE_TEST_SUITE_P(Replay, DetectorConformance, testing::Values(DetectorCase{...}));
//
// and links latticed_conformance plus its driver. The detector must be able to give at least
// kFewFrames frames without loss; whether it would go on for ever does not matter.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <thread>
#include <vector>

#include "drivers/kit/detector.hpp"
#include "tests/conformance/allocations.hpp"

namespace latticed::test {

inline constexpr std::uint64_t kFewFrames = 4;

/// A detector and whatever must live as long as it: a process, a file.
struct DetectorUnderTest {
  std::shared_ptr<void> surroundings;
  std::unique_ptr<Detector> detector;
};

struct DetectorCase {
  std::string name;
  std::function<DetectorUnderTest()> make;           // closed, never configured
  std::function<DetectorUnderTest()> make_with_gap;  // loses a frame among the first ten; or empty
};

inline void PrintTo(const DetectorCase& which, std::ostream* out) { *out << which.name; }

class DetectorConformance : public testing::TestWithParam<DetectorCase> {
 protected:
  static constexpr std::chrono::milliseconds kPatience{5000};

  void SetUp() override {
    under_test_ = GetParam().make();
    ASSERT_NE(under_test_.detector, nullptr);
  }
  Detector& sut() { return *under_test_.detector; }

  DetectorConfiguration configure(std::uint64_t frames) {
    DetectorSettings wanted;
    wanted.frame_count = frames;
    auto configuration = sut().configure(wanted);
    if (!configuration) {
      ADD_FAILURE() << configuration.error().message;
      return {};
    }
    buffer_.resize(configuration->geometry.bytes());
    return *configuration;
  }
  void run(std::uint64_t frames) {
    configure(frames);
    const auto armed = sut().arm();
    ASSERT_TRUE(armed) << armed.error().message;
    const auto started = sut().start();
    ASSERT_TRUE(started) << started.error().message;
  }
  Result<FrameHeader> read() { return sut().read_frame(buffer_, kPatience); }

  DetectorUnderTest under_test_;
  std::vector<std::byte> buffer_;
};

TEST_P(DetectorConformance, IsNamedAndClosedAtFirst) {
  EXPECT_FALSE(sut().info().name.empty());
  EXPECT_FALSE(sut().info().driver.empty());
  EXPECT_EQ(sut().state(), DeviceState::closed);
}

TEST_P(DetectorConformance, RefusesEveryCallOutOfOrder) {
  const auto refused = [](const auto& result) {
    return !result && result.error().code == ErrorCode::failed_precondition &&
           !result.error().message.empty();
  };
  EXPECT_TRUE(refused(sut().arm()));
  EXPECT_TRUE(refused(sut().start()));
  configure(kFewFrames);
  EXPECT_EQ(sut().state(), DeviceState::configured);
  EXPECT_TRUE(refused(sut().start()));
  EXPECT_EQ(sut().state(), DeviceState::configured);
  ASSERT_TRUE(sut().arm());
  EXPECT_EQ(sut().state(), DeviceState::armed);
  EXPECT_TRUE(refused(sut().arm()));
  EXPECT_TRUE(refused(sut().configure({})));
  EXPECT_EQ(sut().state(), DeviceState::armed);
  ASSERT_TRUE(sut().start());
  EXPECT_EQ(sut().state(), DeviceState::running);
  EXPECT_TRUE(refused(sut().configure({})));
  EXPECT_TRUE(refused(sut().arm()));
  EXPECT_TRUE(refused(sut().start()));
  EXPECT_EQ(sut().state(), DeviceState::running);
}

TEST_P(DetectorConformance, AdjustsWhatIsWantedToWhatCanBe) {
  DetectorSettings impossible;
  impossible.exposure_s = 1e9;
  impossible.frame_period_s = 1e-12;
  impossible.frame_count = kFewFrames;
  const auto configuration = sut().configure(impossible);
  ASSERT_TRUE(configuration) << configuration.error().message;
  EXPECT_GT(configuration->geometry.pixels(), 0u);
  EXPECT_NE(configuration->exposure_s, 1e9);
  EXPECT_NE(configuration->frame_period_s, 1e-12);
  EXPECT_GE(configuration->pixel_size_nm, 0.0);
}

TEST_P(DetectorConformance, CanBeConfiguredAgain) {
  configure(kFewFrames);
  const DetectorConfiguration second = configure(kFewFrames);
  EXPECT_EQ(sut().state(), DeviceState::configured);
  EXPECT_GT(second.geometry.bytes(), 0u);
}

TEST_P(DetectorConformance, GivesNoFrameBeforeStart) {
  buffer_.resize(1 << 20);
  auto frame = read();
  ASSERT_FALSE(frame);
  EXPECT_EQ(frame.error().code, ErrorCode::failed_precondition);
  configure(kFewFrames);
  frame = read();
  ASSERT_FALSE(frame);
  EXPECT_EQ(frame.error().code, ErrorCode::failed_precondition);
}

TEST_P(DetectorConformance, CountsItsFramesFromZeroUpAndThenEnds) {
  run(kFewFrames);
  for (std::uint64_t i = 0; i < kFewFrames; ++i) {
    const auto frame = read();
    ASSERT_TRUE(frame) << frame.error().message;
    ASSERT_EQ(frame->kind, FrameKind::frame);
    EXPECT_EQ(frame->loss, LossReason::none);
    EXPECT_EQ(frame->hardware_sequence, i);
  }
  const auto last = read();
  ASSERT_TRUE(last) << last.error().message;
  EXPECT_EQ(last->kind, FrameKind::end);
}

TEST_P(DetectorConformance, RepeatsTheEnd) {
  run(1);
  ASSERT_TRUE(read());
  for (int i = 0; i < 3; ++i) {
    const auto end = read();
    ASSERT_TRUE(end) << end.error().message;
    EXPECT_EQ(end->kind, FrameKind::end);
  }
}

TEST_P(DetectorConformance, TimesOfFramesAscendOrAreUnknown) {
  run(kFewFrames);
  std::int64_t before = kUnknownTime;
  for (std::uint64_t i = 0; i < kFewFrames; ++i) {
    const auto frame = read();
    ASSERT_TRUE(frame);
    if (before != kUnknownTime) {
      EXPECT_GT(frame->time_ns, before);
    }
    before = frame->time_ns;
  }
}

TEST_P(DetectorConformance, RefusesABufferThatIsTooSmall) {
  run(kFewFrames);
  std::vector<std::byte> small(buffer_.size() - 1);
  const auto frame = sut().read_frame(small, kPatience);
  ASSERT_FALSE(frame);
  EXPECT_EQ(frame.error().code, ErrorCode::invalid_argument);
  EXPECT_FALSE(frame.error().message.empty());
}

TEST_P(DetectorConformance, WritesNothingBehindTheFrame) {
  run(kFewFrames);
  std::vector<std::byte> large(buffer_.size() + 64, std::byte{0xa5});
  const auto frame = sut().read_frame(large, kPatience);
  ASSERT_TRUE(frame) << frame.error().message;
  for (std::size_t i = buffer_.size(); i < large.size(); ++i) ASSERT_EQ(large[i], std::byte{0xa5});
}

TEST_P(DetectorConformance, AnswersAtOnceWithATimeoutOfZeroAndSaysNothingWithIt) {
  run(kFewFrames);
  for (int i = 0; i < 1000; ++i) {
    const auto frame = sut().read_frame(buffer_, std::chrono::milliseconds(0));
    if (frame) continue;
    ASSERT_EQ(frame.error().code, ErrorCode::timeout);
    EXPECT_TRUE(frame.error().message.empty());
  }
}

TEST_P(DetectorConformance, StopsTwiceWithoutHarm) {
  sut().stop();
  EXPECT_EQ(sut().state(), DeviceState::closed);
  run(0);
  ASSERT_TRUE(read());
  sut().stop();
  EXPECT_EQ(sut().state(), DeviceState::configured);
  sut().stop();
  EXPECT_EQ(sut().state(), DeviceState::configured);
  const auto end = read();
  ASSERT_TRUE(end) << end.error().message;
  EXPECT_EQ(end->kind, FrameKind::end);
}

TEST_P(DetectorConformance, StopsWhenOnlyArmed) {
  configure(kFewFrames);
  ASSERT_TRUE(sut().arm());
  sut().stop();
  EXPECT_EQ(sut().state(), DeviceState::configured);
  EXPECT_TRUE(sut().arm());
}

TEST_P(DetectorConformance, StopsAfterTheEndWithoutHarm) {
  run(1);
  ASSERT_TRUE(read());
  ASSERT_TRUE(read());
  sut().stop();
  EXPECT_EQ(sut().state(), DeviceState::configured);
}

TEST_P(DetectorConformance, StartsAgainAfterStopAndCountsFromZero) {
  run(0);
  ASSERT_TRUE(read());
  ASSERT_TRUE(read());
  sut().stop();
  for (int round = 0; round < 2; ++round) {
    const auto armed = sut().arm();
    ASSERT_TRUE(armed) << armed.error().message;
    const auto started = sut().start();
    ASSERT_TRUE(started) << started.error().message;
    const auto frame = read();
    ASSERT_TRUE(frame) << frame.error().message;
    EXPECT_EQ(frame->kind, FrameKind::frame);
    EXPECT_EQ(frame->hardware_sequence, 0u);
    sut().stop();
  }
}

TEST_P(DetectorConformance, StopFromAnotherThreadEndsTheReading) {
  run(0);
  ASSERT_TRUE(read());
  std::thread stopper([this] { sut().stop(); });
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  FrameKind kind = FrameKind::frame;
  while (kind != FrameKind::end && std::chrono::steady_clock::now() < deadline) {
    const auto frame = sut().read_frame(buffer_, std::chrono::milliseconds(100));
    if (frame)
      kind = frame->kind;
    else
      EXPECT_EQ(frame.error().code, ErrorCode::timeout) << frame.error().message;
  }
  stopper.join();
  EXPECT_EQ(kind, FrameKind::end);
  EXPECT_EQ(sut().state(), DeviceState::configured);
}

TEST_P(DetectorConformance, DoesNotAllocateToReadAFrame) {
  run(kFewFrames);
  ASSERT_TRUE(read());  // the first may still set something up
  const std::uint64_t before = allocations_of_this_thread();
  const auto frame = read();
  const std::uint64_t used = allocations_of_this_thread() - before;
  ASSERT_TRUE(frame) << frame.error().message;
  ASSERT_EQ(frame->kind, FrameKind::frame);
  EXPECT_EQ(used, 0u);
}

TEST_P(DetectorConformance, ReportsAGapAsLostAndGoesOnBehindIt) {
  if (!GetParam().make_with_gap) GTEST_SKIP() << "this detector cannot lose frames";
  under_test_ = GetParam().make_with_gap();
  ASSERT_NE(under_test_.detector, nullptr);
  run(10);
  std::uint64_t next = 0;
  std::uint64_t lost = 0;
  for (int i = 0; i < 20; ++i) {
    const auto frame = read();
    ASSERT_TRUE(frame) << frame.error().message;
    ASSERT_EQ(frame->hardware_sequence, next);
    if (frame->kind == FrameKind::end) break;
    if (frame->kind == FrameKind::lost) {
      EXPECT_NE(frame->loss, LossReason::none);
      ASSERT_GT(frame->lost_count, 0u);
      lost += frame->lost_count;
      next += frame->lost_count;
    } else {
      ++next;
    }
  }
  EXPECT_EQ(next, 10u);
  EXPECT_GT(lost, 0u);
}

}  // namespace latticed::test
