// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/signal/film_reference.hpp"

#include <gtest/gtest.h>

#include "tests/support/matched_scene.hpp"

namespace latticed::signal {
namespace {

using test::MatchedScene;
using test::particle_on_film;
using test::Scene;

struct Fixture : MatchedScene {
  explicit Fixture(const Scene& scene) : MatchedScene(scene), sut(analysis.fft(), kBlocks, 1.3) {
    sut.watch(bins.reflections());
    sut.make(mean, list, bins, white, {});
  }
  // The match is said to be at `said`, the specimen is where it was.
  void follow(const Scene& scene, Vector2 said) {
    MatchResult match;
    match.shift_cells = said;
    match.covariance = {4e-4, 0.0, 4e-4};
    sut.follow({frame(scene), match, white, 6.0, true});
  }
  FilmReference sut;
};

// What it says of a lattice that swells is drift_leak_test's.
TEST(FilmReference, SaysNoughtOfALatticeAtRest) {
  const Scene scene = particle_on_film(40.0);
  Fixture f(scene);
  for (int i = 0; i < 40; ++i) f.follow(scene, {});
  EXPECT_DOUBLE_EQ(f.sut.leak().x, 0.0);
  EXPECT_DOUBLE_EQ(f.sut.leak().y, 0.0);
  EXPECT_FALSE(f.sut.is_wanted());
}

TEST(FilmReference, IsWantedAnewWhenFilmIsNotFoundForLong) {
  Fixture f(particle_on_film(40.0));
  Scene other = particle_on_film(40.0, 8);
  for (int i = 0; i < 60; ++i) f.follow(other, {});
  EXPECT_TRUE(f.sut.is_wanted());
}

TEST(FilmReference, IsWantedAnewWhenTheFieldHasMovedOn) {
  const Scene scene = particle_on_film(40.0);
  Fixture f(scene);
  f.follow(scene, {40.0, 0.0});
  EXPECT_TRUE(f.sut.is_wanted());
  f.sut.make(f.mean, f.list, f.bins, f.white, {40.0, 0.0});
  EXPECT_FALSE(f.sut.is_wanted());
}

}  // namespace
}  // namespace latticed::signal
