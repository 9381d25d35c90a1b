// SPDX-License-Identifier: GPL-3.0-or-later
#include "drivers/simulator/sim_holder.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "drivers/simulator/sim_detector.hpp"
#include "tests/conformance/holder_conformance.hpp"
#include "tests/sim/support/world_process.hpp"

namespace latticed::test {
namespace {

using sim::test::small_scenario;
using sim::test::WorldProcess;
using namespace std::chrono_literals;

constexpr const char* kCell =
    "[cell]\ncapacity_c = 1e-9\nvoltage_limit_v = 4.5\nvoltage_v = [[0.0, 3.0], [1.0, 5.0]]\n";

/// A world whose camera is read all the time, so that experiment time passes.
class RunningWorld {
 public:
  explicit RunningWorld(const std::string& scenario) : scenario_(scenario) { restore(); }
  ~RunningWorld() { lose(); }

  void lose() {
    if (world_) world_->kill();
    is_over_.store(true);
    if (reader_.joinable()) reader_.join();
  }
  void restore() {
    is_over_.store(false);
    world_ = std::make_unique<WorldProcess>(scenario_, std::vector<std::string>{"--speed", "1"},
                                            directory_.file("world.sock"));
    reader_ = std::thread([this] {
      while (!is_over_.load()) read_frames();
    });
  }
  [[nodiscard]] std::string socket() const { return directory_.file("world.sock"); }

 private:
  /// Until it is over or something fails: a world that was killed early is not waited for.
  void read_frames() {
    SimDetectorOptions options;
    options.socket = socket();
    options.timeout = 500ms;
    auto detector = SimDetector::open(options);
    if (!detector) return;
    const auto configuration = (*detector)->configure({});
    if (!configuration || !(*detector)->arm() || !(*detector)->start()) return;
    std::vector<std::byte> buffer(configuration->geometry.bytes());
    while (!is_over_.load()) {
      const auto frame = (*detector)->read_frame(buffer, 10ms);
      if (!frame && frame.error().code != ErrorCode::timeout) return;
    }
  }

  const std::string scenario_;
  sim::test::TemporaryDirectory directory_;
  std::unique_ptr<WorldProcess> world_;
  std::atomic<bool> is_over_{false};
  std::thread reader_;
};

std::unique_ptr<SimHolder> open_at(const std::string& socket) {
  SimHolderOptions options;
  options.socket = socket;
  options.timeout = 5000ms;
  auto holder = SimHolder::open(options);
  if (holder) return std::move(*holder);
  ADD_FAILURE() << holder.error().message;
  return nullptr;
}

HolderUnderTest in_a_running_world() {
  auto world = std::make_shared<RunningWorld>(small_scenario(0, kCell));
  auto holder = open_at(world->socket());
  return {world, std::move(holder), [world] { world->lose(); }, [world] { world->restore(); }};
}

INSTANTIATE_TEST_SUITE_P(
    Simulator, HolderConformance,
    testing::Values(HolderCase{"current", in_a_running_world, SourceMode::current},
                    HolderCase{"voltage", in_a_running_world, SourceMode::voltage}),
    [](const auto& which) { return which.param.name; });

TEST(SimHolder, SaysWhichWorldIsNotThere) {
  SimHolderOptions options;
  options.socket = "/nowhere/world.sock";
  options.timeout = 10ms;
  const auto holder = SimHolder::open(options);
  ASSERT_FALSE(holder);
  EXPECT_EQ(holder.error().code, ErrorCode::unavailable);
  EXPECT_NE(holder.error().message.find("/nowhere/world.sock"), std::string::npos);
}

TEST(SimHolder, OneClientHasTheHolderAndItsEndFreesIt) {
  WorldProcess world(small_scenario(0, kCell), {"--speed", "0"});
  auto first = open_at(world.socket());
  ASSERT_TRUE(first);
  SimHolderOptions options;
  options.socket = world.socket();
  options.timeout = 50ms;
  const auto second = SimHolder::open(options);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::failed_precondition);
  first.reset();
  EXPECT_TRUE(open_at(world.socket()));
}

/// Frames of a free world are begun as they are read: experiment time is in the test's hand.
class HeldCell : public testing::Test {
 protected:
  HeldCell() : world_(small_scenario(0, kCell), {"--speed", "0", "--slots", "1"}) {}

  void start() {
    holder_ = open_at(world_.socket());
    ASSERT_TRUE(holder_);
    SimDetectorOptions options;
    options.socket = world_.socket();
    auto detector = SimDetector::open(options);
    ASSERT_TRUE(detector);
    detector_ = std::move(*detector);
    buffer_.resize(detector_->configure({})->geometry.bytes());
    ASSERT_TRUE(detector_->arm());
  }
  void read_frames(int count) {
    for (int i = 0; i < count; ++i) {
      const auto frame = detector_->read_frame(buffer_, 5000ms);
      ASSERT_TRUE(frame && frame->kind == FrameKind::frame);
      middles_.push_back(frame->time_ns);
      std::array<HolderSample, 16> some;
      const auto reading = holder_->read(some, 5000ms);
      ASSERT_TRUE(reading) << reading.error().message;
      all_.insert(all_.end(), some.begin(),
                  some.begin() + static_cast<std::ptrdiff_t>(reading->count));
    }
  }

