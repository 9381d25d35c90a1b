// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/signal/drift_bins.hpp"

#include <gtest/gtest.h>

#include "server/signal/filling_lattice.hpp"
#include "tests/support/analysed_frame.hpp"
#include "tests/support/synthetic_scene.hpp"

namespace latticed::signal {
namespace {

using test::FrameAnalysis;
using test::Scene;

constexpr int kSide = 256;

struct Chosen {
  FrameAnalysis analysis{kSide, kSide};
  DriftBins bins{analysis.grid(), 4096};

  explicit Chosen(const Scene& scene, std::uint64_t seed = 7) {
    test::ShotNoise noise(seed);
    const Prepared& frame = analysis(noise(expect(scene, {})));
    const auto white = static_cast<double>(frame.peaks.noise.white);
    bins.choose(frame.spectrum, {white, white, &frame.peaks.noise}, true,
                {frame.peaks.peaks.begin(), frame.peaks.peaks.size()});
  }
};

Scene lattice_on_film() {
  Scene scene{.counts = 40.0};
  scene.lattice = test::layered_lattice();
  scene.film = std::make_shared<test::Film>(kSide, kSide, 3, 0.06);
  return scene;
}

TEST(DriftBins, TakesReflectionsWholeAndUnderTheirLabel) {
  const Chosen sut(lattice_on_film());
  ASSERT_GE(sut.bins.reflections().size(), 3u);
  for (std::size_t l = 1; l <= 3; ++l) {
    const Peak& peak = sut.bins.reflections()[l - 1];
    const auto begin = sut.bins.label_begin()[l], end = sut.bins.label_begin()[l + 1];
    // Nine columns, those past kx = 0 are mirror images.
    EXPECT_GE(end - begin, static_cast<unsigned>(std::min(9, 5 + peak.kx))) << l;
    for (auto i = begin; i < end; ++i)
      EXPECT_EQ(sut.bins.nearest_reflection(sut.bins.blocks()[i]).first, l);
    EXPECT_TRUE(sut.bins.is_periodic(peak.kx, sut.analysis.grid().row_of(peak.ky) / kBlock));
  }
}

TEST(DriftBins, LeavesFilmToItsOwnLabel) {
  const Chosen sut(lattice_on_film());
  const auto texture = sut.bins.blocks().first(sut.bins.label_begin()[1]);
  EXPECT_GT(texture.size(), 20u);
  for (const MatchBlock& block : texture) {
    EXPECT_GE(sut.bins.nearest_reflection(block).second, 5.0);
    EXPECT_FALSE(sut.bins.is_periodic(block.kx, block.row / kBlock));
  }
}

TEST(DriftBins, NamesEveryBlockOnce) {
  const Chosen sut(lattice_on_film());
  EXPECT_EQ(sut.bins.label_begin()[kLabels], sut.bins.blocks().size());
  std::vector<std::pair<int, int>> all;
  for (const MatchBlock& block : sut.bins.blocks()) all.emplace_back(block.kx, block.row);
  std::sort(all.begin(), all.end());
  EXPECT_EQ(std::adjacent_find(all.begin(), all.end()), all.end());
}

TEST(DriftBins, ReducesTheCell) {
  const Chosen sut(lattice_on_film());
  const auto cell = sut.bins.translations_cells();
  ASSERT_EQ(cell.size(), 2u);
  EXPECT_LE(std::hypot(cell[0].x, cell[0].y), std::hypot(cell[1].x, cell[1].y));
  EXPECT_DOUBLE_EQ(sut.bins.shortest_period_cells(), std::hypot(cell[0].x, cell[0].y));
  // A translation turns every wave by a whole number of cycles, up to half a bin of each peak.
  for (const Vector2& t : cell)
    for (const test::Wave& wave : test::layered_lattice()) {
      const double cycles = wave.f.x * t.x + wave.f.y * t.y;
      EXPECT_NEAR(cycles, std::round(cycles), 0.1);
    }
  EXPECT_FALSE(sut.bins.is_one_row());
}

TEST(DriftBins, KnowsASingleRow) {
  Scene scene{.counts = 40.0};
  scene.lattice = {test::layered_lattice()[0]};
  const Chosen sut(scene);
  EXPECT_TRUE(sut.bins.is_one_row());
  ASSERT_EQ(sut.bins.translations_cells().size(), 1u);
  EXPECT_NEAR(sut.bins.shortest_period_cells(), 26.65, 1.5);
}

struct Parted : Chosen {
  std::size_t texture_before, texture;
  explicit Parted(const Scene& scene) : Chosen(scene) {
    texture_before = aperiodic();
    test::ShotNoise noise(7);
    const Prepared& frame = analysis(noise(expect(scene, {})));
    const auto white = static_cast<double>(frame.peaks.noise.white);
    const FillingLattice lattice(analysis.grid(), analysis.fft().taper_x(),
                                 analysis.fft().taper_y());
    bins.part_from_lattice(lattice.find({frame.spectrum, white, {}}, bins.reflections()),
                           lattice.peak(), frame.spectrum, white, false);
    texture = aperiodic();
  }
  [[nodiscard]] std::size_t aperiodic() const {
    const auto& begin = bins.label_begin();
    return begin[1] + begin[kLabels] - begin[kShapes];
  }
};

// The window's tails about a bright lattice are neither film nor edge: they stay while it moves.
TEST(DriftBins, GivesTheWindowsTailsToTheLatticeThatFillsTheField) {
  Scene scene{.counts = 2000.0};
  scene.lattice = test::layered_lattice();
  const Parted sut(scene);
  EXPECT_GT(sut.texture_before, 8u);
  EXPECT_LE(sut.texture, 4u) << "as many as noise gives";
}

TEST(DriftBins, GivesFilmBesideTheLatticeThatFillsTheFieldToTheTexture) {
  const Parted sut(lattice_on_film());
  std::size_t beside = 0, of_lattice = 0;
  for (const MatchBlock& block : sut.bins.blocks().first(sut.bins.label_begin()[1]))
    beside += sut.bins.nearest_reflection(block).second < 5.0;
  EXPECT_GT(beside, 6u) << "before they are parted there is none";
  for (std::size_t l = 1; l <= 3; ++l)
    of_lattice += sut.bins.label_begin()[l + 1] - sut.bins.label_begin()[l];
  EXPECT_GE(of_lattice, 3u * 7u) << "the cores stay";
}

// A block of nothing but noise passes once in a hundred thousand while the template is young.
TEST(DriftBins, ChoosesNextToNothingFromNoise) {
  const Chosen sut(Scene{.counts = 20.0});
  EXPECT_LE(sut.bins.blocks().size(), 4u);
  EXPECT_TRUE(sut.bins.reflections().empty());
  EXPECT_DOUBLE_EQ(sut.bins.shortest_period_cells(), 0.0);
}

}  // namespace
}  // namespace latticed::signal
