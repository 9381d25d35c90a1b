// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/signal/usual_fit.hpp"

#include <gtest/gtest.h>

#include <numbers>

#include "tests/support/matched_scene.hpp"

namespace latticed::signal {
namespace {

using test::MatchedScene;
using test::particle_on_film;
using test::Scene;

struct Fixture : MatchedScene {
  explicit Fixture(const Scene& scene) : MatchedScene(scene) { sut.reset(); }
  void learn(const Scene& scene, int frames) {
    for (int i = 0; i < frames; ++i) sut.learn(list, match(scene), fit_noise(), {});
  }
  bool is_strange(const Scene& scene, Vector2 shift = {}, Vector2 start = {}) {
    return sut.is_strange(list, match(scene, shift, start), fit_noise(), {});
  }
  UsualFit sut;
};

TEST(UsualFit, OfTheSameSpecimenIsAsGoodAsTheElectronsAllow) {
  const Scene scene = particle_on_film(20.0);
  Fixture f(scene);
  f.learn(scene, 20);
  EXPECT_NEAR(f.sut.misfit()[0], 1.0, 0.1);
  EXPECT_NEAR(f.sut.aperiodic(), 1.0, 0.1);
  EXPECT_FALSE(f.is_strange(scene));
}

TEST(UsualFit, OneCellFurtherIsStrange) {
  const Scene scene = particle_on_film(20.0);
  Fixture f(scene);
  f.learn(scene, 20);
  const Vector2 cell = f.bins.translations_cells().front();
  EXPECT_TRUE(f.is_strange(scene, {}, cell));
}

TEST(UsualFit, LeavesOutAReflectionThatMovesByItselfUntilItIsBack) {
  const Scene scene = particle_on_film(40.0);
  for (const double phase : {0.8, std::numbers::pi}) {
    Fixture f(scene);
    ASSERT_TRUE(can_stand_alone(f.list));
    f.learn(scene, 10);
    EXPECT_EQ(f.sut.labels(), ~0u);
    Scene moved = scene;
    moved.lattice[0].phase += phase;
    f.learn(moved, 20);
    for (int i = 0; i < 20; ++i) {
      f.learn(moved, 1);
      EXPECT_NE(f.sut.labels(), ~0u) << phase << ", " << i;
    }
    f.learn(scene, 60);
    EXPECT_EQ(f.sut.labels(), ~0u) << phase;
  }
}

TEST(UsualFit, KnowsAPullThatIsUnusual) {
  const Scene scene = particle_on_film(20.0);
  Fixture f(scene);
  EXPECT_FALSE(f.sut.is_unusual({1.0, 1.0}));
  EXPECT_TRUE(f.sut.is_unusual({3.0, 0.0}));
  for (int i = 0; i < 60; ++i) f.sut.learn(f.list, f.match(scene), f.fit_noise(), {3.0, 0.0});
  EXPECT_FALSE(f.sut.is_unusual({3.0, 0.0}));
}

}  // namespace
}  // namespace latticed::signal
