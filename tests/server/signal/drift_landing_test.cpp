// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/signal/drift_landing.hpp"

#include <gtest/gtest.h>

#include "server/signal/drift_bins.hpp"
#include "tests/support/analysed_frame.hpp"
#include "tests/support/synthetic_scene.hpp"

namespace latticed::signal {
namespace {

using test::Scene;

constexpr int kSide = 256;

Scene particle_on_film(std::uint64_t film) {
  Scene scene{.counts = 40.0};
  scene.radius = 75.0;
  scene.lattice = test::layered_lattice();
  scene.film = std::make_shared<test::Film>(kSide, kSide, film, 0.08);
  return scene;
}

Scene another_specimen() {
  Scene scene = particle_on_film(8);
  scene.lattice = test::layered_lattice(1.1);
  return scene;
}

/// A template of one field, free of noise, and frames with noise taken elsewhere.
struct Fixture {
  test::FrameAnalysis analysis{kSide, kSide};
  test::ShotNoise noise{17};
  Spectrum mean{analysis.grid().spectrum_size()};
  DriftBins bins{analysis.grid(), 4096};
  MatchList list{analysis.grid(), 4096};
  DriftLanding sut{analysis.fft(), 4096};
  std::array<double, kLabels> misfit{};
  double white = 0.0;
  DriftLanding::Field left;

