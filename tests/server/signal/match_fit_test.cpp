// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/signal/match_fit.hpp"

#include <gtest/gtest.h>

#include "tests/support/matched_scene.hpp"

namespace latticed::signal {
namespace {

using test::MatchedScene;
using test::particle_on_film;
using test::Scene;

TEST(MatchFit, SumsOverTheLabelsThatItIsAskedFor) {
  MatchedScene f(particle_on_film(40.0));
  const MatchResult match = f.match(particle_on_film(40.0));
  EXPECT_NEAR(j_of(match, ~0u), match.sums.j, 1e-6 * match.sums.j);
  EXPECT_DOUBLE_EQ(j_of(match, 2u), match.labels[1].j);
  EXPECT_NEAR(j_of(match, kAperiodicLabels) + j_of(match, kReflectionLabels), match.sums.j,
              1e-6 * match.sums.j);
  EXPECT_DOUBLE_EQ(expected_of(f.list, 3u).gxx, f.list.expected(0).gxx + f.list.expected(1).gxx);
}

TEST(MatchFit, OfAFrameOfTheSameSpecimenIsAllThatWasPromised) {
  const Scene scene = particle_on_film(40.0);
  MatchedScene f(scene);
  const MatchResult match = f.match(scene, {0.3, -0.2});
  ASSERT_TRUE(match.is_peak);
  EXPECT_NEAR(reflections_match(f.list, match), 1.0, 0.05);
  EXPECT_NEAR(typical_misfit(f.list, match, f.fit_noise()), 1.0, 0.3);
  EXPECT_FALSE(is_distorted(f.list, match, f.fit_noise()));
}

// Other planes turn by other angles: the film and each reflection lie elsewhere.
TEST(MatchFit, OfAnotherSpecimenIsDistorted) {
  MatchedScene f(particle_on_film(40.0));
  Scene other = particle_on_film(40.0, 8);
  for (std::size_t i = 0; i < other.lattice.size(); ++i)
    other.lattice[i].phase += 1.4 * static_cast<double>(i);
  other.centre = {-20.0, 15.0};
  const MatchResult match = f.match(other);
  EXPECT_LT(reflections_match(f.list, match), 0.8);
  EXPECT_TRUE(is_distorted(f.list, match, f.fit_noise()));
}

TEST(MatchFit, NoiseByLabelIsWhiteNoiseTimesMisfit) {
  std::array<double, kLabels> misfit;
  misfit.fill(1.0);
  misfit[3] = 2.5;
  const auto noise = noise_by_label(4.0, misfit);
  EXPECT_DOUBLE_EQ(noise[0], 4.0);
  EXPECT_DOUBLE_EQ(noise[3], 10.0);
}

TEST(MatchFit, AParticleIsNoLatticeThatFillsTheField) {
  MatchedScene f(particle_on_film(40.0));
  EXPECT_EQ(filling_labels(f.list), 0u);
  EXPECT_FALSE(is_filled(f.list));
}

}  // namespace
}  // namespace latticed::signal
