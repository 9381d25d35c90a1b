// SPDX-License-Identifier: GPL-3.0-or-later
#include "drivers/replay/replay_detector.hpp"

#include <gtest/gtest.h>

#include <thread>

#include "tests/support/movie_checks.hpp"

namespace latticed::test {
namespace {

using namespace std::chrono_literals;

class ReplayDetectorTest : public testing::Test {
 protected:
  std::string write(const std::string& name, const SmallMovie& small = {}) {
    return write_bytes(folder_ / name, mrc_bytes<std::uint16_t>(small, 6));
  }
  void open(ReplayOptions options) {
    if (options.files.empty()) options.files = {write("movie.mrc")};
    auto detector = ReplayDetector::open(options);
    ASSERT_TRUE(detector) << detector.error().message;
    sut_ = std::move(*detector);
  }
  void run(const ReplayOptions& options, const DetectorSettings& wanted = {}) {
    open(options);
    auto configuration = sut_->configure(wanted);
    ASSERT_TRUE(configuration) << configuration.error().message;
    configuration_ = *configuration;
    buffer_.resize(configuration->geometry.bytes());
    ASSERT_TRUE(sut_->arm());
    ASSERT_TRUE(sut_->start());
  }
  FrameHeader read(std::chrono::milliseconds timeout = 1000ms) {
    auto header = sut_->read_frame(buffer_, timeout);
    EXPECT_TRUE(header) << header.error().message;
    return header ? *header : FrameHeader{};
  }
  void expect_is_frame(std::uint64_t sequence, int frame) {
    const FrameHeader header = read();
    ASSERT_EQ(header.kind, FrameKind::frame);
    EXPECT_EQ(header.hardware_sequence, sequence);
    EXPECT_EQ(pixel_at(buffer_, PixelType::u16, 0), test_value(frame, 0, 0));
  }
  void expect_is_lost(std::uint64_t sequence, LossReason reason) {
    const FrameHeader header = read();
    ASSERT_EQ(header.kind, FrameKind::lost);
    EXPECT_EQ(header.loss, reason);
    EXPECT_EQ(header.hardware_sequence, sequence);
    EXPECT_EQ(header.lost_count, 1u);
  }
  void expect_is_end() { EXPECT_EQ(read().kind, FrameKind::end); }