  WorldProcess world_;
  std::unique_ptr<SimHolder> holder_;
  std::unique_ptr<Detector> detector_;
  std::vector<std::byte> buffer_;
  std::vector<HolderSample> all_;
  std::vector<std::int64_t> middles_;
};

TEST_F(HeldCell, ChargesToItsComplianceVoltage) {
  ASSERT_NO_FATAL_FAILURE(start());
  // Half a coulomb of the capacity a second: from 3 V by 1 V a second.
  ASSERT_TRUE(holder_->set_source({SourceMode::current, 5e-10, 3.4}));
  ASSERT_TRUE(holder_->set_output(Switch::on));
  ASSERT_TRUE(detector_->start());
  ASSERT_NO_FATAL_FAILURE(read_frames(60));
  ASSERT_GE(all_.size(), 60u);
  EXPECT_NEAR(all_[0].bias_v, 3.0, 1e-9);
  EXPECT_EQ(all_[0].current_a, 5e-10);
  EXPECT_NEAR(all_[20].bias_v, 3.2, 1e-9);
  EXPECT_FALSE(all_[20].is_in_compliance);
  EXPECT_EQ(all_[45].current_a, 0.0);
  EXPECT_TRUE(all_[45].is_in_compliance);
  EXPECT_NEAR(all_[59].bias_v, 3.4, 0.011);
  for (std::size_t i = 0; i < 60; ++i) {  // a sample at each frame's beginning, by the same clock
    EXPECT_EQ(middles_[i] - all_[i].time_ns, 5'000'000) << i;
  }
}

TEST_F(HeldCell, HoldsAVoltageWithinItsComplianceCurrentUntilItIsTurnedOff) {
  ASSERT_NO_FATAL_FAILURE(start());
  // 20 mV a frame at the limit, and so to 3.2 V.
  ASSERT_TRUE(holder_->set_source({SourceMode::voltage, 3.2, 1e-9}));
  ASSERT_TRUE(holder_->set_output(Switch::on));
  ASSERT_TRUE(detector_->start());
  ASSERT_NO_FATAL_FAILURE(read_frames(60));
  ASSERT_GE(all_.size(), 60u);
  EXPECT_EQ(all_[5].current_a, 1e-9);
  EXPECT_TRUE(all_[5].is_in_compliance);
  EXPECT_NEAR(all_[5].bias_v, 3.12, 1e-9);  // 20 mV above the cell's own
  EXPECT_EQ(all_[59].bias_v, 3.2);
  EXPECT_NEAR(all_[59].current_a, 0.0, 1e-15);
  EXPECT_FALSE(all_[59].is_in_compliance);
  ASSERT_TRUE(holder_->set_source({SourceMode::voltage, 4.0, 1e-9}));
  ASSERT_NO_FATAL_FAILURE(read_frames(10));
  EXPECT_EQ(all_.back().current_a, 1e-9);
  const auto refused = holder_->set_source({SourceMode::current, 0.0, 5.0});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::failed_precondition);
  ASSERT_TRUE(holder_->set_output(Switch::off));
  ASSERT_NO_FATAL_FAILURE(read_frames(10));
  EXPECT_EQ(all_.back().current_a, 0.0);
  EXPECT_FALSE(all_.back().is_output_on);
}

TEST(SimHolder, BrokenLinkTurnsTheOutputOff) {
  const RunningWorld world(small_scenario(0, kCell));
  auto holder = open_at(world.socket());
  ASSERT_TRUE(holder);
  auto watcher = sim::LineClient::open(world.socket(), 5000ms);
  ASSERT_TRUE(watcher);
  {  // a link that ends without a word
    auto rude = sim::LineClient::open(world.socket(), 5000ms);
    ASSERT_TRUE(rude);
    holder.reset();
    ASSERT_TRUE(happens([&] {
      return rude->request({{"cmd", "open_holder"}}, 5000ms).has_value();
    }));
    ASSERT_TRUE(rude->request({{"cmd", "temperature"}, {"temperature_k", 400.0}}, 5000ms));
    ASSERT_TRUE(rude->request({{"cmd", "heater"}, {"on", true}}, 5000ms));
  }
  holder = open_at(world.socket());
  ASSERT_TRUE(holder);
  std::array<HolderSample, 16> samples;
  ASSERT_TRUE(happens([&] {
    const auto reading = holder->read(samples, 5000ms);
    return reading && reading->count > 0;
  }));
  EXPECT_FALSE(samples[0].is_heater_on);
}

}  // namespace
}  // namespace latticed::test
