// SPDX-License-Identifier: GPL-3.0-or-later
#include "drivers/simulator/sim_detector.hpp"

#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "tests/conformance/detector_conformance.hpp"
#include "tests/sim/support/world_process.hpp"

namespace latticed::test {
namespace {

using sim::test::small_scenario;
using sim::test::WorldProcess;
using namespace std::chrono_literals;

std::unique_ptr<SimDetector> open_at(const WorldProcess& world, SimDetectorOptions options = {}) {
  options.socket = world.socket();
  auto detector = SimDetector::open(options);
  if (detector) return std::move(*detector);
  ADD_FAILURE() << detector.error().message;
  return nullptr;
}

DetectorUnderTest of_world(const std::string& scenario, const std::vector<std::string>& arguments) {
  auto world = std::make_shared<WorldProcess>(scenario, arguments);
  auto detector = open_at(*world);
  return {world, std::move(detector)};
}

DetectorCase sim_case(const std::string& name, const std::vector<std::string>& arguments,
                      bool can_lose) {
  DetectorCase which{name, [=] { return of_world(small_scenario(0), arguments); }, {}};
  if (can_lose) {
    which.make_with_gap = [=] {
      return of_world(small_scenario(10,
                                     "[[fault]]\nframe = 3\ncount = 2\nkind = \"drop\"\n"
                                     "[[fault]]\nframe = 9\nkind = \"drop\"\n"),
                      arguments);
    };
  }
  return which;
}

INSTANTIATE_TEST_SUITE_P(Simulator, DetectorConformance,
                         testing::Values(sim_case("free", {"--speed", "0"}, true),
                                         sim_case("paced", {"--speed", "1"}, true),
                                         sim_case("prefetched", {"--prefetch", "3"}, false)),
                         [](const auto& which) { return which.param.name; });

TEST(SimDetector, SaysHowFastAScannedDetectorGoesFromRowToRow) {
  const WorldProcess world(
      "name = \"s\"\nframe_period_s = 0.01\n[[detector]]\nwidth = 64\nheight = 64\n"
      "scan_line_time_s = 0.0001\n[specimen]\nedges = [[20.0, 1.0]]\n");
  const auto sut = open_at(world);
  ASSERT_NE(sut, nullptr);
  const auto configured = sut->configure({});
  ASSERT_TRUE(configured) << configured.error().message;
  EXPECT_DOUBLE_EQ(configured->scan_line_time_s, 0.0001);
  EXPECT_DOUBLE_EQ(configured->exposure_s, 0.0064);
}

/// Reads on to the end; counts what was lost by reason.
struct Outcome {
  std::vector<std::uint64_t> frames;
  std::map<LossReason, std::uint64_t> lost;
  std::optional<Error> error;
};

Outcome read_all(Detector& detector, std::uint64_t frames = 0) {
  Outcome outcome;
  DetectorSettings wanted;
  wanted.frame_count = frames;
  const auto configuration = detector.configure(wanted);
  if (!configuration || !detector.arm() || !detector.start()) {
    ADD_FAILURE() << "the detector does not start";
    return outcome;
  }
  std::vector<std::byte> buffer(configuration->geometry.bytes());
  for (int i = 0; i < 100000; ++i) {
    const auto frame = detector.read_frame(buffer, 5000ms);
    if (!frame) {
      outcome.error = frame.error();
      return outcome;
    }
    if (frame->kind == FrameKind::end) return outcome;
    if (frame->kind == FrameKind::lost)
      outcome.lost[frame->loss] += frame->lost_count;
    else
      outcome.frames.push_back(frame->hardware_sequence);
  }
  ADD_FAILURE() << "the detector does not end";
  return outcome;
}

TEST(SimDetector, FreeRunningWorldLosesNothing) {
  WorldProcess world(small_scenario(300), {"--speed", "0"});
  const auto sut = open_at(world);
  const Outcome outcome = read_all(*sut);
  EXPECT_EQ(outcome.frames.size(), 300u);
  EXPECT_TRUE(outcome.lost.empty());
}

TEST(SimDetector, WorldKilledInARunIsOneErrorWithinTheTimeout) {
  WorldProcess world(small_scenario(0), {"--speed", "0"});
  const auto sut = open_at(world);
  std::vector<std::byte> buffer(sut->configure({})->geometry.bytes());
  ASSERT_TRUE(sut->arm());
  ASSERT_TRUE(sut->start());
  ASSERT_TRUE(sut->read_frame(buffer, 5000ms));
  world.kill();
  Result<FrameHeader> frame = Error{};
  do {  // what was finished before is still delivered
    frame = sut->read_frame(buffer, 2000ms);
  } while (frame);
  EXPECT_EQ(frame.error().code, ErrorCode::unavailable) << frame.error().message;
  EXPECT_NE(frame.error().message.find(world.socket()), std::string::npos);
  EXPECT_EQ(sut->state(), DeviceState::fault);
  sut->stop();
}

// With one slot the world cannot come to its fault before somebody reads, and start() has returned.
TEST(SimDetector, ComesBackFromFaultWhenTheWorldDoes) {
  WorldProcess world(small_scenario(5, "[[fault]]\nframe = 3\nkind = \"close\"\n"),
                     {"--speed", "0", "--slots", "1"});
  const auto sut = open_at(world);
  const Outcome first = read_all(*sut);
  ASSERT_TRUE(first.error.has_value());
  EXPECT_EQ(first.error->code, ErrorCode::unavailable);
  EXPECT_EQ(first.frames.size(), 3u);
  const Outcome second = read_all(*sut, 2);
  EXPECT_FALSE(second.error.has_value());
  EXPECT_EQ(second.frames.size(), 2u);
}

TEST(SimDetector, ExitOfTheWorldOnScriptIsUnavailable) {
  WorldProcess world(small_scenario(5, "[[fault]]\nframe = 2\nkind = \"exit\"\n"),
                     {"--speed", "0", "--slots", "1"});
  const auto sut = open_at(world);
  const Outcome outcome = read_all(*sut);
  ASSERT_TRUE(outcome.error.has_value());
  EXPECT_EQ(outcome.error->code, ErrorCode::unavailable);
  EXPECT_EQ(outcome.frames.size(), 2u);
}

TEST(SimDetector, TellsWhyFramesAreMissing) {
  WorldProcess world(small_scenario(20,
                                    "[[fault]]\nframe = 4\nkind = \"short\"\n"
                                    "[[fault]]\nframe = 7\ncount = 3\nkind = \"drop\"\n"
                                    "[[fault]]\nframe = 12\nkind = \"stall\"\nseconds = 0.05\n"),
                     {"--speed", "0"});
  const auto sut = open_at(world);
  const Outcome outcome = read_all(*sut);
  EXPECT_EQ(outcome.frames.size(), 16u);
  EXPECT_EQ(outcome.lost, (std::map<LossReason, std::uint64_t>{{LossReason::incomplete, 1},
                                                               {LossReason::sequence_gap, 3}}));
}

TEST(SimDetector, PacedWorldLosesFramesNobodyTakes) {
  WorldProcess world(small_scenario(40), {"--speed", "10", "--slots", "4"});
  const auto sut = open_at(world);
  std::vector<std::byte> buffer(sut->configure({})->geometry.bytes());
  ASSERT_TRUE(sut->arm());
  ASSERT_TRUE(sut->start());
  // Nobody reads until the world says that the run is over.
  auto link = sim::LineClient::open(world.socket(), 5000ms);
  ASSERT_TRUE(link);
  const auto deadline = std::chrono::steady_clock::now() + 20s;
  bool is_running = true;
  while (is_running && std::chrono::steady_clock::now() < deadline) {
    const auto status = link->request({{"cmd", "status"}}, 5000ms);
    ASSERT_TRUE(status);
    is_running = status->at("detectors").at(0).at("running").get<bool>();
  }
  ASSERT_FALSE(is_running);
  std::uint64_t frames = 0;
  std::uint64_t lost = 0;
  for (;;) {
    const auto frame = sut->read_frame(buffer, 5000ms);
    ASSERT_TRUE(frame) << frame.error().message;
    if (frame->kind == FrameKind::end) break;
    if (frame->kind == FrameKind::frame) {
      ++frames;
    } else {
      EXPECT_EQ(frame->loss, LossReason::detector_overrun);
      lost += frame->lost_count;
    }
  }
  EXPECT_EQ(frames, 4u);
  EXPECT_EQ(lost, 36u);
}

TEST(SimDetector, PrefetchedFramesGoToAndFro) {
  WorldProcess world(small_scenario(0), {"--prefetch", "3"});
  const auto sut = open_at(world);
  std::vector<std::byte> buffer(sut->configure({})->geometry.bytes());
  ASSERT_TRUE(sut->arm());
  ASSERT_TRUE(sut->start());
  std::vector<std::vector<std::byte>> frames;
  for (int i = 0; i < 7; ++i) {
    ASSERT_TRUE(sut->read_frame(buffer, 5000ms));
    frames.push_back(buffer);
  }
  EXPECT_NE(frames[0], frames[1]);
  EXPECT_NE(frames[1], frames[2]);
  EXPECT_EQ(frames[3], frames[1]);
  EXPECT_EQ(frames[4], frames[0]);
  EXPECT_EQ(frames[6], frames[2]);
}

TEST(SimDetector, PrefetchedFramesComeAtTheWantedRate) {
  WorldProcess world(small_scenario(0), {"--prefetch", "3"});
  SimDetectorOptions options;
  options.rate_hz = 200.0;
  const auto sut = open_at(world, options);
  const auto configuration = sut->configure({});
  ASSERT_TRUE(configuration);
  EXPECT_TRUE(configuration->is_paced);
  EXPECT_DOUBLE_EQ(configuration->frame_period_s, 0.005);
  const auto start = std::chrono::steady_clock::now();
  const Outcome outcome = read_all(*sut, 40);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  EXPECT_GE(took.count(), 0.2);  // never ahead of its time; behind it only if this machine is
  std::uint64_t total = outcome.frames.size();
  for (const auto& [reason, count] : outcome.lost) {
    EXPECT_EQ(reason, LossReason::detector_overrun);
    total += count;
  }
  EXPECT_EQ(total, 40u);
}

TEST(SimDetector, SaysWhereItLookedForAWorldThatIsNotThere) {
  SimDetectorOptions options;
  options.socket = "/tmp/latticed-no-such-world.sock";
  options.timeout = 20ms;
  const auto sut = SimDetector::open(options);
  ASSERT_FALSE(sut);
  EXPECT_EQ(sut.error().code, ErrorCode::unavailable);
  EXPECT_NE(sut.error().message.find(options.socket), std::string::npos);
}

TEST(SimDetector, IsRefusedADetectorThatAnotherHas) {
  WorldProcess world(small_scenario(1));
  const auto first = open_at(world);
  SimDetectorOptions options;
  options.socket = world.socket();
  options.detector = "haadf";
  const auto second = SimDetector::open(options);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::failed_precondition);
}

}  // namespace
}  // namespace latticed::test