  TemporaryFolder folder_;
  std::unique_ptr<ReplayDetector> sut_;
  DetectorConfiguration configuration_;
  std::vector<std::byte> buffer_;
};

TEST_F(ReplayDetectorTest, PlaysAllFramesAndThenEnds) {
  run({});
  EXPECT_EQ(configuration_.frame_count, 4u);
  EXPECT_FALSE(configuration_.is_paced);
  EXPECT_NEAR(configuration_.pixel_size_nm, 0.1, 1e-7);
  for (int i = 0; i < 4; ++i) expect_is_frame(static_cast<std::uint64_t>(i), i);
  expect_is_end();
  EXPECT_EQ(sut_->state(), DeviceState::configured);
}

TEST_F(ReplayDetectorTest, NumbersFramesOnOverSeveralFiles) {
  ReplayOptions options;
  options.files = {write("a.mrc"), write("b.mrc", {9, 6, 2}), write("c.mrc")};
  run(options);
  EXPECT_EQ(configuration_.frame_count, 10u);
  const int frames[] = {0, 1, 2, 3, 0, 1, 0, 1, 2, 3};
  for (std::uint64_t i = 0; i < 10; ++i) expect_is_frame(i, frames[i]);
  expect_is_end();
}

TEST_F(ReplayDetectorTest, PlaysMoreFilesThanItKeepsOpen) {
  ReplayOptions options;
  for (std::size_t i = 0; i < MovieSequence::kMaxOpenFiles + 6; ++i) {
    options.files.push_back(write(std::to_string(i) + ".mrc", {9, 6, 1}));
  }
  run(options);
  for (std::uint64_t i = 0; i < options.files.size(); ++i) expect_is_frame(i, 0);
  expect_is_end();
}

TEST_F(ReplayDetectorTest, LosesTheFramesOfAFileOfAnotherSize) {
  ReplayOptions options;
  options.files = {write("a.mrc", {9, 6, 1}), write("b.mrc", {8, 6, 2}), write("c.mrc", {9, 6, 1})};
  run(options);
  ASSERT_EQ(sut_->remarks().size(), 1u);
  expect_is_frame(0, 0);
  expect_is_lost(1, LossReason::wrong_size);
  expect_is_lost(2, LossReason::wrong_size);
  expect_is_frame(3, 0);
  expect_is_end();
}

TEST_F(ReplayDetectorTest, ReportsFramesCutOffAsTruncatedBeforeTheEnd) {
  Bytes bytes = mrc_bytes<std::uint16_t>({}, 6);
  bytes.resize(bytes.size() - 9 * 6 * 2 - 1);
  ReplayOptions options;
  options.files = {write_bytes(folder_ / "cut.mrc", bytes)};
  run(options);
  expect_is_frame(0, 0);
  expect_is_frame(1, 1);
  expect_is_lost(2, LossReason::truncated);
  expect_is_lost(3, LossReason::truncated);
  expect_is_end();
}

TEST_F(ReplayDetectorTest, PlaysARangeAndCountsItFromZero) {
  ReplayOptions options;
  options.first_frame = 1;
  options.end_frame = 3;
  run(options);
  expect_is_frame(0, 1);
  expect_is_frame(1, 2);
  expect_is_end();
  options.end_frame = 100;
  run(options, DetectorSettings{0.0, 0.0, 2});
  EXPECT_EQ(configuration_.frame_count, 2u);
  run(options);
  EXPECT_EQ(configuration_.frame_count, 3u);
}

TEST_F(ReplayDetectorTest, RefusesEmptyRangesAndNegativePaces) {
  const std::string path = write("movie.mrc");
  const auto code = [&](std::uint64_t first, std::uint64_t end, double pace) {
    ReplayOptions options{"replay", {path}, first, end, pace};
    auto detector = ReplayDetector::open(options);
    EXPECT_FALSE(detector);
    return detector.error().code;
  };
  EXPECT_EQ(code(4, 9, 0.0), ErrorCode::out_of_range);
  EXPECT_EQ(code(2, 2, 0.0), ErrorCode::out_of_range);
  EXPECT_EQ(code(0, 4, -1.0), ErrorCode::invalid_argument);
  EXPECT_EQ(ReplayDetector::open({}).error().code, ErrorCode::invalid_argument);
  ReplayOptions missing;
  missing.files = {path, folder_ / "missing.mrc"};
  EXPECT_EQ(ReplayDetector::open(missing).error().code, ErrorCode::not_found);
}

TEST_F(ReplayDetectorTest, PlaysAgainFromTheStart) {
  run({});
  expect_is_frame(0, 0);
  sut_->stop();
  expect_is_end();
  ASSERT_TRUE(sut_->arm());
  ASSERT_TRUE(sut_->start());
  expect_is_frame(0, 0);
  expect_is_frame(1, 1);
}

TEST_F(ReplayDetectorTest, SkipsNoFrameWhenTheBufferWasTooSmall) {
  run({});
  std::vector<std::byte> small(buffer_.size() - 1);
  EXPECT_EQ(sut_->read_frame(small, 0ms).error().code, ErrorCode::invalid_argument);
  expect_is_frame(0, 0);
}

TEST_F(ReplayDetectorTest, NeedsAPeriodToKeepAPace) {
  ReplayOptions options;
  options.pace = 2.0;
  open(options);
  EXPECT_EQ(sut_->configure({}).error().code, ErrorCode::invalid_argument);
  const auto configuration = sut_->configure({0.0, 0.01, 0});
  ASSERT_TRUE(configuration);
  EXPECT_TRUE(configuration->is_paced);
  EXPECT_DOUBLE_EQ(configuration->frame_period_s, 0.01);
}

TEST_F(ReplayDetectorTest, GivesNoFrameBeforeItIsDue) {
  ReplayOptions options;
  options.pace = 1.0;
  run(options, {0.0, 3600.0, 0});
  expect_is_frame(0, 0);
  const auto second = sut_->read_frame(buffer_, 0ms);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::timeout);
  EXPECT_TRUE(second.error().message.empty());
}

TEST_F(ReplayDetectorTest, StopEndsTheWaitForAFrameThatIsNotDue) {
  ReplayOptions options;
  options.pace = 1.0;
  run(options, {0.0, 3600.0, 0});
  expect_is_frame(0, 0);
  std::thread stopper([this] { sut_->stop(); });
  const FrameHeader header = read(std::chrono::hours(1));  // CTest's limit is two minutes
  stopper.join();
  EXPECT_EQ(header.kind, FrameKind::end);
}

}  // namespace
}  // namespace latticed::test
