// SPDX-License-Identifier: GPL-3.0-or-later
// Whatever the pace and the number of threads, and whether a set-point comes from the scenario or
// from a client: the same seed and the same timeline give the same frames. Real processes.
#include <gtest/gtest.h>

#include <atomic>
#include <nlohmann/json.hpp>
#include <thread>

#include "drivers/simulator/sim_detector.hpp"
#include "drivers/simulator/sim_holder.hpp"
#include "tests/sim/support/world_process.hpp"

namespace latticed::sim {
namespace {

using namespace std::chrono_literals;
using Frames = std::vector<std::vector<std::byte>>;

constexpr int kFrames = 12;
const std::string kMoving =
    "walk_nm_per_sqrt_s = 0.3\n[heat]\ntau_s = 0.02\ndrift_tau_s = 0.05\n"
    "drift_nm_per_k = [0.01, 0.004]\n";

Frames frames_of(
    test::WorldProcess& world, const std::function<void(int)>& before_frame = [](int) {}) {
  Frames frames;
  SimDetectorOptions options;
  options.socket = world.socket();
  auto detector = SimDetector::open(options);
  if (!detector) {
    ADD_FAILURE() << detector.error().message;
    return frames;
  }
  const auto configuration = (*detector)->configure({});
  EXPECT_TRUE((*detector)->arm());
  EXPECT_TRUE((*detector)->start());
  std::vector<std::byte> buffer(configuration->geometry.bytes());
  for (int i = 0; i < kFrames; ++i) {
    before_frame(i);
    const auto frame = (*detector)->read_frame(buffer, 5000ms);
    EXPECT_TRUE(frame && frame->kind == FrameKind::frame) << i;
    frames.push_back(buffer);
  }
  return frames;
}

TEST(SameBits, WhateverThePaceAndTheThreads) {
  const std::string scenario = test::small_scenario(kFrames, kMoving);
  test::WorldProcess free(scenario, {"--speed", "0"});
  const Frames reference = frames_of(free);
  ASSERT_EQ(reference.size(), static_cast<std::size_t>(kFrames));
  EXPECT_NE(reference[0], reference[1]);
  test::WorldProcess threaded(scenario, {"--speed", "0", "--threads", "2", "--slots", "2"});
  EXPECT_EQ(frames_of(threaded), reference);
  test::WorldProcess paced(scenario, {"--speed", "1"});
  EXPECT_EQ(frames_of(paced), reference);
}

TEST(SameBits, WhetherTheSetPointIsCommandedOrScripted) {
  test::WorldProcess commanded(test::small_scenario(kFrames, kMoving),
                               {"--speed", "0", "--slots", "1"});
  auto link = LineClient::open(commanded.socket(), 5000ms);
  ASSERT_TRUE(link);
  std::uint64_t at = 0;
  const Frames reference = frames_of(commanded, [&](int i) {
    if (i != 4) return;
    const auto reply = link->request({{"cmd", "set"}, {"temperature_k", 390.0}}, 5000ms);
    ASSERT_TRUE(reply);
    at = reply->at("frame").get<std::uint64_t>();
  });
  ASSERT_GE(at, 4u);
  ASSERT_LT(at, static_cast<std::uint64_t>(kFrames));
  const std::string step = "[[step]]\nt_s = " + std::to_string(0.01 * static_cast<double>(at)) +
                           "\ntemperature_k = 390.0\n";
  test::WorldProcess scripted(test::small_scenario(kFrames, kMoving + step), {"--speed", "0"});
  EXPECT_EQ(frames_of(scripted), reference);
  test::WorldProcess neither(test::small_scenario(kFrames, kMoving), {"--speed", "0"});
  EXPECT_NE(frames_of(neither), reference);
}

/// Plays what the world waits for, through the holder, in ramps of a few writes.
void play_steps(const std::string& socket, const std::atomic<bool>& is_over) {
  SimHolderOptions options;
  options.socket = socket;
  auto holder = SimHolder::open(options);
  ASSERT_TRUE(holder) << holder.error().message;
  auto link = LineClient::open(socket, 5000ms);
  ASSERT_TRUE(link);
  double current_a = 0.0;
  double temperature_k = 293.0;
  while (!is_over.load()) {
    const auto status = link->request({{"cmd", "status"}}, 5000ms);
    ASSERT_TRUE(status);
    const auto& step = status->at("waiting_for_step");
    if (step.is_null()) continue;
    if (step.contains("current_a")) {
      const double wanted = step["current_a"].get<double>();
      for (const double part : {0.3, 0.7, 1.0}) {
        const double level = part == 1.0 ? wanted : current_a + part * (wanted - current_a);
        ASSERT_TRUE((*holder)->set_source({SourceMode::current, level, 10.0}));
        ASSERT_TRUE((*holder)->set_output(Switch::on));
      }
      current_a = wanted;
    }
    if (step.contains("temperature_k")) {
      const double wanted = step["temperature_k"].get<double>();
      ASSERT_TRUE((*holder)->set_temperature(temperature_k));
      ASSERT_TRUE((*holder)->set_heater(Switch::on));
      ASSERT_TRUE((*holder)->set_temperature(0.5 * (temperature_k + wanted)));
      ASSERT_TRUE((*holder)->set_temperature(wanted));
      temperature_k = wanted;
    }
  }
}

TEST(SameBits, WhetherTheWorldOrAClientPlaysTheSteps) {
  const std::string scenario = test::small_scenario(
      kFrames, kMoving +
                   "[cell]\ncapacity_c = 1e-9\nvoltage_v = [[0.0, 3.0], [1.0, 4.0]]\n"
                   "[[step]]\nt_s = 0.0\ntemperature_k = 330.0\n"
                   "[[step]]\nt_s = 0.03\ncurrent_a = 5e-9\njump_nm = [0.1, 0.2]\n"
                   "[[step]]\nt_s = 0.06\ntemperature_k = 390.0\ncurrent_a = -1e-9\n"
                   "[[step]]\nt_s = 0.08\nbeam = \"blank\"\n");
  test::WorldProcess scripted(scenario, {"--speed", "0"});
  const Frames reference = frames_of(scripted);
  ASSERT_EQ(reference.size(), static_cast<std::size_t>(kFrames));
  for (const char* speed : {"0", "1", "3"}) {
    test::WorldProcess played(scenario, {"--speed", speed, "--stimulus", "client"});
    std::atomic<bool> is_over{false};
    std::thread player([&] { play_steps(played.socket(), is_over); });
    EXPECT_EQ(frames_of(played), reference) << speed;
    is_over.store(true);
    player.join();
  }
}

TEST(SameBits, ASpecimenThatWasOutIsBackWhereItWouldBe) {
  test::WorldProcess stayed(test::small_scenario(kFrames, kMoving), {"--speed", "0"});
  const Frames reference = frames_of(stayed);
  test::WorldProcess taken_out(test::small_scenario(kFrames, kMoving),
                               {"--speed", "0", "--slots", "1"});
  auto link = LineClient::open(taken_out.socket(), 5000ms);
  ASSERT_TRUE(link);
  ASSERT_TRUE(link->request({{"cmd", "set"}, {"specimen_in", false}}, 5000ms));
  std::size_t back = 0;
  const Frames frames = frames_of(taken_out, [&](int i) {
    if (i != 4) return;
    const auto reply = link->request({{"cmd", "set"}, {"specimen_in", true}}, 5000ms);
    ASSERT_TRUE(reply);
    back = reply->at("frame").get<std::size_t>();
  });
  ASSERT_GE(back, 4u);
  ASSERT_LT(back, frames.size());
  for (std::size_t i = 0; i < frames.size(); ++i)
    EXPECT_EQ(frames[i] == reference[i], i >= back) << i;
}

TEST(SameBits, TwoDetectorsSeeTheSameSpecimen) {
  const std::string second =
      "[[detector]]\nname = \"abf\"\nwidth = 32\nheight = 32\npixel_size_nm = 0.1\n";
  test::WorldProcess world(test::small_scenario(kFrames, kMoving + second), {"--speed", "0"});
  SimDetectorOptions options;
  options.socket = world.socket();
  auto first = SimDetector::open(options);
  ASSERT_TRUE(first) << first.error().message;
  options.detector = "abf";
  auto other = SimDetector::open(options);
  ASSERT_TRUE(other) << other.error().message;
  EXPECT_EQ((*other)->configure({})->geometry.width, 32);
  EXPECT_EQ((*first)->configure({})->geometry.width, 64);
}

TEST(WorldProcess, EndsCleanlyOnSigterm) {
  test::WorldProcess world(test::small_scenario(0), {"--speed", "0"});
  EXPECT_EQ(frames_of(world).size(), static_cast<std::size_t>(kFrames));
  const int status = world.terminate();
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace latticed::sim