  explicit Fixture(const Scene& scene) {
    const Prepared& prepared = analysis(expect(scene));
    std::copy_n(prepared.spectrum.data(), mean.size(), mean.data());
    const Prepared& noisy = analysis(noise(expect(scene)));
    white = static_cast<double>(noisy.peaks.noise.white);
    left.noise = left.full_noise = white / 1000.0;
    bins.choose(mean, {white / 30.0, white, &noisy.peaks.noise}, false,
                {noisy.peaks.peaks.begin(), noisy.peaks.peaks.size()});
    list.choose(bins.blocks(), bins.label_begin(), mean, {}, {});
    misfit.fill(1.0);
  }
  std::optional<DriftLanding::Landing> land(const Scene& scene, Vector2 at, Vector2 said,
                                            DriftLanding::To to = DriftLanding::To::any) {
    sut.pass_frame();
    return land_again(scene, at, said, to);
  }
  std::optional<DriftLanding::Landing> land_again(const Scene& scene, Vector2 at, Vector2 said,
                                                  DriftLanding::To to = DriftLanding::To::any) {
    const Prepared& frame = analysis(noise(expect(scene, at)));
    return sut.land({frame.spectrum, said, 0.02, list, ~0u, white, misfit, 3.0}, left, to, mean);
  }
};

TEST(DriftLanding, FindsTheShiftAsWellAsItSays) {
  const Scene scene = particle_on_film(3);
  test::Series z;
  for (const Vector2 at : {Vector2{40.0, -30.0}, {-25.5, 20.25}, {0.5, 50.0}, {-60.0, 1.5}})
    for (int i = 0; i < 8; ++i) {
      Fixture fixture(scene);
      fixture.noise = test::ShotNoise(100 + static_cast<std::uint64_t>(i));
      const auto landing = fixture.land(scene, at, {at.x + 0.1, at.y - 0.07});
      ASSERT_TRUE(landing);
      z.add((landing->shift_cells.x - at.x) / std::sqrt(landing->covariance.xx));
      z.add((landing->shift_cells.y - at.y) / std::sqrt(landing->covariance.yy));
    }
  EXPECT_GT(z.rms(), 0.75);  // 64 samples
  EXPECT_LT(z.rms(), 1.25);
}

TEST(DriftLanding, GivesTheTemplateOfTheNewField) {
  const Scene scene = particle_on_film(3);
  Fixture fixture(scene);
  const Vector2 at{40.0, -30.0};
  const auto landing = fixture.land(scene, at, at);
  ASSERT_TRUE(landing);
  EXPECT_NEAR(landing->field.shift.x, at.x, 0.1);
  EXPECT_GT(landing->field.noise, fixture.left.noise);
  EXPECT_LT(landing->field.noise, 0.5 * fixture.white);
  const Spectrum joined = [&] {
    Spectrum out(fixture.mean.size());
    std::copy_n(fixture.mean.data(), out.size(), out.data());
    return out;
  }();
  // A frame of the new field matches it as it did the old one.
  const Prepared& next = fixture.analysis(fixture.noise(expect(scene, at)));
  MatchList list(fixture.analysis.grid(), 4096);
  list.choose(fixture.bins.blocks(), fixture.bins.label_begin(), joined, {}, landing->field.shift);
  std::array<double, kLabels> frame_noise;
  frame_noise.fill(fixture.white);
  list.weigh({landing->field.noise, 0.0}, frame_noise);
  list.load(next.spectrum);
  PhaseRamps ramps(fixture.analysis.grid());
  ramps.set(at);
  for (const std::size_t label : {std::size_t{0}, std::size_t{1}})
    EXPECT_NEAR(list.sum(label, ramps).j, list.expected(label).j, 0.1 * list.expected(label).j);
}

// The beam was turned up: the template of the new field is as bright as its frames.
TEST(DriftLanding, JoinsFieldsOfDifferentBeams) {
  Scene scene = particle_on_film(3);
  Fixture fixture(scene);
  scene.counts *= 3.0;
  fixture.white *= 3.0;
  const Vector2 at{40.0, -30.0};
  const auto landing = fixture.land(scene, at, at);
  ASSERT_TRUE(landing);
  EXPECT_NEAR(landing->shift_cells.x, at.x, 5.0 * std::sqrt(landing->covariance.xx));
  const Prepared& is = fixture.analysis(expect(scene, at));
  double is_power = 0.0, joined_power = 0.0;
  for (const MatchBlock& block : fixture.bins.blocks())
    for (int i = 0; i < kBlock; ++i) {
      const std::size_t bin = fixture.analysis.grid().at(block.kx, block.row + i);
      is_power += static_cast<double>(std::norm(is.spectrum[bin]));
      joined_power += static_cast<double>(std::norm(fixture.mean[bin]));
    }
  EXPECT_NEAR(joined_power / is_power, 1.0, 0.05);
}

// Film and lattice are others: nothing is joined, and the template stays as it was.
TEST(DriftLanding, RefusesAnotherSpecimen) {
  const Scene scene = particle_on_film(3);
  Fixture fixture(scene);
  std::vector<Complex> before(fixture.mean.data(), fixture.mean.data() + fixture.mean.size());
  const Scene other = another_specimen();
  EXPECT_FALSE(fixture.land(other, {30.0, 20.0}, {30.0, 20.0}));
  EXPECT_TRUE(std::equal(before.begin(), before.end(), fixture.mean.data()));
}

// The place of the field that was left last is doubtful, that of the first is not.
TEST(DriftLanding, HoldsFramesToTheFirstFieldThatWasLeft) {
  const Scene scene = particle_on_film(3);
  Fixture fixture(scene);
  ASSERT_TRUE(fixture.land(scene, {40.0, 0.0}, {40.0, 0.0}));
  fixture.left.shift = {40.0, 0.0};
  fixture.left.variance = {1.0, 1.0};
  const auto back = fixture.land(scene, {-20.0, 10.0}, {-20.0, 10.0});
  ASSERT_TRUE(back);
  EXPECT_DOUBLE_EQ(back->field.variance.x, 0.0);
  // Too far from it: to the field that was left there.
  fixture.left.shift = {-100.0, 10.0};
  const Prepared& there = fixture.analysis(expect(scene, fixture.left.shift));
  PhaseRamps ramps(fixture.analysis.grid());
  ramps.set(fixture.left.shift);
  for (int kx = 0; kx < fixture.analysis.grid().kx_count; ++kx)
    for (int row = 0; row < kSide; ++row)
      fixture.mean[fixture.analysis.grid().at(kx, row)] =
          there.spectrum[fixture.analysis.grid().at(kx, row)] * ramps.x()[kx] * ramps.y()[row];
  const auto far = fixture.land(scene, {-125.0, 40.0}, {-125.0, 40.0});
  ASSERT_TRUE(far);
  EXPECT_DOUBLE_EQ(far->field.variance.x, 1.0);
  // And back again.
  EXPECT_TRUE(fixture.sut.is_near_home({20.0, 10.0}, fixture.left.variance));
  EXPECT_FALSE(fixture.sut.is_near_home({-125.0, 40.0}, fixture.left.variance));
  const auto home = fixture.land(scene, {20.0, 10.0}, {20.0, 10.0});
  ASSERT_TRUE(home);
  EXPECT_DOUBLE_EQ(home->field.variance.x, 0.0);
}

// One frame may be a bad one: a home is not forgotten for it.
TEST(DriftLanding, KeepsTheHomeThroughOneFrameThatDoesNotFit) {
  const Scene scene = particle_on_film(3);
  Fixture fixture(scene);
  ASSERT_TRUE(fixture.land(scene, {40.0, 0.0}, {40.0, 0.0}));
  fixture.left.shift = {40.0, 0.0};
  fixture.left.variance = {1.0, 1.0};
  const Scene other = another_specimen();
  using To = DriftLanding::To;
  EXPECT_FALSE(fixture.land(other, {10.0, 0.0}, {10.0, 0.0}, To::home));
  EXPECT_TRUE(fixture.sut.is_near_home({10.0, 0.0}, fixture.left.variance));
  for (int i = 0; i < 2; ++i) EXPECT_FALSE(fixture.land(other, {10.0, 0.0}, {10.0, 0.0}, To::home));
  EXPECT_FALSE(fixture.sut.is_near_home({10.0, 0.0}, fixture.left.variance));
}

// One frame may be asked at several places; it is one frame that does not fit.
TEST(DriftLanding, CountsFramesNotTheirPlaces) {
  const Scene scene = particle_on_film(3);
  Fixture fixture(scene);
  ASSERT_TRUE(fixture.land(scene, {40.0, 0.0}, {40.0, 0.0}));
  fixture.left.shift = {40.0, 0.0};
  fixture.left.variance = {1.0, 1.0};
  const Scene other = another_specimen();
  EXPECT_FALSE(fixture.land(other, {10.0, 0.0}, {10.0, 0.0}));
  for (const double y : {20.0, 30.0, 40.0})
    EXPECT_FALSE(fixture.land_again(other, {10.0, 0.0}, {10.0, y}));
  EXPECT_TRUE(fixture.sut.is_near_home({10.0, 0.0}, fixture.left.variance));
  for (int i = 0; i < 16; ++i) fixture.sut.pass_frame();
  EXPECT_TRUE(fixture.sut.is_rested());
}

// By a lattice translation the lattice agrees as well.
TEST(DriftLanding, RefusesAnotherCell) {
  const Scene scene = particle_on_film(3);
  Fixture fixture(scene);
  const Vector2 cell = fixture.bins.translations_cells().front();
  EXPECT_FALSE(fixture.land(scene, {40.0, -30.0}, {40.0 + cell.x, -30.0 + cell.y}));
}

TEST(DriftLanding, RestsLongerAfterEachVainTry) {
  const Scene scene = particle_on_film(3);
  Fixture fixture(scene);
  const Scene other = another_specimen();
  const auto rest = [&] {
    int frames = 0;
    while (!fixture.sut.is_rested() && frames < 100) ++frames, fixture.sut.pass_frame();
    return frames;
  };
  EXPECT_EQ(rest(), 0);
  EXPECT_FALSE(fixture.land(other, {30.0, 20.0}, {30.0, 20.0}));
  EXPECT_EQ(rest(), 16);
  EXPECT_FALSE(fixture.land(other, {30.0, 20.0}, {30.0, 20.0}));
  EXPECT_EQ(rest(), 32);
  fixture.sut.jumped();
  ASSERT_TRUE(fixture.land(scene, {30.0, 20.0}, {30.0, 20.0}));
  EXPECT_EQ(rest(), 8);
}

TEST(DriftLanding, DoesNotHoldALatticeToWhatItWasBeforeItSwelled) {
  const Scene scene = particle_on_film(3);
  Fixture fixture(scene);
  ASSERT_TRUE(fixture.land(scene, {40.0, 0.0}, {40.0, 0.0}));
  fixture.left.shift = {40.0, 0.0};
  fixture.left.variance = {1.0, 1.0};
  fixture.left.leak = {0.1, 0.0};
  const auto landing = fixture.land(scene, {20.0, 10.0}, {20.0, 10.0});
  ASSERT_TRUE(landing);
  EXPECT_DOUBLE_EQ(landing->field.variance.x, 1.0);
}

}  // namespace
}  // namespace latticed::signal
