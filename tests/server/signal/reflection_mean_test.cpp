// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/signal/reflection_mean.hpp"

#include <gtest/gtest.h>

#include "tests/support/matched_scene.hpp"

namespace latticed::signal {
namespace {

using test::MatchedScene;
using test::Scene;

Scene lattice_alone(std::size_t waves = 99) {
  Scene scene{.counts = 40.0};
  scene.lattice = test::layered_lattice();
  scene.lattice.resize(std::min(waves, scene.lattice.size()));
  return scene;
}

TEST(MeanMotion, IsTheShiftOfAFrameThatMovedAsAWhole) {
  const Scene scene = lattice_alone();
  MatchedScene f(scene);
  const auto motion = mean_motion(f.analysis.grid(), f.frame(scene, {3.3, -2.6}), f.mean.mean(),
                                  f.bins.reflections(), {3.0, -2.0});
  ASSERT_TRUE(motion);
  // Whole bins stand for the frequencies: off by 2 % of the way here.
  EXPECT_NEAR(motion->shift_cells.x, 3.3, 2.0 * std::sqrt(motion->covariance.xx));
  EXPECT_NEAR(motion->shift_cells.y, -2.6, 2.0 * std::sqrt(motion->covariance.yy));
  EXPECT_LT(std::sqrt(motion->covariance.xx), 0.4);
}

// Whole turns of the finest planes are as good: the start says which.
TEST(MeanMotion, LiesWhereItWasSaidToBeWithinACell) {
  const Scene scene = lattice_alone();
  MatchedScene f(scene);
  const Vector2 cell = f.bins.translations_cells().front();
  const auto motion =
      mean_motion(f.analysis.grid(), f.frame(scene), f.mean.mean(), f.bins.reflections(), cell);
  ASSERT_TRUE(motion);
  EXPECT_NEAR(motion->shift_cells.x, cell.x, 0.2);
  EXPECT_NEAR(motion->shift_cells.y, cell.y, 0.2);
}

TEST(MeanMotion, IsNothingAlongTheOnlyPlanes) {
  const Scene scene = lattice_alone(1);
  MatchedScene f(scene);
  EXPECT_FALSE(
      mean_motion(f.analysis.grid(), f.frame(scene), f.mean.mean(), f.bins.reflections(), {}));
}

TEST(MeanMotion, IsNothingWherePhasesDoNotAgree) {
  const Scene scene = lattice_alone();
  MatchedScene f(scene);
  Scene other = scene;
  for (std::size_t i = 0; i < other.lattice.size(); ++i)
    other.lattice[i].phase += 2.1 * static_cast<double>(i * i);
  EXPECT_FALSE(
      mean_motion(f.analysis.grid(), f.frame(other), f.mean.mean(), f.bins.reflections(), {}));
}

}  // namespace
}  // namespace latticed::signal
