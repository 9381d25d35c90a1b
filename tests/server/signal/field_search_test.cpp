// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/signal/field_search.hpp"

#include <gtest/gtest.h>

#include <array>

#include "tests/support/analysed_frame.hpp"
#include "tests/support/synthetic_scene.hpp"

namespace latticed::signal {
namespace {

using test::Scene;

constexpr int kSide = 256;

struct Pair {
  test::FrameAnalysis analysis{kSide, kSide};
  test::ShotNoise noise{11};
  DriftBins bins{analysis.grid(), 4096};
  FieldSearch sut{analysis.grid()};
  Spectrum mean{analysis.grid().spectrum_size()}, frame{analysis.grid().spectrum_size()};
  double white = 0.0;

  Pair(const Scene& scene, Vector2 from, Vector2 to) {
    const Prepared& first = analysis(noise(expect(scene, from)));
    white = static_cast<double>(first.peaks.noise.white);
    std::copy_n(first.spectrum.data(), mean.size(), mean.data());
    bins.choose(mean, {white, white, &first.peaks.noise}, true,
                {first.peaks.peaks.begin(), first.peaks.peaks.size()});
    const Prepared& second = analysis(noise(expect(scene, to)));
    std::copy_n(second.spectrum.data(), frame.size(), frame.data());
  }
  std::size_t find(bool is_aperiodic, Vector2 centre, std::span<FieldPlace> found) {
    return sut.find({frame, mean, white, white, bins, is_aperiodic, centre}, 3.0, found);
  }
};

Scene film(double counts) {
  Scene scene{.counts = counts};
  scene.film = std::make_shared<test::Film>(kSide, kSide, 3, 0.10);
  return scene;
}

TEST(FieldSearch, FindsTheFieldWhereverItWent) {
  for (const Vector2 way : {Vector2{0.0, 0.0}, {60.0, -45.0}, {-100.0, 20.0}, {12.0, 90.0}}) {
    Pair pair(film(40.0), {}, way);
    std::array<FieldPlace, 4> found;
    ASSERT_GT(pair.find(true, {}, found), 0u);
    EXPECT_NEAR(found[0].shift_cells.x, way.x, 1.01);
    EXPECT_NEAR(found[0].shift_cells.y, way.y, 1.01);
  }
}

// The surface repeats after a field's width: the template's own place says which it is.
TEST(FieldSearch, LooksAroundTheTemplatesPlace) {
  // A template made by frames drift-corrected by 300 px: the same spectrum, turned.
  Pair pair(film(40.0), {}, {40.0, -25.0});
  std::array<FieldPlace, 2> found;
  ASSERT_GT(pair.find(true, {256.0, 512.0}, found), 0u);
  EXPECT_NEAR(found[0].shift_cells.x, 296.0, 1.01);
  EXPECT_NEAR(found[0].shift_cells.y, 487.0, 1.01);
}

TEST(FieldSearch, ListsTopsBestFirstAndApart) {
  Scene scene = film(20.0);
  scene.lattice = test::layered_lattice();
  Pair pair(scene, {}, {5.0, 3.0});
  std::array<FieldPlace, 6> found;
  const std::size_t count = pair.find(false, {}, found);
  ASSERT_EQ(count, 6u);  // a lattice has a top in every cell
  for (std::size_t i = 1; i < count; ++i) {
    EXPECT_LE(found[i].score, found[i - 1].score);
    for (std::size_t j = 0; j < i; ++j)
      EXPECT_GE(std::hypot(found[i].shift_cells.x - found[j].shift_cells.x,
                           found[i].shift_cells.y - found[j].shift_cells.y),
                3.0);
  }
}

// Film chooses among the cells when the lattice is left out.
TEST(FieldSearch, AperiodicContentKnowsNoCells) {
  Scene scene = film(40.0);
  scene.lattice = test::layered_lattice();
  Pair pair(scene, {}, {-37.0, 22.0});
  std::array<FieldPlace, 2> found;
  ASSERT_GT(pair.find(true, {}, found), 0u);
  EXPECT_NEAR(found[0].shift_cells.x, -37.0, 1.01);
  EXPECT_NEAR(found[0].shift_cells.y, 22.0, 1.01);
}

}  // namespace
}  // namespace latticed::signal
