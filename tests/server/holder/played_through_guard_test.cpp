// SPDX-License-Identifier: GPL-3.0-or-later
// The whole way of a set-point: link, guard with its ramps, driver, sim-world. Played so, a
// scenario gives the same frames as when the world plays it by itself.
#include <gtest/gtest.h>

#include <atomic>
#include <nlohmann/json.hpp>
#include <thread>

#include "drivers/simulator/sim_detector.hpp"
#include "server/guard/guard.hpp"
#include "server/holder/guard_link.hpp"
#include "tests/sim/support/world_process.hpp"
#include "tests/support/deadline.hpp"

namespace latticed {
namespace {

using namespace std::chrono_literals;
using sim::test::WorldProcess;
using test::happens;
using Frames = std::vector<std::vector<std::byte>>;

constexpr int kFrames = 16;
const std::string kScenario = sim::test::small_scenario(
    kFrames,
    "walk_nm_per_sqrt_s = 0.3\n[heat]\ntau_s = 0.02\ndrift_tau_s = 0.05\n"
    "drift_nm_per_k = [0.01, 0.004]\n"
    "[cell]\ncapacity_c = 1e-9\nvoltage_limit_v = 4.5\nvoltage_v = [[0.0, 3.0], [1.0, 4.0]]\n"
    "[[step]]\nt_s = 0.02\ncurrent_a = 5e-9\n"
    "[[step]]\nt_s = 0.05\ntemperature_k = 390.0\n"
    "[[step]]\nt_s = 0.09\ncurrent_a = -1e-9\ntemperature_k = 350.0\n");

Frames frames_of(const std::string& socket, std::vector<std::int64_t>* times = nullptr) {
  Frames frames;
  SimDetectorOptions options;
  options.socket = socket;
  auto detector = SimDetector::open(options);
  if (!detector) {
    ADD_FAILURE() << detector.error().message;
    return frames;
  }
  std::vector<std::byte> buffer((*detector)->configure({})->geometry.bytes());
  EXPECT_TRUE((*detector)->arm());
  EXPECT_TRUE((*detector)->start());
  for (int i = 0; i < kFrames; ++i) {
    const auto frame = (*detector)->read_frame(buffer, 30000ms);
    EXPECT_TRUE(frame && frame->kind == FrameKind::frame) << i;
    frames.push_back(buffer);
    if (frame && times != nullptr) times->push_back(frame->time_ns);
  }
  return frames;
}

GuardConfig config_of(const WorldProcess& world) {
  GuardConfig config;
  config.socket = world.file("guard.sock");
  config.safe_off_socket = world.file("safe-off.sock");
  config.audit = world.file("audit.jsonl");
  config.heartbeat_ms = 1000;  // a loaded machine is no dead daemon
  GuardedHolder holder;
  holder.name = "bias";
  holder.simulator.socket = world.socket();
  holder.policy.stale_after = 20s;
  HolderLimits& limits = holder.policy.limits;
  limits.voltage_v = {-0.5, 6.0};
  limits.current_a = {-1e-8, 1e-8};
  limits.temperature_k = {280.0, 600.0};
  limits.voltage_v_per_s = 10.0;
  limits.current_a_per_s = 2e-8;
  limits.temperature_k_per_s = 500.0;
  config.holders.push_back(holder);
  return config;
}

void tell(GuardLink& link, HolderVerb verb, const std::function<void(HolderCommand&)>& with = {}) {
  HolderCommand command;
  command.holder = "bias";
  command.verb = verb;
  command.who = "Ada";
  command.wanted = Switch::on;
  if (with) with(command);
  const GuardResult refused = link.request(command);
  EXPECT_FALSE(refused) << to_string(verb) << ": " << refused->message;
}

/// What a recipe will do: look what the world waits for, and ask for it.
void play(const std::string& socket, GuardLink& link, const std::atomic<bool>& is_over) {
  auto world = sim::LineClient::open(socket, 5000ms);
  ASSERT_TRUE(world);
  std::uint64_t played = 0;
  while (!is_over.load()) {
    const auto status = world->request({{"cmd", "status"}}, 5000ms);
    ASSERT_TRUE(status);
    const auto& step = status->at("waiting_for_step");
    if (step.is_null() || step["frame"] == played) continue;
    played = step["frame"].get<std::uint64_t>();
    if (step.contains("current_a")) {
      tell(link, HolderVerb::set_source, [&](HolderCommand& command) {
        command.source = {SourceMode::current, step["current_a"].get<double>(), 5.0};
      });
      tell(link, HolderVerb::set_output);
    }
    if (step.contains("temperature_k")) {
      tell(link, HolderVerb::set_temperature, [&](HolderCommand& command) {
        command.temperature_k = step["temperature_k"].get<double>();
      });
      tell(link, HolderVerb::set_heater);
    }
  }
}

TEST(PlayedThroughGuard, GivesTheSameFramesAndALogThatKnowsEachOfThem) {
  WorldProcess scripted(kScenario, {"--speed", "0"});
  const Frames reference = frames_of(scripted.socket());
  ASSERT_EQ(reference.size(), static_cast<std::size_t>(kFrames));

  WorldProcess played(kScenario, {"--speed", "0", "--stimulus", "client"});
  auto guard = Guard::start(config_of(played));
  ASSERT_TRUE(guard) << guard.error().message;
  GuardLinkOptions options;
  options.socket = played.file("guard.sock");
  options.holders = {"bias"};
  options.request_timeout = 30s;
  auto link = GuardLink::start(options);
  ASSERT_TRUE(link) << link.error().message;
  ASSERT_TRUE(happens([&] {
    const auto status = (*link)->status();
    return !status.empty() && status[0].state == ArmingState::disarmed;
  }));
  tell(**link, HolderVerb::arm);
  std::atomic<bool> is_over{false};
  std::thread player([&] { play(played.socket(), **link, is_over); });
  std::vector<std::int64_t> times;
  EXPECT_EQ(frames_of(played.socket(), &times), reference);
  is_over.store(true);
  player.join();

  const auto log = (*link)->logs().at(0);
  // A frame's middle lies between its own sample and the next one's: all but the last are final.
  ASSERT_EQ(times.size(), static_cast<std::size_t>(kFrames));
  ASSERT_TRUE(happens([&] { return log->is_final_at(times[kFrames - 2]); }));
  EXPECT_FALSE(log->at(times.front())->is_output_on);
  for (int i = 2; i < kFrames - 1; ++i) {
    const auto state = log->at(times[static_cast<std::size_t>(i)]);
    ASSERT_TRUE(state) << i;
    EXPECT_FALSE(state->is_provisional) << i;
    EXPECT_TRUE(state->is_output_on) << i;
  }
  EXPECT_EQ(log->at(times[4])->current_a, 5e-9);
  EXPECT_EQ(log->at(times[12])->current_a, -1e-9);
  EXPECT_GT(log->at(times[8])->temperature_k, 370.0);
}

}  // namespace
}  // namespace latticed
