// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/signal/drift_anchor.hpp"

#include <gtest/gtest.h>

#include "tests/support/matched_scene.hpp"

namespace latticed::signal {
namespace {

using test::MatchedScene;
using test::particle_on_film;
using test::Scene;

struct Fixture : MatchedScene {
  explicit Fixture(const Scene& scene) : MatchedScene(scene), sut(analysis.fft(), kBlocks) {
    std::array<double, kLabels> frame_noise;
    frame_noise.fill(white);
    sut.make(mean, list, bins, {}, frame_noise, {});
  }
  Vector2 pulled(const Scene& scene, Vector2 truth, Vector2 said) {
    return sut.pulled({frame(scene, truth), said, ~0u, 6.0}, bins);
  }
  DriftAnchor sut;
};

TEST(DriftAnchor, PullsAFifthOfTheWayToWhereItSaysTheFrameIs) {
  const Scene scene = particle_on_film(40.0);
  Fixture f(scene);
  const Vector2 at = f.pulled(scene, {1.0, -1.0}, {1.3, -1.0});
  EXPECT_NEAR(at.x, 1.24, 0.02);
  EXPECT_NEAR(at.y, -1.0, 0.02);
  EXPECT_TRUE(f.sut.is_made());
}

TEST(DriftAnchor, IsForgottenWhenTheFieldIsAnother) {
  Fixture f(particle_on_film(40.0));
  Scene other = particle_on_film(40.0, 8);
  other.lattice = test::layered_lattice(1.1);
  other.centre = {-30.0, 40.0};
  const Vector2 at = f.pulled(other, {}, {0.5, 0.5});
  EXPECT_DOUBLE_EQ(at.x, 0.5);
  EXPECT_FALSE(f.sut.is_made());
}

TEST(DriftAnchor, IsForgottenWhenTheFieldHasMovedOn) {
  const Scene scene = particle_on_film(40.0);
  Fixture f(scene);
  f.sut.move_on({9.0, 0.0});  // of 256
  EXPECT_TRUE(f.sut.is_made());
  f.sut.move_on({11.0, 0.0});
  EXPECT_FALSE(f.sut.is_made());
  EXPECT_DOUBLE_EQ(f.pulled(scene, {11.0, 0.0}, {11.5, 0.0}).x, 11.5);
}

}  // namespace
}  // namespace latticed::signal
