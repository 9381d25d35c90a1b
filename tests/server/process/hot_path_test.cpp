// SPDX-License-Identifier: GPL-3.0-or-later
// Nothing is allocated while frames flow: source, workers, track and sink threads take nothing from
// the heap once they are warm, whatever comes.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <string>
#include <vector>

#include "server/process/pipeline.hpp"
#include "tests/support/allocation_count.hpp"
#include "tests/support/deadline.hpp"
#include "tests/support/lattice_frames.hpp"
#include "tests/support/scripted_detector.hpp"

namespace latticed::test {
namespace {

/// Counts frames and keeps none.
class CountingSink final : public Sink {
 public:
  explicit CountingSink(std::atomic<std::uint64_t>& seen) : seen_(seen) {}
  [[nodiscard]] std::string_view name() const noexcept override { return "count"; }
  [[nodiscard]] SinkOptions options() const noexcept override { return {}; }
  void consume(const FrameLease&) override { seen_.fetch_add(1, std::memory_order_release); }

 private:
  std::atomic<std::uint64_t>& seen_;
};

/// A run that is warm after `warm_up`, then counted over `counted`; both end in a permit.
struct Counted {
  std::uint64_t allocations = 0;
  std::uint64_t frames = 0;
};

Counted allocations_in(const Script& warm_up, const Script& counted, std::uint64_t warm_entries,
                       std::uint64_t all_entries, const Scene& still,
                       const std::function<void(Line&)>& before_it_starts = {}) {
  // Drifting, so that the tracker moves; a few pictures, told apart by their noise and place.
  std::vector<std::vector<std::uint16_t>> images;
  for (std::uint64_t i = 0; i < 8; ++i) {
    Scene scene = still;
    scene.x = 0.4 * static_cast<double>(i < 4 ? i : 8 - i);
    images.push_back(lattice_frame(scene, i));
  }
  // The images of the second half have jumped, lack a fringe and show another: the tracker looks
  // for the field again, spots vanish and appear, alerts are raised.
  for (std::uint64_t i = 0; i < 8; ++i) {
    Scene scene = still;
    scene.fringes.back() = {6.0, 60.0, 0.3};
    scene.x = 17.3;
    scene.y = -9.1;
    images.push_back(lattice_frame(scene, 100 + i));
  }
  std::atomic<std::uint64_t> seen{0};
  Script script = warm_up;
  script.wait_for_permit().append(counted).wait_for_permit();
  auto detector = std::make_unique<ScriptedDetector>(
      script, still.geometry(), [&](std::uint64_t n, std::span<std::byte> pixels) {
        copy_pixels(images[n < 60 ? n % 8 : 8 + n % 8], pixels);
      });
  ScriptedDetector& control = *detector;
  Line::Parts parts;
  parts.detector = std::move(detector);
  parts.config.source_policy = LossPolicy::block;
  parts.config.rules = default_rules();
  parts.config.sum = {.frames = 8, .when = SumWhen::always};
  AlertRule speed{.name = "speed", .quantity = Quantity::drift_speed_px, .kind = RuleKind::limit};
  speed.above = 0.1;
  parts.config.rules.push_back(speed);
  const std::size_t pixels = still.geometry().pixels();
  parts.maps.dark.assign(pixels, 1.0f);
  parts.maps.gain.assign(pixels, 1.0f);
  parts.maps.hot_pixels = {5, 77};
  parts.sinks.push_back(std::make_unique<CountingSink>(seen));
  Pipeline sut({.workers = 2, .pin_workers = false});
  auto line = sut.add(std::move(parts), 1);
  EXPECT_TRUE(line);
  if (before_it_starts) before_it_starts(**line);
  EXPECT_TRUE(sut.start());
  EXPECT_TRUE(happens([&] { return seen == warm_entries; }));
  count_allocations_of("latd-");
  control.permit();
  EXPECT_TRUE(happens([&] { return seen == all_entries; }));
  const std::uint64_t allocations = stop_counting_allocations();
  control.permit();
  EXPECT_TRUE(sut.wait());
  return {allocations, (*line)->measured()};
}

TEST(HotPath, AllocatesNothingWhileFramesFlow) {
  Scene scene;
  const Counted got =
      allocations_in(Script().frames(20), Script().from(20).frames(40), 20, 60, scene);
  EXPECT_EQ(got.frames, 60u);
  EXPECT_EQ(got.allocations, 0u) << where_allocations_were();
}

TEST(HotPath, AllocatesNothingWhenFramesAreLostBlankedOrNew) {
  Scene scene;
  const Counted got = allocations_in(
      Script().frames(60),
      Script().from(60).lost(3, LossReason::truncated).frames(4, kFrameBlanked).gap(2).frames(60),
      60, 60 + 1 + 4 + 1 + 60, scene);
  EXPECT_EQ(got.frames, 124u);
  EXPECT_EQ(got.allocations, 0u) << where_allocations_were();
}

TEST(HotPath, AllocatesNothingAtAnotherSizeWithBinning) {
  Scene scene;
  scene.size = 300;
  scene.fringes = {{12.0, 20.0, 0.3}, {14.0, 95.0, 0.2}};
  const Counted got =
      allocations_in(Script().frames(20), Script().from(20).frames(20), 20, 40, scene);
  EXPECT_EQ(got.allocations, 0u) << where_allocations_were();
}

TEST(HotPath, AllocatesNothingOnceChangesHaveBeenMade) {
  Scene scene;
  const Counted got = allocations_in(
      Script().frames(30), Script().from(30).frames(40), 30, 70, scene, [](Line& line) {
        AlertRule counts{.name = "counts", .quantity = Quantity::mean_counts};
        EXPECT_TRUE(line.post(WatchSpot{{0.12, 0.03}, 0.01}, 3));
        EXPECT_TRUE(line.post(SetRegion{{10, 10, 100, 90}}, 6));
        EXPECT_TRUE(line.post(SetRules{{counts}}, 9));
        EXPECT_TRUE(line.post(ResetTracking{}, 12));
        EXPECT_TRUE(line.post(SetReference{}, 15));
      });
  EXPECT_EQ(got.frames, 70u);
  EXPECT_EQ(got.allocations, 0u) << where_allocations_were();
}

std::string all_plans() {
  const auto file = std::filesystem::temp_directory_path() /
                    ("latticed_hot_path_test." + std::to_string(getpid()));
  EXPECT_TRUE(signal::store_fft_wisdom(file.string()));
  std::stringstream text;
  text << std::ifstream(file).rdbuf();
  std::filesystem::remove(file);
  return text.str();
}

// What FFTW has learned is what it was made to plan. A line plans when it is made: neither its
// start nor a frame has to wait for it, the first jump and the first spot included.
TEST(HotPath, PlansNothingOnceTheLineIsMade) {
  const std::string before = all_plans();
  std::string made;
  Scene scene;
  scene.size = 150;  // a size of its own: its plans are not there yet
  const Counted got = allocations_in(Script().frames(60), Script().from(60).frames(60), 60, 120,
                                     scene, [&](Line&) { made = all_plans(); });
  EXPECT_EQ(got.frames, 120u);
  EXPECT_NE(made, before);
  EXPECT_EQ(all_plans(), made);
}

// The counter itself: it sees what a thread of that name takes, and only that.
TEST(HotPath, TheCounterSeesTheThreadsItIsToldOf) {
  count_allocations_of("latd-x");
  { const std::vector<int> not_counted(100); }
  NamedThread({"latd-x1"}, [] {
    const auto counted = std::make_unique<std::vector<int>>(100);
    EXPECT_EQ(counted->size(), 100u);
  }).join();
  EXPECT_GE(stop_counting_allocations(), 2u);
}

}  // namespace
}  // namespace latticed::test
