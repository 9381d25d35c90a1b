// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/signal/running_template.hpp"

#include <gtest/gtest.h>

#include "tests/support/matched_scene.hpp"

namespace latticed::signal {
namespace {

using test::MatchedScene;
using test::particle_on_film;
using test::Scene;

// Power of the difference over the bins of the match, per bin.
double apart(const MatchedScene& f, const Spectrum& a, const Spectrum& b) {
  double sum = 0.0;
  for (const MatchBlock& block : f.bins.blocks())
    for (int i = 0; i < kBlock; ++i) {
      const std::size_t bin = f.analysis.grid().at(block.kx, block.row + i);
      sum += static_cast<double>(std::norm(a[bin] - b[bin]));
    }
  return sum / static_cast<double>(kBlock * f.bins.blocks().size());
}

TEST(RunningTemplate, IsTheMeanOfFramesMovedBackAndAsNoisyAsItSays) {
  const Scene scene = particle_on_film(10.0);
  MatchedScene f(scene);
  RunningTemplate sut(f.analysis.grid(), 32);
  sut.begin(f.frame(scene), f.white);
  f.list.choose(f.bins.blocks(), f.bins.label_begin(), sut.mean(), {}, {});
  for (int i = 1; i < 20; ++i)
    sut.learn(f.frame(scene, {0.5, -0.25}), {0.5, -0.25}, f.white, 32, f.list, f.ramps);
  sut.write_back(f.list);
  EXPECT_EQ(sut.frames(), 20);
  EXPECT_NEAR(sut.noise().others, f.white / 20.0, 0.01 * f.white);
  EXPECT_NEAR(sut.shift().x, 0.475, 1e-6);
  const double noise = apart(f, sut.mean(), f.mean.mean());
  EXPECT_GT(noise, 0.7 * sut.noise().others);
  EXPECT_LT(noise, 1.6 * sut.noise().others);
}

TEST(RunningTemplate, CountsNewFramesMoreWhenItsMemoryIsShortened) {
  const Scene scene = particle_on_film(10.0);
  MatchedScene f(scene);
  RunningTemplate sut(f.analysis.grid(), 32);
  sut.begin(f.frame(scene), f.white);
  f.list.choose(f.bins.blocks(), f.bins.label_begin(), sut.mean(), {}, {});
  const Spectrum& frame = f.frame(scene);
  for (int i = 0; i < 40; ++i) sut.learn(frame, {}, f.white, 32, f.list, f.ramps);
  const Vector2 moved{8.0, 0.0};
  sut.learn(frame, moved, f.white, 32, f.list, f.ramps);
  EXPECT_NEAR(sut.shift().x, 8.0 / 32.0, 1e-6);
  sut.shorten_memory(3);
  const double before = sut.shift().x;
  sut.learn(frame, moved, f.white, 32, f.list, f.ramps);
  EXPECT_NEAR(sut.shift().x, before + (8.0 - before) / 4.0, 1e-6);
}

// What is not in the list is learnt whole at first, then in stripes.
TEST(RunningTemplate, FollowsWithAllItsBinsWithinAFewStripes) {
  const Scene scene = particle_on_film(10.0);
  MatchedScene f(scene);
  RunningTemplate sut(f.analysis.grid(), 32);
  sut.begin(f.frame(scene), f.white);
  f.list.choose({}, std::array<std::uint32_t, kLabels + 1>{}, sut.mean(), {}, {});
  for (int i = 0; i < 40; ++i) sut.learn(f.frame(scene), {}, f.white, 32, f.list, f.ramps);
  const Scene brighter = particle_on_film(20.0);
  const Spectrum& frame = f.frame(brighter);
  const double at_first = apart(f, sut.mean(), frame);
  for (int i = 0; i < 16 * 48; ++i) sut.learn(frame, {}, f.white, 32, f.list, f.ramps);
  EXPECT_LT(apart(f, sut.mean(), frame), 0.01 * at_first);
}

TEST(RunningTemplate, AdmitsBinsWithTheNoiseOfTheRest) {
  const Scene scene = particle_on_film(10.0);
  MatchedScene f(scene);
  RunningTemplate sut(f.analysis.grid(), 32);
  sut.begin(f.frame(scene), f.white);
  f.list.choose(f.bins.blocks(), f.bins.label_begin(), sut.mean(), {}, {});
  for (int i = 0; i < 200; ++i) sut.learn(f.frame(scene), {}, f.white, 32, f.list, f.ramps);
  ASSERT_GT(sut.full_noise(), sut.noise().others);
  sut.admit_others();
  EXPECT_DOUBLE_EQ(sut.noise().others, sut.full_noise());
}

}  // namespace
}  // namespace latticed::signal
